"""What the page's address says, and changing it. The address is the state: links reproduce it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qsl

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from autointerp_core.explore.view import View
from ui import session


def params() -> dict[str, str]:
    """The address, or the one put last where the browser has not heard of it yet.

    The browser sends its address with every key and click. Where those follow fast it is still
    that of the feature before.
    """
    said, kept = _said(), session.current().address
    if kept.pinned or (kept.due and "feature" in said):
        return dict(kept.values)
    return said


LOOK = ("tab", "window", "lines", "peak", "plot", "across", "up", "axes", "by")
"""What says how a page is looked at (``look.py``), and which scorer ranks; it stays while one goes
from place to place."""


def put(values: Mapping[str, str]) -> None:
    """Make the address hold ``values``, and how the page is looked at, and nothing else."""
    before = params()
    after = {name: text for name, text in before.items() if name in LOOK} | dict(values)
    known = session.current()
    kept = known.address
    if before != after:
        kept.values, kept.drawn = after, known.drawn
        kept.due = "feature" in before and "feature" in after
    if not kept.pinned:
        _tell(after)


def settle() -> None:
    """Tell the browser the address where it has not heard of it yet."""
    _tell(params())


def drawn() -> None:
    """The page is drawn to its end: the browser knows the address.

    Not earlier: what a run says while the next one begins may never reach the browser.
    """
    session.current().address.due = False


@contextmanager
def pinned(screen: int) -> Iterator[None]:
    """Hold the address still while a key is taken that was pressed on screen number ``screen``.

    Where the address put last came after that screen, it counts; else what the browser says.
    """
    kept = session.current().address
    if screen > kept.drawn or not kept.values:
        kept.values = _said()
    kept.pinned = True
    try:
        yield
    finally:
        kept.pinned = False


def _tell(values: dict[str, str]) -> None:
    if _said() != values:
        st.query_params.from_dict(values)


def _said() -> dict[str, str]:
    """What this run's browser said, or what this run told it since.

    ``st.query_params`` belongs to all runs of the session: where one begins before the one
    before has ended, it may hold what the other's browser said.
    """
    context = get_script_run_ctx()
    return (
        dict(parse_qsl(context.query_string, keep_blank_values=True)) if context is not None else {}
    )


def view() -> View:
    return View.from_params(params())


def study() -> str:
    return params().get("study", "")


def feature() -> int | None:
    """The feature named by the address, None where it names none."""
    text = params().get("feature", "")
    return int(text) if text.isdecimal() and len(text) < 10 else None


def wrong_feature() -> str:
    """What the address names as a feature and is none; empty where it makes sense."""
    text = params().get("feature", "").strip()
    return text[:40] if text and feature() is None else ""


def address(study_name: str, view_: View, feature_: int | None = None) -> dict[str, str]:
    """Query parameters of a page."""
    own = {"study": study_name}
    if feature_ is not None:
        own["feature"] = str(feature_)
    return own | view_.params()
