"""What a scorer found of a label, and how such numbers are compared: in one place for all.

``to_json`` gives what is stored; its keys and their order are a file format. ``from_json`` takes
whatever is there: what is missing, or is no number, is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

RANKING = ("detection", "fuzzing", "embedding")
"""Which scorer's number ranks where nobody chose another: the first of these that all labels to
be compared have, then those that are not named here. Numbers of different scorers are never put
together: they measure different things on different scales.

A language model that reads the text sees what a label means; fuzzing asks besides whether the
right tokens fire, which small judges answer worse; likeness of meaning is blind to patterns."""
CHANCE = 0.5
"""What every scorer gives to a label that says nothing: what a label is compared at that the
ranking scorer cannot judge."""
_CANNOT = "this scorer cannot judge it"


@dataclass(frozen=True)
class ScorerResult:
    """How well a label tells active from silent windows, by one scorer."""

    name: str
    """The scorer's."""
    value: float | None
    """None where one of the classes has no judgement; ``reason`` says so."""
    low: float | None = None
    high: float | None = None
    shuffled: float | None = None
    """The same judge and windows with the label of another feature (mean of several)."""
    n: int | None = None
    """Judgements in the value."""
    n_missing: int = 0
    n_active: int | None = None
    n_easy: int | None = None
    n_hard: int | None = None
    easy: float | None = None
    """Against the easy silent windows alone."""
    hard: float | None = None
    measure: str = ""
    judge: str = ""
    floor: float | None = None
    """What the measure gives for a judge that says the same of every window."""
    reason: str | None = None
    """Why there is no value."""
    auroc: float | None = None
    """Of a judge's probabilities, where they are more than yes and no: above the floor although
    the balanced accuracy is not, where a judge can tell windows apart but leans to one answer."""
    hit: float | None = None
    """Of a judge that says yes or no: share of active windows that it said yes to."""
    rejected: float | None = None
    """Share of silent windows that it said no to."""
    neighbour: float | None = None
    """Against silent windows in which features much like it fire."""
    near: float | None = None
    """Against the silent windows of the part that are most like the label."""
    n_neighbour: int | None = None
    n_near: int | None = None
    density: float | None = None
    """Share of windows in which the feature fires: what AUPRC, F1 and correlation are at."""
    n_random: int | None = None
    """Random silent windows these three rest on. None: of an event before version 2."""
    auprc: float | None = None
    auprc_low: float | None = None
    auprc_high: float | None = None
    f1: float | None = None
    f1_low: float | None = None
    f1_high: float | None = None
    correlation: float | None = None
    correlation_low: float | None = None
    correlation_high: float | None = None
    fit: float | None = None
    """What labels are compared by on validate, here on test; ``scored`` events of version 2 had
    another figure here, correlation with every word counting once."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, numbers to four digits, null where unknown."""
        written = {key: rounded(value, 4) for key, value in asdict(self).items()}
        return {k: v for k, v in written.items() if v is not None or k not in SINCE_VERSION_2}

    @classmethod
    def from_json(cls, name: str, raw: Any) -> Self:
        """From a mapping, or (of old or foreign events) from the value alone."""
        found: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {"value": raw}
        numbers: dict[str, Any] = {key: count(found.get(key)) for key in _COUNTS}
        numbers |= {key: number(found.get(key)) for key in _VALUES}
        return cls(
            name=name,
            n_missing=count(found.get("n_missing")) or 0,
            measure=str(found.get("measure") or ""),
            judge=str(found.get("judge") or ""),
            reason=str(found["reason"]) if found.get("reason") else None,
            **numbers,
        )


_COUNTS = tuple(f.name for f in fields(ScorerResult) if f.type == "int | None")
_VALUES = tuple(f.name for f in fields(ScorerResult) if f.type == "float | None")
"""Read by kind, so that a field that is written is a field that is read."""
SINCE_VERSION_2 = frozenset(
    {
        *("hit", "rejected"),
        *("neighbour", "near", "n_neighbour", "n_near", "density", "n_random", "fit"),
        *(f"{n}{end}" for n in ("auprc", "f1", "correlation") for end in ("", "_low", "_high")),
    }
)
"""What a result has only where it was measured."""


def by_rank(names: Iterable[str]) -> list[str]:
    """Names of scorers in the order of :data:`RANKING`, others by name after them."""
    return sorted(names, key=lambda n: (RANKING.index(n) if n in RANKING else len(RANKING), n))


def ranking_value(scores: Mapping[str, Any]) -> float | None:
    """The value of the first scorer in :data:`RANKING` that has one; never a mixture of several.

    Of scores by name, each a number or a mapping with a ``"value"``.
    """
    names = by_rank(scores) if len(scores) > 1 else scores
    return next((found for n in names if (found := value_of(scores[n])) is not None), None)


def value_of(score: Any) -> float | None:
    """The value of a score: a number, or a mapping with a ``"value"``."""
    return number(score.get("value") if isinstance(score, Mapping) else score)


def refusal(why: str) -> str:
    """The ``reason`` of a score of a label that its scorer cannot judge."""
    return f"{_CANNOT}: {why}"


def is_refusal(score: Any) -> bool:
    """Whether a score says, in its ``reason``, that its scorer cannot judge the label."""
    reason = score.get("reason") if isinstance(score, Mapping) else None
    return value_of(score) is None and isinstance(reason, str) and reason.startswith(_CANNOT)


def judge_of(score: Any) -> str | None:
    """Who judged a score; None where that is not said."""
    return score.get("judge") if isinstance(score, Mapping) else None


def number(value: Any) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return found if math.isfinite(found) else None


def count(value: Any) -> int | None:
    """A number of things: an integer of 0 or more; None for anything else."""
    found = number(value)
    return int(found) if found is not None and found >= 0 else None


def rounded(value: Any, digits: int) -> Any:
    """A float to so many digits; anything else as it is."""
    return round(value, digits) if isinstance(value, float) else value
