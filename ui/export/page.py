"""The Export page: files out, labels in."""

from __future__ import annotations

import streamlit as st

from ui import problems, readers, session
from ui.export import files_in, files_out, formats_in, formats_out
from ui.runs import start


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("export")
    with problems.errors():
        snapshot = opened.snapshot()
        start.follow(formats_out.PLACE)
        out, into = st.columns([1.25, 1], gap="large")
        with out:
            features = files_out.show(opened, snapshot)
            formats_out.show(opened, features)
            files_out.history(opened)
        with into:
            files_in.show(opened, snapshot)
            formats_in.show(opened)
