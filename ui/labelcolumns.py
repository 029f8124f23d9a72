"""What the table knows of each feature's label, as columns: filled in when a label changes.

A page that sorts or filters 131,072 features then only touches arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from autointerp_core.store.history import LabelState, Proposal
from ui.view import STATUSES

_UNKNOWN = 0.5


def agreement(state: LabelState) -> float:
    """How far the LLM's and the search label say the same: 1 the same, 0 not at all, NaN one.

    Where both have scores of the same kind, what counts is whether they explain the feature
    equally well: two labels in different words may mean the same, and then score alike. The
    difference is measured in units of the way from chance to perfect. Without such scores
    only the words can be compared; the same words are agreement, different ones may or may
    not be, so they stay in the middle at most.
    """
    if not state.label_llm or not state.label_search:
        return float("nan")
    left, right = (set(text.lower().split()) for text in (state.label_llm, state.label_search))
    same = len(left & right) / max(len(left | right), 1)
    if same == 1.0:
        return 1.0
    gap = _gap(
        _scored(state, "llm:", state.label_llm), _scored(state, "search", state.label_search)
    )
    return 1.0 - (min(gap, 1.0) if gap is not None else (1.0 - same) * _UNKNOWN)


def _scored(state: LabelState, source: str, text: str) -> Mapping[str, Any]:
    found = [p for p in state.proposals if p.text == text and p.source.startswith(source)]
    return _scores(found)


def _scores(proposals: list[Proposal]) -> Mapping[str, Any]:
    """Scores of the newest of some proposals that has any."""
    return next((p.scores for p in reversed(proposals) if p.scores), {})


def _gap(left: Mapping[str, Any], right: Mapping[str, Any]) -> float | None:
    """Mean distance of the scores both have, 1 being the way from the floor to 1."""
    gaps = []
    for name, value in left.items():
        (one, floor), (other, _) = _value(value), _value(right.get(name))
        if one is not None and other is not None:
            gaps.append(abs(one - other) / max(1.0 - floor, 0.05))
    return sum(gaps) / len(gaps) if gaps else None


def _value(raw: Any) -> tuple[float | None, float]:
    found = raw if isinstance(raw, Mapping) else {"value": raw}
    floor = _real(found.get("floor"))
    return _real(found.get("value")), 0.5 if floor is None else floor


def _real(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and math.isfinite(value) else None


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


LABEL_COLUMNS: dict[str, tuple[Any, Callable[[LabelState], Any]]] = {
    "label_objects": (object, lambda state: state.label),
    "sources": (object, lambda state: state.label_source),
    "status": (np.int8, lambda state: STATUSES.index(state.status)),
    "flagged": (bool, lambda state: state.flagged),
    "noted": (bool, lambda state: bool(state.note)),
    "has_llm": (bool, lambda state: state.label_llm is not None),
    "has_search": (bool, lambda state: state.label_search is not None),
    "score": (np.float64, lambda state: _number(state.test_score if state.proposals else None)),
    "agreement": (np.float64, agreement),
}
"""Name in :class:`~ui.index.Snapshot`, kind of value, and how it is read from a state."""
