"""A report's figures, for the app and for the file: plotly, numbers and our own words alone.

Nothing that a model, a person or a dataset wrote goes into a figure: plotly reads markup in text.
Features are named by number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from autointerp_core.labels.scoring.report import ScorerSummary
from autointerp_core.report.gather import ControlReport, ScorerReport
from autointerp_core.report.rank_agreement import ScorerPair
from autointerp_core.report.tables import MEASURE_NAMES

BLUE, ORANGE, GREEN, GREY = "#5b8fc0", "#d97706", "#4c9f70", "#8a8f98"
"""Middle tones that stand out from a light and from a dark page."""
_CONTROL_COLOURS = (ORANGE, GREEN)
_MARGIN = {"l": 48, "r": 12, "t": 30, "b": 40}
_BINS = 20
PARTS = {"carried": "the real SAE's labels", "anew": "its own labels", "measured": "itself"}
_PLAIN = re.compile(r"[^\w .:+-]")


def distribution(scorer: ScorerReport, controls: Sequence[ControlReport]) -> go.Figure:
    """How one scorer's values are spread over features, its floor, and the controls beside it."""
    figure = go.Figure()
    values = np.asarray(scorer.values)
    low = min(0.0, float(values.min()))
    edges = np.linspace(low, 1.0, _BINS + 1)
    _steps(figure, f"this SAE ({len(values):,})", values, edges, BLUE, fill=True)
    for control, colour in zip(controls, _CONTROL_COLOURS, strict=False):
        for part, found in control.values.get(scorer.name, {}).items():
            name = f"{plain(control.kind)}, {PARTS[part]} ({len(found):,})"
            dash = "dot" if part == "carried" else "solid"
            _steps(figure, name, np.asarray(found), edges, colour, dash=dash)
    summary = scorer.summary
    measure = MEASURE_NAMES.get(summary.measure, summary.measure)
    figure.add_vline(x=summary.floor, line={"color": GREY, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=summary.floor, y=1, yref="paper", text="floor", showarrow=False, yshift=10
    )
    figure.update_layout(
        height=320,
        margin=_MARGIN,
        hovermode="x unified",
        legend={"orientation": "h", "y": -0.3, "x": 0},
        dragmode=False,
    )
    figure.update_xaxes(
        title=f"{plain(scorer.name)}, {plain(measure)}",
        range=[low - 0.02, 1.02],
        fixedrange=True,
    )
    figure.update_yaxes(
        title="share of features", rangemode="tozero", tickformat=".0%", fixedrange=True
    )
    return figure


def means(scorers: Sequence[ScorerReport], controls: Sequence[ControlReport]) -> go.Figure:
    """Mean and 95 % interval of each scorer beside those of the controls, and its floor."""
    figure = go.Figure()
    names = [plain(scorer.name) for scorer in scorers]
    series: list[tuple[str, str, str, dict[int, ScorerSummary]]] = [
        ("this SAE", BLUE, "circle", {i: s.summary for i, s in enumerate(scorers)})
    ]
    for control, colour in zip(controls, _CONTROL_COLOURS, strict=False):
        for part, symbol in (("carried", "x"), ("anew", "diamond"), ("measured", "diamond")):
            found = {
                i: control.summaries[s.name][part]
                for i, s in enumerate(scorers)
                if part in control.summaries.get(s.name, {})
            }
            if found:
                series.append((f"{plain(control.kind)}, {PARTS[part]}", colour, symbol, found))
    for place, (name, colour, symbol, found) in enumerate(series):
        # Side by side around each scorer's name.
        aside = (place - (len(series) - 1) / 2) * 0.7 / max(len(series), 1)
        rows = [(s.mean, s.low, s.high) for s in found.values()]
        _points(figure, name, [i + aside for i in found], rows, colour, symbol)
    for i, scorer in enumerate(scorers):
        figure.add_scatter(
            x=[i - 0.4, i + 0.4],
            y=[scorer.summary.floor] * 2,
            mode="lines",
            name="floor",
            showlegend=i == 0,
            line={"color": GREY, "dash": "dash", "width": 1.5},
            hovertemplate="floor %{y:.2f}<extra></extra>",
        )
    figure.update_layout(
        height=360, margin=_MARGIN, legend={"orientation": "h", "y": -0.14, "x": 0}, dragmode=False
    )
    ticks = list(range(len(names)))
    figure.update_xaxes(
        tickmode="array",
        tickvals=ticks,
        ticktext=names,
        range=[-0.5, len(names) - 0.5],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    low = min([0.4, *(s.low for *_, found in series for s in found.values())])
    figure.update_yaxes(title="mean over features", range=[low - 0.03, 1.02], fixedrange=True)
    return figure


def correlations(pairs: Sequence[ScorerPair]) -> go.Figure:
    """Rank correlation of every two scorers, with its interval."""
    names = list(dict.fromkeys(plain(name) for pair in pairs for name in (pair.one, pair.other)))
    size = len(names)
    table: list[list[float | None]] = [[None] * size for _ in range(size)]
    text = [[""] * size for _ in range(size)]
    for pair in pairs:
        a, b = names.index(plain(pair.one)), names.index(plain(pair.other))
        found = pair.correlation
        said = f"{pair.n:,} feature{'' if pair.n == 1 else 's'}"
        if found is not None:
            said = f"{found.value:.2f}<br>{found.low:.2f} to {found.high:.2f}<br>{said}"
        for row, column in ((a, b), (b, a)):
            table[row][column] = None if found is None else found.value
            text[row][column] = said
    figure = go.Figure(
        go.Heatmap(
            z=table,
            x=names,
            y=names,
            text=text,
            texttemplate="%{text}",
            hoverinfo="skip",
            zmin=-1,
            zmax=1,
            colorscale=[[0, ORANGE], [0.5, "#e9e9e6"], [1, BLUE]],
            showscale=False,
            textfont={"color": "#1c2024"},
            xgap=2,
            ygap=2,
        )
    )
    figure.update_layout(
        height=120 + 64 * size, margin={"l": 110, "r": 12, "t": 12, "b": 40}, dragmode=False
    )
    figure.update_xaxes(fixedrange=True, showgrid=False)
    figure.update_yaxes(fixedrange=True, showgrid=False, autorange="reversed")
    return figure


def plain(text: str) -> str:
    """A name without anything that plotly reads as markup; scorers' names may be from anywhere."""
    return _PLAIN.sub(" ", text)[:40].strip() or "unnamed"


def _steps(
    figure: go.Figure,
    name: str,
    values: np.ndarray,
    edges: np.ndarray,
    colour: str,
    *,
    fill: bool = False,
    dash: str = "solid",
) -> None:
    counts, _ = np.histogram(values, bins=edges)
    share = counts / max(len(values), 1)
    figure.add_scatter(
        x=edges.tolist(),
        y=[*share.tolist(), float(share[-1])],
        mode="lines",
        name=name,
        line={"shape": "hv", "color": colour, "width": 1.6, "dash": dash},
        fill="tozeroy" if fill else None,
        hovertemplate="%{y:.0%}",
    )


def _points(
    figure: go.Figure,
    name: str,
    x: Sequence[float],
    rows: Sequence[tuple[float, float, float]],
    colour: str,
    symbol: str,
) -> None:
    figure.add_scatter(
        x=list(x),
        y=[mean for mean, _, _ in rows],
        error_y={
            "array": [high - mean for mean, _, high in rows],
            "arrayminus": [mean - low for mean, low, _ in rows],
            "width": 4,
            "thickness": 1.4,
        },
        mode="markers",
        name=name,
        marker={"color": colour, "symbol": symbol, "size": 9},
        hovertemplate="%{y:.3f}",
    )
