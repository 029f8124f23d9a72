"""The Compare page: densities of one SAE, partners of two, labels carried over and taken back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from autointerp_core import jobs
from autointerp_core.explore.compare.matching import match
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from benchmarks.synthetic import write_study
from tests.pages.conftest import SAE, Open
from tests.pages.test_pages import texts

OTHER = "other-sae"


def quiet(_: object) -> None:
    pass


def test_one_study_alone_says_what_is_missing(study: Path, open_page: Open) -> None:
    assert "There is only one study." in [m.value.strip("*") for m in
                                          open_page("compare", study="small").markdown]  # fmt: skip


@pytest.mark.slow
def test_two_studies_of_one_sae(study: Path, open_page: Open) -> None:
    write_study(study.with_name("more"), 120, 8, seed=4)
    app = open_page("compare", study="small", **{"with": "more"})
    assert "One SAE on two corpora. Of 120 features" in texts(app)
    frame = app.dataframe[0].value
    assert len(frame) == 120
    assert frame["a"].str.startswith("feature?study=small&feature=").all()
    assert frame["b"].str.startswith("feature?study=more&feature=").all()
    app.button(key="compare_swap").click().run()
    assert not app.exception, app.exception
    assert app.dataframe[0].value["a"].str.startswith("feature?study=more&").all()


@pytest.mark.slow
def test_what_cannot_be_compared_is_said_in_words(study: Path, open_page: Open) -> None:
    folder = write_study(study.with_name("more"), 120, 8, fingerprint=OTHER)
    text = (folder / "study.json").read_text().replace("synthetic/tiny-model", "x/large-model")
    (folder / "study.json").write_text(text.replace('"none"', '"m"'))
    app = open_page("compare", study="small", **{"with": "more"})
    assert "The two SAEs are of different models" in texts(app)
    app = open_page("compare", study="small", **{"with": "nothing"})
    assert "There is no study named 'nothing' here" in texts(app)


@pytest.mark.slow
def test_matching_is_a_job(study: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(study.with_name("more"), 120, 8, fingerprint=OTHER)
    asked: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        jobs, "submit", lambda kind, params, title: asked.append((kind, dict(params)))
    )
    app = open_page("compare", study="small", **{"with": "more"})
    app.button(key="compare_make").click().run()
    assert asked == [("compare", {"a": "small", "b": "more"})]


@pytest.mark.slow
def test_labels_are_carried_over_and_taken_back(study: Path, open_page: Open) -> None:
    other = write_study(study.with_name("more"), 120, 8, fingerprint=OTHER)
    match(Study(study), Study(other), quiet)  # the same firings: each its own partner
    with LabelHistory.open() as history:
        history.override(SAE, 4, "weekdays", author="Bo")
    app = open_page("compare", study="small", **{"with": "more"})
    assert "Not matched by decoder direction" in " ".join(c.value for c in app.caption)
    assert set(app.dataframe[0].value["correlation"].round(3).dropna()) == {1.0}
    app.session_state["carry_open"] = True
    app.run()
    app.toggle(key="carry_decided").set_value(True).run()
    app.button(key="carry_apply").click().run()
    assert not app.exception, app.exception
    with LabelHistory.open() as history:
        state = history.state(OTHER, 4, "more")
    assert (state.label, state.status) == ("weekdays", "unreviewed")
    assert asdict(state.proposals[0])["source"] == "import:small"
    app.button(key="carry_undo").click().run()
    assert not app.exception, app.exception
    with LabelHistory.open() as history:
        assert history.state(OTHER, 4, "more").label is None
        assert history.state(SAE, 4).label == "weekdays"
