"""The Steer panel of a feature's own page: open when it is wanted."""

from __future__ import annotations

import streamlit as st

from ui import live, readers
from ui.steer import panel
from ui.steer.state import Plan


def show(opened: readers.OpenStudy, feature: int) -> None:
    """Turn this feature; nothing is loaded until somebody asks for a text."""
    box = st.expander("Steer", key="steer_open", on_change="rerun")
    if not box.open:
        return
    with box:
        panel.show(opened, "steer_here", Plan(), fixed=feature)
        live.process_line(opened)
