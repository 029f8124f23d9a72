"""What was measured of a feature and of its label, beside the scores: it ranks no labels."""

from __future__ import annotations

import streamlit as st

from autointerp_core.explore.feature_index import Row
from autointerp_core.store.event_details import MeasuredDetails
from autointerp_core.store.events import MEASURED
from ui import readers
from ui.elements import scoreview
from ui.elements.scores import Shown


def show(opened: readers.OpenStudy, row: Row) -> None:
    """The newest results; nothing at all where nothing was measured."""
    found: dict[str, Shown] = {}
    for event in readers.history().machine_events(
        opened.sae, (MEASURED,), opened.info.id, feature=row.feature
    ):
        details = MeasuredDetails.from_json(event.details)
        if details.label in (None, row.state.label):
            for name, result in details.results.items():
                found[name] = Shown.read(name, result.to_json())
    if found:
        with st.container(key="measured", gap=None):
            st.text("Measured")
            scoreview.measured("measures_now", list(found.values()))
