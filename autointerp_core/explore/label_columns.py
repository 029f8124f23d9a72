"""What the table knows of each feature's label, as columns: filled in when a label changes.

A page that sorts or filters 131,072 features then only touches arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autointerp_core.explore.view import STATUSES
from autointerp_core.store.history import LabelState, Proposal
from autointerp_core.store.score_values import CHANCE, by_rank


def agreement(state: LabelState) -> float:
    """How far the LLM's and the search label say the same: 1 the same, 0 not at all, NaN one.

    Where one scorer judged both, what counts is whether they explain the feature equally well:
    two labels in different words may mean the same, and then score alike. The difference is
    measured in units of the way from chance to perfect, by the scorer that ranks. Without such
    scores only the words can be compared; the same words are agreement, different ones may or
    may not be, so they stay in the middle at most.
    """
    llm, search = state.label_llm, state.label_search
    if not llm or not search:
        return float("nan")
    left, right = _scored(state.proposals, llm), _scored(state.proposals, search)
    if left is not None and right is not None:
        for scorer in by_rank(left.scores.keys() & right.scores.keys()):
            mine, other = left.test_by(scorer), right.test_by(scorer)
            if mine is not None and other is not None:
                return 1.0 - min(abs(mine - other) / (1.0 - CHANCE), 1.0)
    one, two = set(llm.lower().split()), set(search.lower().split())
    return 0.5 + 0.5 * len(one & two) / max(len(one | two), 1)


def _scored(proposals: tuple[Proposal, ...], text: str) -> Proposal | None:
    """The newest tested proposal of a text."""
    for proposal in reversed(proposals):
        if proposal.text == text and proposal.test_score is not None:
            return proposal
    return None


def scores_of(state: LabelState) -> dict[str, float]:
    """By scorer, what the current label got on test documents."""
    shown = state.shown()
    if shown is None or not shown.scores:
        return {}
    return {n: found for n in shown.scores if (found := shown.test_by(n)) is not None}


LABEL_COLUMNS: dict[str, tuple[Any, Callable[[LabelState], Any]]] = {
    "label_objects": (object, lambda state: state.label),
    "sources": (object, lambda state: state.label_source),
    "status": (np.int8, lambda state: STATUSES.index(state.status)),
    "flagged": (bool, lambda state: state.flagged),
    "noted": (bool, lambda state: bool(state.note)),
    "has_llm": (bool, lambda state: state.label_llm is not None),
    "has_search": (bool, lambda state: state.label_search is not None),
    "agreement": (np.float64, agreement),
}
"""Name in :class:`~.feature_index.Snapshot`, kind of value, and how it is read from a state."""
