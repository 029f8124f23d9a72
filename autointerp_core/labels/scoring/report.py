"""What a scoring run did, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autointerp_core.labels.scoring.score_statistics import FLOOR, mean_interval


@dataclass
class ScorerSummary:
    """One scorer over the features of a run: of each, the label that stands after scoring.

    Means over features; intervals are 95 %, by the spread between and within features.
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
    without: dict[str, str] = field(default_factory=dict)
    """Scorers that were asked for and have no value of any feature, and why: a sentence each."""
    missing: int = 0
    """Judgements that could not be had."""
    missing_by: dict[str, int] = field(default_factory=dict)
    """The same by scorer."""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None
    """US dollars; None where no price is known."""
    stopped: str | None = None
    """Why the run ended early (a budget); else None."""
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._why: dict[str, Counter[str]] = {}

    def add_missing(self, scorer: str, errors: Iterable[str]) -> None:
        """Count judgements that were asked for in vain; ``errors``: why, one each."""
        found = Counter(errors)
        if found:
            self._why.setdefault(scorer, Counter()).update(found)
            self.missing += found.total()
            self.missing_by[scorer] = self.missing_by.get(scorer, 0) + found.total()

    def explain(self, scorer: str, reasons: Iterable[str]) -> None:
        """Say that a scorer has no value; ``reasons``: of features, where nothing is missing."""
        missing, why = self.missing_by.get(scorer, 0), self._why.get(scorer)
        if why:
            judgements = "judgement" if missing == 1 else "judgements"
            sentence = f"{missing} {judgements} missing (commonest reason: {_commonest(why)})"
        else:
            said = Counter(reasons) or Counter(self.unscored)
            sentence = _commonest(said) if said else self.stopped or "nothing was judged"
        self.without[scorer] = f"no score, {sentence}"

    def add_unscored(self, reason: str) -> None:
        self.unscored[reason] = self.unscored.get(reason, 0) + 1


def summarise(scores: Sequence[Mapping[str, Any]]) -> ScorerSummary | None:
    """Of one scorer's scores as JSON, one a feature; None where none has a value."""
    valued = [score for score in scores if score.get("value") is not None]
    found = mean_interval([score["value"] for score in valued], _intervals(valued))
    if found is None:
        return None
    based = [score for score in valued if score.get("shuffled") is not None]
    # On the same windows, so about as uncertain as the label's own value.
    shuffled = mean_interval(_numbers(based, "shuffled"), _intervals(based, "shuffled"))
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


def _intervals(
    scores: Sequence[Mapping[str, Any]], around: str = "value"
) -> list[tuple[float, float]]:
    """The interval of each score, moved to another of its values; none where one lacks it."""
    if any(score.get("low") is None or score.get("high") is None for score in scores):
        return []
    moved = [(score, score[around] - score["value"]) for score in scores]
    return [(max(0.0, s["low"] + by), min(1.0, s["high"] + by)) for s, by in moved]


def _commonest(said: Counter[str]) -> str:
    return said.most_common(1)[0][0]
