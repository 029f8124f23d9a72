"""What is shown of a label's scores: read from the history, put into numbers and words.

Pure data: no Streamlit here. Scores come from events that anybody may have written, so
whatever in them is no number counts as unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from autointerp_core.labels.scoring.measures import MEASURES
from autointerp_core.labels.scoring.natural_density import f1_floor
from autointerp_core.labels.scoring.scorers import SCORERS
from autointerp_core.store.history import Proposal
from autointerp_core.store.score_values import ScorerResult

ABOUT = (
    "How well the label tells text that the feature fires on from text that it does not fire "
    "on. Which label is proposed was chosen on one part of the documents (validate); the number "
    "shown comes from another (test). The labeller saw neither."
)
NOT_SCORED = "not scored yet"
_WORDS = {
    "auroc": "AUROC: the chance that a window it fires on is ranked above a silent one",
    "balanced accuracy": "balanced accuracy: the mean of the shares of windows judged rightly, "
    "firing and silent",
    "accuracy": "accuracy: the share of questions answered rightly",
    "average precision": "average precision: how pure the strongest texts are in the label's own",
}


@dataclass(frozen=True)
class Shown:
    """One scorer's result. NaN: unknown, say because there were too few windows."""

    name: str
    value: float
    floor: float
    low: float
    high: float
    shuffled: float
    n: int | None = None
    missing: int = 0
    easy: float = math.nan
    hard: float = math.nan
    measure: str = ""
    judge: str = ""
    reason: str = ""
    """Why there is no value."""
    more: tuple[tuple[str, str], ...] = ()
    """Against harder windows, and at the feature's density, as names and values."""

    @classmethod
    def read(cls, name: str, raw: Any) -> Shown:
        """From what a scored event holds: a mapping, or (of old or foreign events) a number."""
        found = ScorerResult.from_json(name, raw)
        return cls(
            name=name,
            value=_known(found.value),
            floor=_known(found.floor),
            low=_known(found.low),
            high=_known(found.high),
            shuffled=_known(found.shuffled),
            n=found.n,
            missing=found.n_missing,
            easy=_known(found.easy),
            hard=_known(found.hard),
            measure=found.measure,
            judge=found.judge,
            reason=found.reason or "",
            more=tuple(_harder(found) + _at_density(found)),
        )

    @property
    def known(self) -> bool:
        return not math.isnan(self.value)

    @property
    def above_floor(self) -> bool | None:
        """Whether the whole interval is above the floor; None where that is not known."""
        if not self.known or math.isnan(self.floor) or math.isnan(self.low):
            return None
        return self.low > self.floor

    def interval(self) -> str:
        """``0.74–0.93``, empty where unknown."""
        return "" if math.isnan(self.low) or math.isnan(self.high) else _span(self.low, self.high)

    def baseline(self) -> str:
        """``floor 0.50 · shuffled 0.51 · 40 windows``, as far as it is known."""
        if not self.known:
            return self.reason
        parts = [f"floor {self.floor:.2f}"] if not math.isnan(self.floor) else []
        parts += [f"shuffled {self.shuffled:.2f}"] if not math.isnan(self.shuffled) else []
        if self.n is not None:
            parts.append(f"{self.n:,} window{'' if self.n == 1 else 's'}")
        return " · ".join(parts)

    def line(self) -> str:
        """All of it in one line of plain text, for whoever cannot see the drawing."""
        value = f"{self.name} {self.value:.2f}" if self.known else f"{self.name}: no score"
        interval = f" (95 % interval {self.interval()})" if self.interval() else ""
        verdict = ", not above chance" if self.above_floor is False else ""
        rest = self.baseline().replace(" · ", ", ")
        return value + interval + (f", {rest}" if rest else "") + verdict

    def facts(self) -> list[tuple[str, str]]:
        """Everything there is to know, as names and values."""
        numbers = (
            ("Easy silent windows", self.easy),
            ("Hard silent windows", self.hard),
            ("Chance floor", self.floor),
            ("Other features' labels", self.shuffled),
        )
        found = [("Value", f"{self.value:.3f}")] if self.known else []
        found += [("No score", self.reason)] if self.reason and not self.known else []
        found += [("95 % interval", self.interval())] if self.interval() else []
        found += [(name, f"{value:.3f}") for name, value in numbers if not math.isnan(value)]
        found += self.more
        if self.n is not None:
            missing = f", {self.missing:,} more without a judgement" if self.missing else ""
            found.append(("Judged windows", f"{self.n:,}{missing}"))
        about = SCORERS[self.name].about if self.name in SCORERS else _about_measure(self.name)
        found += [("Judge", self.judge + (f" ({about})" if about else ""))] if self.judge else []
        found += [("Measure", _WORDS.get(self.measure, self.measure))] if self.measure else []
        return found


def shown(proposal: Proposal | None) -> list[Shown]:
    """A proposal's scores on test documents, in the order in which they are told."""
    if proposal is None:
        return []
    order = SCORERS.names
    names = sorted(proposal.scores, key=lambda n: (order.index(n) if n in order else 9, n))
    return [Shown.read(name, proposal.scores[name]) for name in names]


def why_not(proposal: Proposal | None) -> str:
    """Why a proposal has no score, in a few words; empty where it has one. None: not scored."""
    if proposal is None:
        return NOT_SCORED
    if any(score.known for score in shown(proposal)):
        return ""
    if proposal.score is not None:
        return "compared on validate alone, not tested"
    reason = proposal.unscored
    reason = reason or next((score.reason for score in shown(proposal) if score.reason), "")
    return f"not scored: {reason}" if reason else NOT_SCORED


def _about_measure(name: str) -> str:
    """How a measure finds out what this result says; empty where it is none's."""
    return next((each.about for each in MEASURES.values() if name in each.results), "")


def _harder(found: ScorerResult) -> list[tuple[str, str]]:
    kinds = (
        ("Neighbours' silent windows", found.neighbour, found.n_neighbour),
        ("Silent windows most like the label", found.near, found.n_near),
    )
    return [(name, f"{value:.3f} of {n}") for name, value, n in kinds if value is not None]


def _at_density(found: ScorerResult) -> list[tuple[str, str]]:
    """AUPRC, F1 and correlation, each with its interval and floor."""
    density = found.density
    if density is None:
        return []
    figures = (
        ("AUPRC", found.auprc, found.auprc_low, found.auprc_high, density),
        ("F1", found.f1, found.f1_low, found.f1_high, f1_floor(density)),
        ("Correlation", found.correlation, found.correlation_low, found.correlation_high, 0.0),
    )
    lines = [("Fires in", f"{density:.2%} of windows")]
    for name, value, low, high, floor in figures:
        if value is not None and low is not None and high is not None:
            lines.append((name, f"{value:.3f} ({_span(low, high)}), floor {floor:.3f}"))
    return lines + ([("Fit", f"{found.fit:.3f}, floor 0.500")] if found.fit is not None else [])


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _span(low: float, high: float) -> str:
    return f"{low:.2f}–{high:.2f}"
