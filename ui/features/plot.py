"""The scatter of a study's features; a box drawn in it becomes a range filter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from autointerp_core.explore.feature_index import Rows, Snapshot
from autointerp_core.explore.view import View
from ui import look, session
from ui.elements import charts
from ui.features import filters
from ui.navigation import looking

_COLUMNS = {
    "density": "density",
    "max": "max activation",
    "mean": "mean activation",
    "score": "label score",
    "input": "input score",
}


@dataclass
class Boxes:
    """How many boxes were drawn; each begins a fresh plot."""

    drawn: int = 0


def switch() -> None:
    """The control that shows and hides the plot."""
    look.switch("plot", "show_plot")
    st.toggle(
        "Plot",
        key="show_plot",
        help="All features of this view as points; a box drawn there becomes a filter",
        on_change=look.chosen_in,
        args=("plot", "show_plot"),
    )


def show(snapshot: Snapshot, view: View, rows: Rows) -> None:
    """The features of the view as points, where it is switched on."""
    with st.container(key="plot", gap="small"):
        if not session.widget("show_plot"):
            return
        known = [c for c in _COLUMNS if not np.isnan(snapshot.column(c).astype(float)).all()]
        names = dict(_COLUMNS, score=f"{snapshot.ranking(view.by)} score")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            x = _axis("across", known, 0, names)
            y = _axis("up", known, 1, names)
            look.switch("axes", "plot_log", default=True)
            log = st.toggle(
                "Log axes", key="plot_log", on_change=look.chosen_in, args=("axes", "plot_log")
            )
            st.caption("Draw a box to filter by it.", width="stretch")
        count = session.memory(Boxes).drawn
        st.plotly_chart(
            charts.scatter(
                snapshot.column(x, view.by)[rows],
                snapshot.column(y, view.by)[rows],
                snapshot.features[rows],
                names[x],
                names[y],
                log=log,
            ),
            # A new key after each box: the box is in the filter then, not in the plot.
            key=f"scatter_{count}",
            on_select=lambda: _boxed(f"scatter_{count}", x, y),
            selection_mode="box",
            config=charts.CONFIG,
            alt=f"{names[y]} against {names[x]} of {len(rows)} features",
        )


def _axis(side: str, known: list[str], default: int, names: dict[str, str]) -> str:
    key = f"plot_{side}"
    look.widget(side, key, known, known[min(default, len(known) - 1)])
    chosen: str = st.selectbox(
        side.capitalize(),
        known,
        key=key,
        format_func=names.__getitem__,
        label_visibility="collapsed",
        width=170,
        on_change=look.chosen_in,
        args=(side, key),
    )
    return chosen


def _boxed(key: str, x: str, y: str) -> None:
    boxes: list[dict[str, Any]] = session.widget(key).selection.box
    if not boxes:
        return
    view = looking().view
    for name, side in ((x, "x"), (y, "y")):
        low, high = (float(value) for value in sorted(boxes[0][side]))
        if math.isfinite(low) and math.isfinite(high):
            view = view.with_range(name, (low, high))
    session.memory(Boxes).drawn += 1
    filters.redraw()
    filters.go(view)
