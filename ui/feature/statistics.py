"""Numbers about a feature: statistics, histogram, and what its decoder direction does to logits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import streamlit as st

from autointerp_core.explore.feature_index import Row, Snapshot
from ui import readers
from ui.elements import charts
from ui.elements.component import register
from ui.feature import examples
from ui.glossary import about

_FACTS = register("statistics", Path(__file__).parent)
_QUARTILES = "A quarter, half and three quarters of its firings are weaker than these"


def numbers(opened: readers.OpenStudy, row: Row, snapshot: Snapshot) -> None:
    """Statistics over every counted token, and the score that came with the feature."""
    low, middle, high = opened.study.stats(row.feature).quantiles
    at = snapshot.at(row.feature)
    given = math.nan if at is None else float(snapshot.column("input")[at])
    came = [] if math.isnan(given) else [["Input score", f"{given:.4g}", about("Input score")]]
    _FACTS(
        key="stats",
        data={
            "pairs": [
                ["Density", f"{row.density * 100:.3g} %", about("Density")],
                ["Fires on", f"{row.fired:,} tokens", about("Firing")],
                ["In", f"{row.num_examples:,} sequences", "Pieces of documents it fires in"],
                ["Max", f"{row.max:.4g}", "Its strongest activation in this study"],
                ["Mean", f"{row.mean:.4g}", "Mean activation over the tokens it fires on"],
                ["Quartiles", f"{low:.3g} · {middle:.3g} · {high:.3g}", _QUARTILES],
                *came,
            ],
            "lists": [],
            "told": "",
        },
    )


def chart(opened: readers.OpenStudy, row: Row) -> None:
    """The histogram of activations, the shown examples marked."""
    if not row.dead:
        figure = charts.histogram(
            opened.study.histogram(row.feature), examples.shown_activations(opened, row)
        )
        st.plotly_chart(
            figure,
            key="histogram",
            config=charts.CONFIG,
            alt=f"Histogram of the activations of feature {row.feature}",
        )


def logits(opened: readers.OpenStudy, row: Row) -> None:
    """Tokens the feature's decoder direction makes more and less likely."""
    top, bottom = opened.study.logits(row.feature)
    if not top and not bottom:
        return
    lists: list[dict[str, Any]] = [
        {"title": "Raises the logit of", "rows": [[t.text, t.logit, t.token_id] for t in top[:10]]},
        {
            "title": "Lowers the logit of",
            "rows": [[t.text, t.logit, t.token_id] for t in bottom[:10]],
        },
    ]
    _FACTS(key="logits", data={"pairs": [], "lists": lists, "told": about("Logits")})
