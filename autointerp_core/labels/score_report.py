"""What a scoring run did, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autointerp_core.labels.scores import FLOOR, mean_interval


@dataclass
class ScorerSummary:
    """One scorer over the features of a run: of each, the label that stands after scoring.

    Means over features; intervals are 95 %, by the spread between features.
    """

    measure: str
    judge: str
    features: int
    mean: float
    low: float
    high: float
    floor: float
    shuffled: float | None
    """What labels of other features get on the same windows."""
    shuffled_low: float | None
    shuffled_high: float | None
    easy: float | None
    hard: float | None
    n: int
    n_missing: int


@dataclass
class ScoreReport:
    """What a run did."""

    features: int = 0
    """Whose label has a score now."""
    labels: int = 0
    """Different texts judged in this run."""
    reused: int = 0
    """Texts judged before in exactly this way."""
    unlabelled: int = 0
    """Features without any label."""
    unscored: dict[str, int] = field(default_factory=dict)
    """Features without a score, by reason."""
    too_few: dict[int, int] = field(default_factory=dict)
    """Features that fire in too few test documents, and in how many they do."""
    scorers: dict[str, ScorerSummary] = field(default_factory=dict)
    missing: int = 0
    """Judgements that could not be had."""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None
    """US dollars; None where no price is known."""
    stopped: str | None = None
    """Why the run ended early (a budget); else None."""
    notices: list[str] = field(default_factory=list)

    def add_unscored(self, reason: str) -> None:
        self.unscored[reason] = self.unscored.get(reason, 0) + 1


def summarise(scores: Sequence[Mapping[str, Any]]) -> ScorerSummary | None:
    """Of one scorer's scores as JSON, one a feature; None where none has a value."""
    valued = [score for score in scores if score.get("value") is not None]
    found = mean_interval([score["value"] for score in valued])
    if found is None:
        return None
    shuffled = mean_interval(_numbers(valued, "shuffled"))
    easy, hard = (mean_interval(_numbers(valued, name)) for name in ("easy", "hard"))
    return ScorerSummary(
        measure=valued[0]["measure"],
        judge=valued[0]["judge"],
        features=len(valued),
        mean=found.value,
        low=found.low,
        high=found.high,
        floor=FLOOR,
        shuffled=shuffled.value if shuffled else None,
        shuffled_low=shuffled.low if shuffled else None,
        shuffled_high=shuffled.high if shuffled else None,
        easy=easy.value if easy else None,
        hard=hard.value if hard else None,
        n=sum(score["n"] for score in valued),
        n_missing=sum(score["n_missing"] for score in valued),
    )


def _numbers(scores: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [score[name] for score in scores if score.get(name) is not None]
