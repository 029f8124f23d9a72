"""The report: scorers apart, judges compared, costs told, one file that is safe to send."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from autointerp_core.cli.main import main
from autointerp_core.labels.config import ScoreConfig
from autointerp_core.labels.scoring.run import score_labels
from autointerp_core.report.gather import ReportData, gather
from autointerp_core.report.html_report import write_report
from autointerp_core.report.rank_agreement import comparable, spearman
from autointerp_core.report.tables import NO_AGREEMENT, costs, judges, scores
from autointerp_core.report.windows import shown_features
from autointerp_core.store.event_details import MeasuredDetails
from autointerp_core.store.events import GENERATED, MEASURED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.score_values import ScorerResult
from autointerp_core.store.study import Study
from tests.core.score_fixtures import CONCEPTS, RuleJudge, concept_study, oracle

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
CONFIG = ScoreConfig(scorers=("embedding", "detection"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return concept_study(tmp_path_factory.mktemp("report") / "toy", count=150)


@pytest.fixture
def history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: Study
) -> Iterator[LabelHistory]:
    """Labels of three features, scored by two judges; the third label is hostile."""
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path))
    labels = [*list(CONCEPTS)[:2], HOSTILE]
    with LabelHistory.open() as opened:
        opened.record_many(
            NewEvent(
                study.info.sae_fingerprint,
                feature,
                GENERATED,
                label,
                source="llm:writer",
                method="peaks",
                details={"documents": "label", "tokens_in": 100, "tokens_out": 5, "cost": 0.001},
                study=study.id,
            )
            for feature, label in enumerate(labels)
        )
        yield opened


def _scored(study: Study, history: LabelHistory) -> ReportData:
    score_labels(study, [0, 1, 2], history, CONFIG, judge=RuleJudge(oracle))
    other = RuleJudge(lambda q: 1 - oracle(q) if q.window.token % 10 == 0 else oracle(q))
    other.name = "llm:other"
    score_labels(study, [0, 1, 2], history, CONFIG, judge=other)
    return gather(study, history)


def test_every_scorer_stands_apart(study: Study, history: LabelHistory) -> None:
    data = _scored(study, history)
    assert [scorer.name for scorer in data.scorers] == ["embedding", "detection"]
    assert data.labelled == 3
    for scorer in data.scorers:
        assert [f.result.name for f in scorer.features] == [scorer.name] * 3
        assert scorer.values == sorted(scorer.values)
        assert scorer.summary.mean == pytest.approx(np.mean(scorer.values))
    detection = data.scorers[1]
    assert detection.worst(1)[0].label == HOSTILE
    assert {each.label for each in detection.best(2)} == set(list(CONCEPTS)[:2])
    assert len(scores(data).rows) == 2
    worst = shown_features(study, detection, best=False, count=1)[0]
    assert worst.windows[0].right is False
    assert {window.scorer for window in worst.windows} == {"detection"}


def test_two_judges_of_the_same_windows_are_compared(study: Study, history: LabelHistory) -> None:
    data = _scored(study, history)
    (pair,) = data.judge_pairs
    assert (pair.scorer, pair.one, pair.other, pair.features) == (
        "detection",
        "llm:other",
        "rule",
        3,
    )
    assert 0.8 < pair.found.same < 0.97  # one in ten was turned round
    assert pair.found.kappa.low > 0.3
    assert any("llm:other and rule" in row[0] for table in judges(data) for row in table.rows)


def test_costs_are_told_a_label_and_unknown_ones_are_not_nought(
    study: Study, history: LabelHistory
) -> None:
    data = _scored(study, history)
    rows = {row[0]: row for row in costs(data).rows}
    made = rows["labels made: peaks"]
    assert made[1:3] == ["llm:writer", "3"]
    assert made[-2:] == ["$0.00100", "$0.0030"]
    assert rows["labels scored: embedding+detection"][-1].startswith("$")


def test_measures_of_another_label_than_the_one_that_stands_are_left_out(
    study: Study, history: LabelHistory
) -> None:
    def record(feature: int, value: float, label: str | None) -> None:
        result = ScorerResult("output", value, 0.4, 0.9, floor=0.5, measure="auroc", judge="x")
        details = MeasuredDetails(results={"output": result}, label=label, study=study.id)
        history.record(
            study.info.sae_fingerprint,
            feature,
            MEASURED,
            source="x",
            method="output",
            details=details.to_json(),
        )

    record(0, 0.9, "another label")
    record(0, 0.7, next(iter(CONCEPTS)))
    record(1, 0.8, "another label")
    (found,) = gather(study, history).scorers
    assert [(f.feature, f.result.value) for f in found.features] == [(0, 0.7)]


@pytest.mark.slow
def test_the_file_is_whole_and_no_text_in_it_is_markup(
    study: Study, history: LabelHistory, tmp_path: Path
) -> None:
    _scored(study, history)
    path = tmp_path / "report.html"
    write_report(path, study, history)
    page = path.read_text("utf-8")
    assert HOSTILE not in page
    assert "onerror=alert" not in page.replace("\\u003cimg src=x onerror=alert(2)>", "")
    blocks = dict(
        re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', page, re.DOTALL)
    )
    sections = orjson.loads(blocks["data-sections"])
    assert next(s["title"] for s in sections) == "Scores"
    assert HOSTILE in str(sections)
    figures = [p for s in sections for p in s["parts"] if p["kind"] == "figure"]
    assert figures
    assert HOSTILE not in str(figures)
    # Nothing is loaded from anywhere, and only the scripts that lie in it run.
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy.group(1).startswith("default-src 'none'")
    for script in re.findall(r"<script>(.*?)</script>", page, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy.group(1)
    assert re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=", page) == []


@pytest.mark.slow
def test_the_command_writes_it(
    study: Study, history: LabelHistory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _scored(study, history)
    path = tmp_path / "out" / "r.html"
    assert main(["report", "--study", str(study.folder), "--output", str(path)]) == 0
    told = capsys.readouterr().out
    assert path.exists()
    assert "detection: " in told
    assert main(["report", "--study", "nothing-of-this-name"]) == 1


def test_a_study_without_scores_has_a_report_that_says_so(
    study: Study, history: LabelHistory, tmp_path: Path
) -> None:
    data = write_report(tmp_path / "r.html", study, history)
    assert data.scorers == ()
    assert "No label of this study is scored yet" in (tmp_path / "r.html").read_text("utf-8")


def test_rank_correlation_against_its_definition() -> None:
    one = np.array([0.1, 0.4, 0.4, 0.7, 0.2, 0.9, 0.5, 0.3])
    other = np.array([0.2, 0.3, 0.5, 0.6, 0.1, 0.8, 0.8, 0.4])
    found = spearman(one, other)
    assert found is not None
    # Mean ranks by hand: ties at 0.4 and at 0.8.
    a = np.array([1, 4.5, 4.5, 7, 2, 8, 6, 3])
    b = np.array([2, 3, 5, 6, 1, 7.5, 7.5, 4])
    expected = ((a - 4.5) * (b - 4.5)).sum() / np.sqrt(
        ((a - 4.5) ** 2).sum() * ((b - 4.5) ** 2).sum()
    )
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high
    assert spearman(one[:5], other[:5]) is None
    assert spearman(np.ones(9), np.arange(9.0)) is None


def test_pairs_with_nothing_to_say_are_told_and_not_drawn(
    study: Study, history: LabelHistory, tmp_path: Path
) -> None:
    data = _scored(study, history)
    assert data.scorer_pairs
    assert comparable(data.scorer_pairs) == []
    write_report(tmp_path / "report.html", study, history)
    assert NO_AGREEMENT in (tmp_path / "report.html").read_text("utf-8")
