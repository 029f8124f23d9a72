"""What one person's session remembers: one object, kept by Streamlit under one key.

Each room of the app has a small dataclass of its own for what it remembers and asks for it by
type: :func:`memory` lasts as long as the session, :func:`study_memory` as long as the same
study is picked. Only what widgets hold lies elsewhere, under the widgets' own keys
(:func:`widget`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import streamlit as st

_T = TypeVar("_T")
KEY = "autointerp"


@dataclass
class Address:
    """The address that was put last, as far as the browser may not know it yet."""

    values: dict[str, str] = field(default_factory=dict)
    drawn: int = 0
    """How many screens had been drawn then: a browser that shows a later one has heard of it."""
    due: bool = False
    """Whether no page was drawn to its end since: what the browser says may be older."""
    pinned: bool = False
    """Whether keys are being taken: only what they put counts."""


@dataclass
class Session:
    """The whole of it."""

    study: str = ""
    """Folder name of the study picked; empty where there is none."""
    page: str = ""
    """The page shown last."""
    author: str | None = None
    """Who decides; None where the browser was not asked yet."""
    drawn: int = 0
    """How many screens with a keyboard were drawn."""
    address: Address = field(default_factory=lambda: Address())
    lock: threading.RLock = field(default_factory=threading.RLock)
    """See :func:`held`."""
    of_session: dict[type, Any] = field(default_factory=dict)
    of_study: dict[type, Any] = field(default_factory=dict)

    def pick(self, study: str) -> None:
        """Another study: what was remembered of the one before means nothing in it."""
        if study != self.study:
            self.of_study.clear()
        self.study = study

    def arrive(self, page: str) -> bool:
        """Note which page is shown; True where another one was before."""
        came = self.page != page
        self.page = page
        return came


_here = threading.local()


def current() -> Session:
    """This session's object."""
    mine: Session | None = getattr(_here, "held", None)
    if mine is not None:
        return mine
    if KEY not in st.session_state:
        st.session_state[KEY] = Session()
    found: Session = st.session_state[KEY]
    return found


@contextmanager
def held() -> Iterator[Session]:
    """This session's object, nobody else's while the block lasts, and no interruption.

    Where keys and clicks follow fast, a run begins while the one before has not ended yet, and
    Streamlit ends that one at its next call, callbacks included. What must be done whole is
    done in here, where nothing asks Streamlit for anything.
    """
    known = current()
    before = getattr(_here, "held", None)
    with known.lock:
        _here.held = known
        try:
            yield known
        finally:
            _here.held = before


def memory(kind: type[_T]) -> _T:
    """A room's memory for the whole session, made on first use."""
    return _made(current().of_session, kind)


def study_memory(kind: type[_T]) -> _T:
    """A room's memory about the study picked; a new one after another was picked."""
    return _made(current().of_study, kind)


def widget(key: str) -> Any:
    """The value of a widget, None where it was not shown yet."""
    return st.session_state.get(key)


def set_widget(key: str, value: Any) -> None:
    """Give a widget a value: in a callback, or before it is shown."""
    st.session_state[key] = value


def _made(parts: dict[type, Any], kind: type[_T]) -> _T:
    if kind not in parts:
        parts[kind] = kind()
    found: _T = parts[kind]
    return found
