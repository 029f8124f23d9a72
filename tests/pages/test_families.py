"""Families on the Features page: a tree to walk down, and a way to have it made."""

from __future__ import annotations

from pathlib import Path

import pytest

from autointerp_core import jobs
from autointerp_core.store.families import Family, Group, write_families
from tests.pages.conftest import Open
from tests.pages.test_pages import element


@pytest.mark.slow
def test_a_group_and_then_a_family_fill_the_table(study: Path, open_page: Open) -> None:
    groups = (
        Group("animals", (Family("dogs, hounds", (3, 1, 9)), Family("cats", (7, 12, 20)))),
        Group("time", (Family("time", (40, 41, 42)),)),
    )
    write_families(study, groups)
    app = open_page("features", study="small")
    (group,) = [box for box in app.selectbox if box.label == "Group"]
    assert group.options == ["all features", "animals (6)", "time (3)"]
    group.set_value(0).run()
    assert [row["feature"] for row in element(app, "rows")["rows"]] == [1, 3, 7, 9, 12, 20]
    (family,) = [box for box in app.selectbox if box.label == "Family"]
    family.set_value(1).run()
    assert [row["feature"] for row in element(app, "rows")["rows"]] == [7, 12, 20]
    assert not app.exception


@pytest.mark.slow
def test_families_are_made_when_asked_for(study: Path, open_page: Open) -> None:
    app = open_page("features", study="small")
    app.button(key="families_make").click().run()
    assert not app.exception
    assert [job.kind for job in jobs.list_jobs()] == ["families"]
    for job in jobs.list_jobs():
        jobs.cancel(job.id)
