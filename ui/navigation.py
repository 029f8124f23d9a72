"""Where a feature stands in a view, and its neighbours there."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.view import SORTS, View
from ui import problems, session


@dataclass
class Looking:
    """What the session remembers of looking through a study's features."""

    view: View = field(default_factory=View)
    """The filter and order of the table."""
    picked: set[int] = field(default_factory=set)
    """Features ticked in the table."""
    ticked: int = 0
    """The last change of the ticks that was heard of, by the browser's count."""
    feature: int | None = None
    """The one looked at last."""
    place: tuple[tuple[object, int], int] | None = None
    """Where a feature stood in a view when it was last seen in it."""


def looking() -> Looking:
    """The memory of the study picked."""
    return session.study_memory(Looking)


def absent(d_sae: int, snapshot: Snapshot, feature: int) -> str:
    """Why a feature cannot be shown."""
    if feature >= d_sae:
        return f"feature {feature} is not in this study: this SAE has 0–{d_sae - 1:,}"
    return (
        f"feature {feature} is not in this study ({len(snapshot):,} of {d_sae:,} features "
        "extracted); extract it first"
    )


def no_feature(text: str) -> None:
    """Say that what was typed, or stands in the address, is no feature number."""
    problems.problem(f"“{text}” is no feature number; type one, such as 42", "Not a feature")


@dataclass(frozen=True)
class Place:
    """``number`` is None where the feature is not (or no longer) in the view."""

    number: int | None
    total: int
    previous: int | None
    next: int | None
    listed: bool = True
    """Whether the study's table holds it; others are opened from kept firings."""

    def text(self, view: View, ranking: str = "") -> str:
        """``37 of 412 · by density``; ``ranking``: the scorer whose scores the view means."""
        absent = "not in this filter" if self.listed else "not in the table: nobody asked for it"
        where = absent if self.number is None else f"{self.number:,} of {self.total:,}"
        order = f"{ranking} score" if view.sort == "score" and ranking else SORTS[view.sort].lower()
        order += ", largest first" if view.descending else ""
        kind = "filtered, " if view.filtered else ""
        return f"{where} · {kind}by {order}"


def find_place(snapshot: Snapshot, view: View, feature: int) -> Place:
    """The place of ``feature`` in ``view``.

    A decision may take a feature out of its own filter. Then its neighbours are those of
    the place it had when it was last seen there, so that *next* does not start over.
    """
    order = snapshot.order(view)
    at = snapshot.at(feature)
    found = np.flatnonzero(order == at) if at is not None else np.zeros(0, dtype=np.int64)
    key = (view.order_key(), feature)
    if len(found):
        index = int(found[0])
        looking().place = (key, index)
        return Place(
            index + 1, len(order), _at(snapshot, order, index - 1), _at(snapshot, order, index + 1)
        )
    kept = looking().place
    index = kept[1] if kept is not None and kept[0] == key else 0
    before, after = _at(snapshot, order, index - 1), _at(snapshot, order, index)
    return Place(None, len(order), before, after, listed=at is not None)


def _at(snapshot: Snapshot, order: np.ndarray, index: int) -> int | None:
    return int(snapshot.features[order[index]]) if 0 <= index < len(order) else None
