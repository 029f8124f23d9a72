"""The number columns of a table of features, and what a click on a header asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.view import View
from ui.elements.table import INPUT, SCORE_SORT, Column, score_column

_LARGEST_FIRST = ("density", "max", "mean", "score", "input")


def number_columns(
    snapshot: Snapshot, view: View, here: NDArray[np.int64]
) -> list[tuple[Column, list[float]]]:
    """A column a scorer, and one of input scores where there are any; of the rows ``here``."""
    ranking = snapshot.ranking(view.by)
    found = [
        (score_column(name, ranks=name == ranking), snapshot.scores[name][here].tolist())
        for name in snapshot.scorers
    ]
    given = snapshot.column("input")
    if not np.isnan(given).all():
        found.append((INPUT, given[here].tolist()))
    return found


def sorted_by(view: View, header: str) -> View:
    """The view after a click on a header: that column, numbers largest first; again turns it round.

    A scorer's header makes it the one that ranks.
    """
    column, by = header, view.by
    if header.startswith(SCORE_SORT):
        column, by = "score", header.removeprefix(SCORE_SORT)
    same = view.sort == column and view.by in ("", by)
    descending = not view.descending if same else column in _LARGEST_FIRST
    return replace(view, sort=column, by=by, descending=descending, page=1)
