"""The glossary as a dialog, and the button in the frame that opens it."""

from __future__ import annotations

import streamlit as st

from ui.elements.component import register
from ui.glossary import TERMS

_TABLE = register("glossary_page")


def button() -> None:
    """One click from every page."""
    st.button(
        "Glossary",
        key="glossary",
        icon=":material/help:",
        help="What the words on these pages mean",
        on_click=_show,
    )


@st.dialog("What the words mean", width="large", icon=":material/help:")
def _show() -> None:
    _TABLE(key="glossary_terms", data={"terms": [list(term) for term in TERMS.items()]})
