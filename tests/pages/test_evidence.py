"""The judged windows behind a score: shown, filtered, and explained where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from autointerp_core.labels.scoring.evidence import ProposalRun, write_evidence
from autointerp_core.labels.scoring.sample_windows import Window
from autointerp_core.labels.scoring.scorers import ScorerRun
from autointerp_core.store.study import Study
from tests.pages.conftest import Open, a_score, record_score
from tests.pages.test_pages import element, texts
from tests.pages.test_scores import HOSTILE, event_of

FEATURE = 6


@pytest.fixture
def judged(study: Path) -> int:
    """The search label of feature 6 scored by detection; the proposal's event.

    Of 4 firing windows 3 are judged rightly, of 4 silent ones 2, one with an error.
    """
    opened = Study(study)
    event = event_of(FEATURE, "search")
    active = [Window(e, "active", token_of(opened, e)) for e in opened.examples(FEATURE)[:4]]
    silent = [
        Window(e, kind, token_of(opened, e))
        for e, kind in zip(
            opened.silent_examples(FEATURE, 4), ("easy", "easy", "hard", "hard"), strict=True
        )
    ]
    run = ScorerRun(FEATURE, "test", "detection", "words 6", (*active, *silent))
    run.said[:] = [0.9, 0.8, 0.7, 0.2, 0.1, 0.95, 0.3, np.nan]
    run.errors[7] = HOSTILE
    write_evidence(opened, "first", [ProposalRun(event, run)])
    score = {"detection": a_score(0.7, n=7, n_missing=1)}
    record_score(FEATURE, event, score, rank=0.7, evidence="first")
    return event


def token_of(study: Study, example: Any) -> int:
    start: int = int(study.tokens.sequences[example.sequence_index])
    position: int = example.token_position
    return start + position


@pytest.fixture
def evidence(judged: int, open_page: Open) -> AppTest:
    app = open_page("feature", study="small", feature=str(FEATURE))
    app.segmented_control(key="group").set_value("judged").run()
    assert not app.exception
    return app


def groups(app: AppTest) -> dict[str, list[dict[str, Any]]]:
    return {group["title"]: group["rows"] for group in element(app, "groups")["groups"]}


def test_windows_are_shown_wrong_ones_first(evidence: AppTest) -> None:
    found = groups(evidence)
    assert [(title, len(rows)) for title, rows in found.items()] == [
        ("Judged wrongly", 2),
        ("Missing or undecided", 1),
        ("Judged rightly", 5),
    ]
    worst = found["Judged wrongly"][0]
    assert (worst["judged"], worst["note"]) == ("0.95", "easy silent · expected no")
    assert not any(worst["values"])
    (missing,) = found["Missing or undecided"]
    assert (missing["judged"], missing["why"]) == ("", HOSTILE)
    right = next(row for row in found["Judged rightly"] if row["judged"] == "0.90")
    assert right["note"] == "firing · expected yes"
    assert right["values"][right["peak"]] == right["activation"] > 0


def test_windows_are_filtered_by_verdict_and_kind(evidence: AppTest) -> None:
    evidence.segmented_control(key="judged_show").set_value("wrong").run()
    assert [(title, len(rows)) for title, rows in groups(evidence).items()] == [
        ("Judged wrongly", 2)
    ]
    evidence.pills(key="judged_kinds").set_value(["hard"]).run()
    assert groups(evidence) == {"Judged wrongly": []}
    evidence.segmented_control(key="judged_show").set_value("missing").run()
    assert len(groups(evidence)["Missing or undecided"]) == 1
    evidence.pills(key="judged_kinds").set_value([]).run()
    assert groups(evidence) == {"Missing or undecided": []}


@pytest.mark.slow
def test_without_evidence_the_reason_and_a_way_to_get_it(study: Path, open_page: Open) -> None:
    record_score(FEATURE, event_of(FEATURE, "llm"), {}, unscored="fires in 2 test documents",
                 source="llm:x/tiny")  # fmt: skip
    app = open_page("feature", study="small", feature=str(FEATURE))
    app.segmented_control(key="group").set_value("judged").run()
    assert "not scored: fires in 2 test documents" in texts(app)
    app.button(key="score_this").click().run()
    assert app.button(key="run_start").label == "Start for feature 6"


@pytest.mark.slow
def test_evidence_that_is_gone_or_strange_is_told(study: Path, open_page: Open) -> None:
    for name, said in (("gone", "score again"), ("../../etc/passwd", "no name of an evidence")):
        record_score(FEATURE, event_of(FEATURE, "search"), {"detection": a_score()}, rank=0.9,
                     evidence=name)  # fmt: skip
        app = open_page("feature", study="small", feature=str(FEATURE))
        app.segmented_control(key="group").set_value("judged").run()
        assert said in element(app, "groups")["groups"][0]["empty"]


@pytest.mark.slow
def test_a_dead_feature_has_nothing_to_judge(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="96")
    app.segmented_control(key="group").set_value("judged").run()
    assert "nothing to judge" in texts(app)
