"""Steer: features turned while the model writes, beside the unsteered text."""

from __future__ import annotations

import streamlit as st

from ui import live, problems, readers, session, url
from ui.elements import hint
from ui.steer import panel, state

_KEY = "steer"


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("steer")
    with problems.errors():
        hint.line("steer")
        given = url.params()
        kept = session.study_memory(state.Steering)
        if "turn" in given and _KEY not in kept.plans:
            kept.plans[_KEY] = state.from_params(given)
        before = kept.plans.get(_KEY, state.Plan())
        now = panel.show(opened, _KEY, before)
        if now.turns or "turn" in given:
            url.put({"study": opened.name} | now.params())
        if not now.turns:
            st.text("Type a feature's number; or open a feature, where it can be turned as well.")
    live.process_line(opened)
    url.drawn()
