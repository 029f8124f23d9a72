"""What a scoring run did, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from autointerp_core.labels.scoring.calibration import read_calibrations
from autointerp_core.labels.scoring.score_statistics import FLOOR, mean_interval
from autointerp_core.store.score_values import ScorerResult


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
    corrected: float | None = None
    """Of all windows together, had the judge not erred; None where its errors are not known."""
    corrected_low: float | None = None
    corrected_high: float | None = None


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

    def add(self, other: ScoreReport) -> None:
        """Count what another report counted; summaries are made of results, not of reports."""
        for name in ("features", "labels", "reused", "unlabelled", "missing"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out
        if other.cost is not None:
            self.cost = (self.cost or 0.0) + other.cost
        self.unscored = dict(Counter(self.unscored) + Counter(other.unscored))
        self.missing_by = dict(Counter(self.missing_by) + Counter(other.missing_by))
        self.too_few |= other.too_few
        for scorer, why in other._why.items():
            self._why.setdefault(scorer, Counter()).update(why)
        self.stopped = other.stopped or self.stopped
        self.notices += other.notices

    def to_json(self) -> dict[str, Any]:
        """What was counted, for another process."""
        counts = {name: getattr(self, name) for name in _COUNTED}
        too_few = [[feature, documents] for feature, documents in self.too_few.items()]
        return {**counts, "too_few": too_few, "why": self._why}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` gave."""
        made = cls(**{name: raw[name] for name in _COUNTED}, too_few=dict(raw["too_few"]))
        made._why = {scorer: Counter(why) for scorer, why in raw["why"].items()}
        return made

    def add_unscored(self, reason: str) -> None:
        self.unscored[reason] = self.unscored.get(reason, 0) + 1


_COUNTED = (
    *("features", "labels", "reused", "unlabelled", "unscored", "missing", "missing_by"),
    *("tokens_in", "tokens_out", "cost", "stopped", "notices"),
)


def summarise(results: Sequence[ScorerResult]) -> ScorerSummary | None:
    """Of one scorer's results, one a feature; None where none has a value."""
    valued = [result for result in results if result.value is not None]
    found = mean_interval(_numbers(valued, "value"), _intervals(valued, "value"))
    if found is None:
        return None
    based = [result for result in valued if result.shuffled is not None]
    # On the same windows, so about as uncertain as the label's own value.
    shuffled = mean_interval(_numbers(based, "shuffled"), _intervals(based, "shuffled"))
    easy, hard = (mean_interval(_numbers(valued, name)) for name in ("easy", "hard"))
    corrected = read_calibrations().corrected_together(valued)
    return ScorerSummary(
        measure=valued[0].measure,
        judge=valued[0].judge,
        features=len(valued),
        mean=found.value,
        low=found.low,
        high=found.high,
        floor=FLOOR if valued[0].floor is None else valued[0].floor,
        shuffled=shuffled.value if shuffled else None,
        shuffled_low=shuffled.low if shuffled else None,
        shuffled_high=shuffled.high if shuffled else None,
        easy=easy.value if easy else None,
        hard=hard.value if hard else None,
        n=sum(result.n or 0 for result in valued),
        n_missing=sum(result.n_missing for result in valued),
        corrected=corrected.value if corrected else None,
        corrected_low=corrected.low if corrected else None,
        corrected_high=corrected.high if corrected else None,
    )


def _numbers(results: Sequence[ScorerResult], name: str) -> list[float]:
    """One number of each result that has it."""
    return [value for result in results if (value := getattr(result, name)) is not None]


def _intervals(results: Sequence[ScorerResult], around: str) -> list[tuple[float, float]]:
    """The interval of each result, moved to another of its numbers; none where one lacks it."""
    found = []
    for result in results:
        if result.low is None or result.high is None or result.value is None:
            return []
        by = getattr(result, around) - result.value
        found.append((max(0.0, result.low + by), min(1.0, result.high + by)))
    return found


def _commonest(said: Counter[str]) -> str:
    return said.most_common(1)[0][0]
