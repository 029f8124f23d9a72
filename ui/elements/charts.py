"""Plotly figures: the activation histogram of a feature, and the scatter of all features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from autointerp_core.store.study import Histogram

CONFIG = {"displayModeBar": False, "displaylogo": False, "scrollZoom": False}
_MARGIN = {"l": 44, "r": 8, "t": 8, "b": 34}
_MOST_POINTS = 6_000
# Middle tones that stand out from a light and from a dark page.
_BLUE, _ORANGE = "#5b8fc0", "#d97706"


def histogram(found: Histogram, shown: Sequence[float]) -> go.Figure:
    """How often each activation occurs (log counts), the shown examples as ticks below."""
    edges = np.asarray(found.edges)
    counts = np.asarray(found.counts)
    figure = go.Figure()
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges) * 0.94,
        marker={"color": _BLUE, "line": {"width": 0}},
        hovertemplate="%{y:,} firings near %{x:.3g}<extra></extra>",
        showlegend=False,
    )
    floor = 0.55
    figure.add_scatter(
        x=list(shown),
        y=[floor] * len(shown),
        mode="markers",
        marker={
            "symbol": "line-ns-open",
            "size": 9,
            "color": _ORANGE,
            "line": {"width": 1.6, "color": _ORANGE},
        },
        hovertemplate="example shown: %{x:.4g}<extra></extra>",
        showlegend=False,
    )
    top = max(int(counts.max(initial=1)), 2)
    figure.update_layout(height=190, margin=_MARGIN, bargap=0, dragmode=False)
    figure.update_xaxes(
        title="activation (ticks: the examples shown)", rangemode="tozero", fixedrange=True
    )
    figure.update_yaxes(
        title="firings",
        type="log",
        range=[np.log10(0.4), np.log10(top * 1.5)],
        fixedrange=True,
        dtick=1,
        exponentformat="SI",
    )
    return figure


def scatter(
    x: NDArray[Any], y: NDArray[Any], features: NDArray[Any], x_name: str, y_name: str, *, log: bool
) -> go.Figure:
    """Features as points; more than a few thousand are thinned out, evenly and repeatably."""
    keep = np.isfinite(x) & np.isfinite(y)
    if log:
        keep &= (x > 0) & (y > 0)
    places = np.flatnonzero(keep)
    if len(places) > _MOST_POINTS:
        places = np.sort(np.random.default_rng(0).choice(places, _MOST_POINTS, replace=False))
    figure = go.Figure()
    figure.add_scattergl(
        x=x[places],
        y=y[places],
        customdata=features[places],
        mode="markers",
        marker={"size": 4, "opacity": 0.55, "color": _BLUE},
        hovertemplate="feature %{customdata}<br>%{x:.3g}, %{y:.3g}<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(height=300, margin=_MARGIN, dragmode="select")
    kind = "log" if log else "linear"
    step = 1 if log else None
    figure.update_xaxes(title=x_name, type=kind, exponentformat="power", dtick=step)
    figure.update_yaxes(title=y_name, type=kind, exponentformat="power", dtick=step)
    return figure
