"""Who signs the decisions: the logged-in user, else a name asked once and kept by the browser."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import streamlit as st

from autointerp_core.store.text_cleaning import one_line
from ui import session
from ui.decisions import decide
from ui.elements.component import register
from ui.marks import marked

_MEMORY = register("author", Path(__file__).parent)
COOKIE = "autointerp_author"
MAX_NAME = 60


def current() -> str:
    """The author's name, empty where nobody said it yet."""
    if st.user.get("is_logged_in"):
        return one_line(str(st.user.get("name") or st.user.get("email") or ""))[:MAX_NAME]
    known = session.current()
    if known.author is None:
        kept = unquote(st.context.cookies.get(COOKIE, ""))
        known.author = one_line(kept)[:MAX_NAME]
    return known.author


def badge() -> None:
    """The name in the frame, changeable there; the browser's memory behind it."""
    name = current()
    if not st.user.get("is_logged_in"):
        _MEMORY(key="author_memory", data={"name": name}, width=1)
    label = name or "Who are you?"
    with st.popover("You", icon=":material/person:", key="author", help="Signs your decisions"):
        st.text(marked(f"Decisions are signed: {label}") if name else "No name given yet.")
        if not st.user.get("is_logged_in"):
            st.text_input(
                "Your name",
                key="author_new",
                max_chars=MAX_NAME,
                placeholder=name or "as it should stand in the history",
                on_change=_renamed,
            )


def ask_if_needed() -> None:
    """A decision waits for a name: ask for it, then do it."""
    if decide.waiting() and not current():
        _ask()


@st.dialog("Who is deciding?", icon=":material/person:", on_dismiss=decide.forget)
def _ask() -> None:
    _MEMORY(key="author_focus", data={"name": "", "focus": ".st-key-author_asked input"}, width=1)
    st.write("Every decision stands in the history with its author. Asked once in this browser.")
    with st.form("ask_author", border=False):
        name = st.text_input("Your name", key="author_asked", max_chars=MAX_NAME)
        if st.form_submit_button("Save and go on", type="primary"):
            if one_line(name or ""):
                _set(name or "")
                decide.resume(current())
                st.rerun()
            st.text("Type a name first.")


def _set(name: str) -> None:
    session.current().author = one_line(name)[:MAX_NAME]


def _renamed() -> None:
    name = session.widget("author_new") or ""
    if one_line(name):
        _set(name)
        session.set_widget("author_new", "")
        decide.resume(current())
