"""Families on the Features page: a tree to walk down, and a way to have it made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from autointerp_core import jobs
from autointerp_core.store.families import Family, Group, write_families
from tests.pages.conftest import Open
from tests.pages.test_pages import element

GROUPS = (
    Group("animals", (Family("dogs, hounds", (3, 1, 9)), Family("cats", (7, 12, 20)))),
    Group("time", (Family("time", (40, 41, 42)),)),
)


def _tree(app: AppTest) -> tuple[str, dict[str, Any]]:
    for found in app.get("bidi_component"):
        data: dict[str, Any] = json.loads(found.proto.json)
        if "anything" in data:
            return found.proto.id, data
    raise AssertionError("no tree")


def _pick(app: AppTest, group: int | None, family: int | None, at: int) -> list[int]:
    """The features in the table after a press on a name, as the browser sends it."""
    picked = {"group": group, "family": family, "at": at}
    widgets = app._tree.get_widget_states()
    widgets.widgets.add(id=_tree(app)[0], json_value=json.dumps({"picked": picked}))
    app._run(widgets)
    assert not app.exception, app.exception
    return [row["feature"] for row in element(app, "rows")["rows"]]


@pytest.mark.slow
def test_a_group_and_then_a_family_fill_the_table(study: Path, open_page: Open) -> None:
    write_families(study, GROUPS)
    app = open_page("features", study="small")
    data = _tree(app)[1]
    assert data["head"] == "9 features in 3 families, 2 groups"
    named = [(group["label"], group["count"]) for group in data["groups"]]
    assert named == [("animals", 6), ("time", 3)]
    assert [one["label"] for one in data["groups"][0]["families"]] == ["dogs, hounds", "cats"]
    assert _pick(app, 0, None, 1) == [1, 3, 7, 9, 12, 20]
    assert [group["chosen"] for group in _tree(app)[1]["groups"]] == [True, False]
    assert _pick(app, 0, 1, 2) == [7, 12, 20]
    # Another group is that group, whichever family of the first was chosen.
    assert _pick(app, 1, None, 3) == [40, 41, 42]
    app.button(key="clear").click().run()
    assert not any(group["chosen"] for group in _tree(app)[1]["groups"])
    assert _pick(app, 1, None, 4) == [40, 41, 42]
    assert len(_pick(app, None, None, 5)) > 9
    assert len(_pick(app, 99, 2, 6)) > 9


@pytest.mark.slow
def test_families_are_made_when_asked_for(study: Path, open_page: Open) -> None:
    app = open_page("features", study="small")
    app.button(key="families_make").click().run()
    assert not app.exception
    assert [job.kind for job in jobs.list_jobs()] == ["families"]
    for job in jobs.list_jobs():
        jobs.cancel(job.id)
