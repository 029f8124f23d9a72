"""What the page's address says, and changing it. The address is the state: links reproduce it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qsl

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from autointerp_core.explore.view import View
from ui import session

_KEPT = 20
_ECHO_SECONDS = 1.0
"""How long after a move an earlier address is taken for an echo, not for the Back button."""


def params() -> dict[str, str]:
    """The address, or the one put last where the browser still sends one it replaced.

    The browser sends its address with every key and click. Where those follow fast it has not
    heard yet of the one that the key before led to.
    """
    said = _said()
    kept = session.current().address
    echo = said in kept.replaced and time.monotonic() - kept.at < _ECHO_SECONDS
    return dict(kept.values) if echo or kept.pinned else said


LOOK = ("tab", "window", "lines", "peak", "plot", "across", "up", "axes")
"""What says how a page is looked at (``look.py``); it stays while one goes from place to place."""


def put(values: Mapping[str, str]) -> None:
    """Make the address hold ``values``, and how the page is looked at, and nothing else."""
    before = params()
    after = {name: text for name, text in before.items() if name in LOOK} | dict(values)
    known = session.current()
    kept = known.address
    if before != after:
        moves = "feature" in before and "feature" in after
        kept.replaced = [e for e in kept.replaced if e != after] + [before] if moves else []
        kept.replaced = kept.replaced[-_KEPT:]
        kept.values, kept.at, kept.drawn = after, time.monotonic(), known.drawn
    if _said() != after:
        st.query_params.from_dict(after)


def settle() -> None:
    """Say the address again where the browser sent one that was replaced."""
    put(params())


@contextmanager
def pinned(drawn: int) -> Iterator[None]:
    """Hold the address still while a key is taken that was pressed on screen number ``drawn``.

    Where the browser had not heard yet of the address put last when the key was pressed, that
    one counts; else what the browser says.
    """
    kept = session.current().address
    if drawn > kept.drawn:
        kept.values = _said()
    kept.pinned = True
    try:
        yield
        if _said() != kept.values:
            st.query_params.from_dict(kept.values)
    finally:
        kept.pinned = False


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


def address(study_name: str, view_: View, feature_: int | None = None) -> dict[str, str]:
    """Query parameters of a page."""
    own = {"study": study_name}
    if feature_ is not None:
        own["feature"] = str(feature_)
    return own | view_.params()
