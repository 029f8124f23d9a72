"""Scores drawn: value, interval and chance floor of each scorer on one scale from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autointerp_core.store.history import Proposal
from ui.elements import scores
from ui.elements.component import register
from ui.elements.scores import Shown
from ui.glossary import about

_SCORES = register("scores")
_LEGEND = [
    ["value", "score", about("Score")],
    ["range", "95 % interval", about("Interval")],
    ["guess", "up to chance", about("Floor")],
    ["others", "other features' labels", about("Shuffled")],
]


def panel(key: str, proposal: Proposal | None) -> None:
    """Every scorer's result, opening to all that is known of it; or why there is none."""
    if proposal is not None:
        why_not = scores.why_not(proposal)
        _draw(key, [] if why_not else scores.shown(proposal), why_not, compact=False)


def measured(key: str, found: Sequence[Shown]) -> None:
    """Results of measures, opening to all that is known of them."""
    _draw(key, found, "", compact=False)


def compact(key: str, proposal: Proposal | None, ranking: str) -> None:
    """A drawing a scorer for the page's title, that of ``ranking`` first; or why there is none."""
    found = [score for score in scores.shown(proposal) if score.known]
    found.sort(key=lambda score: score.name != ranking)
    _draw(key, found, "" if found else scores.why_not(proposal), compact=True)


def _draw(
    key: str,
    found: Sequence[Shown],
    why_not: str,
    *,
    compact: bool,
) -> None:
    _SCORES(
        key=key,
        data={
            "scores": [_data(score) for score in found],
            "why": why_not,
            "compact": compact,
            "about": scores.ABOUT,
            "legend": [] if compact else _LEGEND,
        },
    )


def _data(score: Shown) -> dict[str, Any]:
    places = {name: getattr(score, name) for name in ("value", "floor", "low", "high", "shuffled")}
    return {
        "name": score.name,
        "interval": score.interval(),
        "baseline": score.baseline(),
        "line": score.line(),
        "chance": score.above_floor is False,
        "facts": [list(fact) for fact in score.facts()],
        **{name: None if math.isnan(value) else value for name, value in places.items()},
    }
