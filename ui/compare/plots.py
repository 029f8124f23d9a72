"""Figures of a comparison. Beyond some thousand points a sample stands for all."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

_MOST_POINTS = 6_000
_BLUE, _ORANGE, _GREY = "#5b8fc0", "#d97706", "#9aa3ab"
_MARGIN = {"l": 52, "r": 8, "t": 8, "b": 40}


def _kept(places: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(places) <= _MOST_POINTS:
        return places
    return np.sort(np.random.default_rng(0).choice(places, _MOST_POINTS, replace=False))


def pairs(
    x: NDArray[Any],
    y: NDArray[Any],
    names: NDArray[Any],
    marked: NDArray[np.bool_],
    titles: tuple[str, str, str, str],
    *,
    log: bool,
) -> go.Figure:
    """Points of two kinds, ``marked`` in orange.

    Args:
        names: ``[N, 2]``, of each point the two numbers that its hover names.
        titles: of the axes; of the points that are marked and of the others.
    """
    fine = np.isfinite(x) & np.isfinite(y)
    if log:
        fine &= (x > 0) & (y > 0)
    figure = go.Figure()
    for chosen, colour, title in ((~marked, _GREY, titles[3]), (marked, _ORANGE, titles[2])):
        at = _kept(np.flatnonzero(fine & chosen))
        figure.add_scattergl(
            x=x[at],
            y=y[at],
            customdata=names[at],
            mode="markers",
            name=title,
            marker={"size": 4, "opacity": 0.6, "color": colour},
            hovertemplate="%{customdata[0]} · %{customdata[1]}<br>%{x:.3g}, %{y:.3g}"
            "<extra></extra>",
        )
    if log and fine.any():
        ends = [float(min(x[fine].min(), y[fine].min())), float(max(x[fine].max(), y[fine].max()))]
        figure.add_scatter(
            x=ends, y=ends, mode="lines", line={"color": _BLUE, "width": 1, "dash": "dot"},
            hoverinfo="skip", showlegend=False,
        )  # fmt: skip
    figure.update_layout(height=380, margin=_MARGIN, legend={"orientation": "h", "y": 1.08, "x": 0})
    kind: dict[str, Any] = {"range": (-0.05, 1.05)}
    if log:
        kind = {"type": "log", "dtick": 1, "exponentformat": "power"}
    figure.update_xaxes(title=titles[0], **kind)
    figure.update_yaxes(title=titles[1], **kind)
    return figure


def histogram(values: NDArray[Any], title: str) -> go.Figure:
    """How many pairs there are of each likeness."""
    counts, edges = np.histogram(values[np.isfinite(values)], bins=40, range=(0, 1))
    figure = go.Figure()
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2, y=counts, width=np.diff(edges) * 0.94,
        marker={"color": _BLUE, "line": {"width": 0}},
        hovertemplate="%{y:,} features near %{x:.2f}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(height=280, margin=_MARGIN, bargap=0)
    figure.update_xaxes(title=title)
    figure.update_yaxes(title="features")
    return figure
