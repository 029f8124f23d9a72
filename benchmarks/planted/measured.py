"""What the benchmarks of planted features share: labels put down, intruders, rows of a mean."""

from __future__ import annotations

from pathlib import Path

from autointerp_core.labels.config import ScoreConfig
from autointerp_core.labels.scoring.measures.intruder import INTRUDER
from autointerp_core.labels.scoring.measuring import score_and_measure
from autointerp_core.labels.scoring.report import ScorerSummary
from autointerp_core.store.events import IMPORTED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from benchmarks.planted.judge import PlantedChoiceJudge
from benchmarks.report import Row


def measured_intruders(study: Study, place: Path) -> ScorerSummary:
    """Intruder detection of all features, by the judge that knows how they were planted."""
    with LabelHistory.open(place) as history:
        report = score_and_measure(
            study,
            study.features.tolist(),
            history,
            ScoreConfig(scorers=(INTRUDER,)),
            choice_judge=PlantedChoiceJudge(),
        )
    return report.scorers[INTRUDER]


def put_labels(history: LabelHistory, study: Study, labels: dict[int, str]) -> None:
    """Record labels as somebody's own import."""
    history.record_many(
        NewEvent(study.info.sae_fingerprint, feature, IMPORTED, text, source="import:planted")
        for feature, text in labels.items()
    )


def mean_row(name: str, found: ScorerSummary, limit: float | None = None) -> Row:
    """The mean of features, at least ``limit``; its interval and floor in the note."""
    note = (
        f"{found.low:.3f} to {found.high:.3f}, floor {found.floor:.2f}, {found.features} features"
    )
    return Row(name, found.mean, limit, ">=", note=note)


def floor_row(name: str, found: ScorerSummary) -> Row:
    """The lower end of the interval, which is to reach down to the floor."""
    return Row(name, found.low, found.floor, "<=")
