"""Two studies of one SAE: what one proposed stands in the other with its origin, no more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from autointerp_core.labels.scoring.evidence import ProposalRun, write_evidence
from autointerp_core.labels.scoring.sample_windows import Window
from autointerp_core.labels.scoring.scorers import ScorerRun
from autointerp_core.store.events import UNKNOWN_STUDY
from autointerp_core.store.history import LabelHistory, NewEvent
from autointerp_core.store.study import Study
from autointerp_core.store.study_names import rename
from benchmarks.synthetic import write_study
from tests.pages.conftest import SAE, Open, a_score
from tests.pages.test_evidence import groups, token_of
from tests.pages.test_pages import element, texts

FEATURE = 6


def second(home: Path) -> Study:
    """Another study of the same SAE, with a proposal of its own, and one of nobody knows where."""
    folder = home / "studies" / "other"
    write_study(folder, 120, 8)
    rename(folder, "The other one")
    with LabelHistory.open() as history:
        history.record_many(
            NewEvent(SAE, FEATURE, "generated", text, source="llm:far/away", study=study)
            for text, study in (
                ("from the other", Study(folder).id),
                ("from long ago", UNKNOWN_STUDY),
            )
        )
    return Study(folder)


def open_proposals(open_page: Open) -> AppTest:
    app = open_page("feature", study="small", feature=str(FEATURE))
    app.session_state["proposals_open"] = True
    return app.run()


@pytest.mark.slow
def test_proposals_of_another_study_say_where_they_are_from_and_can_be_accepted(
    study: Path, open_page: Open
) -> None:
    other = second(study.parent.parent)
    app = open_proposals(open_page)
    said = texts(app)
    assert "from The other one" in said
    assert "from an earlier study, not known which" in said
    assert "count for nothing here" in said.replace("\n", " ")
    assert "model 6" in said
    with LabelHistory.open() as history:
        (event,) = [e.id for e in history.history(SAE, FEATURE) if e.text == "from the other"]
        assert history.state(SAE, FEATURE, Study(study).id).label == "model 6"
    app.button(key=f"accept_{event}").click().run()
    with LabelHistory.open() as history:
        state = history.state(SAE, FEATURE, Study(study).id)
    assert (state.label, state.status) == ("from the other", "accepted")
    shutil.rmtree(other.folder)
    assert f"study {other.id}, not on this disk" in texts(open_proposals(open_page))


@pytest.mark.slow
def test_judged_windows_are_read_where_they_were_judged(study: Path, open_page: Open) -> None:
    other = second(study.parent.parent)
    with LabelHistory.open() as history:
        (event,) = [e.id for e in history.history(SAE, FEATURE) if e.text == "from the other"]
        active = tuple(Window(e, "active", token_of(other, e)) for e in other.examples(FEATURE)[:3])
        run = ScorerRun(FEATURE, "test", "detection", "from the other", active)
        run.said[:] = [0.9, 0.8, 0.1]
        write_evidence(other, "there", [ProposalRun(event, run)])
        details = {
            "scores": {"detection": a_score()},
            "study": other.id,
            "evidence": "there",
        }
        history.record(SAE, FEATURE, "scored", source="llm:far/away", parent=event,
                       details=details, study=other.id)  # fmt: skip
    app = open_page("feature", study="small", feature=str(FEATURE), tab="judged")
    assert "judged in The other one" in texts(app)
    found = groups(app)
    assert [len(rows) for rows in found.values()] == [1, 2]
    shutil.rmtree(other.folder)
    app = open_page("feature", study="small", feature=str(FEATURE), tab="judged")
    assert "which is not at hand here" in element(app, "groups")["groups"][0]["empty"]
