"""The Report page, without a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autointerp_core.jobs import JobState
from autointerp_core.store.history import LabelHistory
from tests.pages.conftest import SAE, Open, a_score, record_score
from tests.pages.test_pages import texts
from ui.runs.job_result import lines
from ui.runs.settings import RunSettings


@pytest.mark.slow
def test_a_study_without_scores_says_what_to_do(study: Path, open_page: Open) -> None:
    app = open_page("report", study="small")
    shown = texts(app)
    assert "No label of this study is scored yet" in shown
    assert "No control of this study was made yet" in shown


@pytest.mark.slow
def test_scores_stand_apart_with_the_worst_features(study: Path, open_page: Open) -> None:
    with LabelHistory.open() as history:
        events = {e.feature: e.id for e in history.all_events(SAE) if e.source == "search"}
    for feature in range(1, 30, 3):
        found = {
            "embedding": a_score(0.5 + feature / 100, measure="auroc", judge="wordllama"),
            "detection": a_score(0.9 - feature / 100),
        }
        record_score(feature, events[feature], found, rank=0.7)
    app = open_page("report", study="small")
    tables = [frame.value for frame in app.dataframe]
    assert tables[0]["scorer"].tolist() == ["embedding", "detection"]
    assert list(tables[0]["floor"]) == ["0.50", "0.50"]
    worst = next(table for table in tables if "open" in table)
    assert worst["feature"].tolist() == [1, 4, 7, 10, 13]
    app.segmented_control(key="report_by").set_value("detection").run()
    assert not app.exception
    worst = next(frame.value for frame in app.dataframe if "open" in frame.value)
    assert worst["feature"].tolist() == [28, 25, 22, 19, 16]
    assert worst["open"][0] == "/feature?study=small&feature=28"


def test_the_form_offers_measures_and_controls() -> None:
    settings = RunSettings(scorers=("embedding", "intruder"), controls=("shuffled",))
    assert settings.needs_model("score")
    params = settings.params("score", "folder", [3])
    assert params["scorers"] == ["embedding", "intruder"]
    assert params["control"] == "shuffled"
    config = settings.config("score")
    assert config.measures == ("intruder",)
    assert config.controls == ("shuffled",)
    assert "control" not in RunSettings().params("score", "folder", [3])


def test_the_form_offers_harder_windows_where_a_judge_looks_at_them() -> None:
    settings = RunSettings(scorers=("embedding", "fuzzing"), harder_windows=True)
    assert not settings.can_look_harder
    assert not settings.config("score").harder_windows
    settings = replace(settings, scorers=("detection",))
    assert settings.can_look_harder
    assert settings.config("score").harder_windows


def test_what_a_job_found_of_controls_is_told(study: Path) -> None:
    summary = {"mean": 0.62, "low": 0.6, "high": 0.64, "floor": 0.5, "features": 9, "n": 90}
    control = {"kind": "shuffled", "carried": {}, "anew": {"embedding": summary}, "measured": {}}
    state = JobState(
        id="j",
        kind="score",
        title="",
        folder=study,
        params={"study": str(study)},
        result={"controls": [control]},
    )
    told = [line for line in lines(state) if line.startswith("Control")]
    assert told == [
        "Control shuffled, with labels made anew: embedding 0.62 (95 % interval 0.60–0.64), "
        "floor 0.50, 90 windows, mean over 9 features"
    ]
