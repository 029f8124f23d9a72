"""What stands where on the pages about one feature: examples, decisions, numbers.

Three columns where the window is wide enough for them, two otherwise (``app.css``).
"""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from autointerp_core.explore.feature_index import Row, Snapshot
from ui import readers
from ui.feature import statistics


def columns() -> tuple[DeltaGenerator, DeltaGenerator, DeltaGenerator]:
    """Places for the examples, for the label and its decisions, and for numbers."""
    left, right = st.columns([1.75, 1], gap="medium")
    side = right.container(key="side", gap="small")
    return (
        left,
        side.container(key="side_label", gap="small"),
        side.container(key="side_numbers", gap="small"),
    )


def numbers(opened: readers.OpenStudy, snapshot: Snapshot, row: Row, place: DeltaGenerator) -> None:
    """Statistics, histogram and logits."""
    with place:
        statistics.numbers(opened, row, snapshot)
        statistics.chart(opened, row)
        statistics.logits(opened, row)
