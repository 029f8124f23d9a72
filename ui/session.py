"""What one person's session remembers: one object, kept by Streamlit under one key.

Each room of the app has a small dataclass of its own for what it remembers and asks for it by
type: :func:`memory` lasts as long as the session, :func:`study_memory` as long as the same
study is picked. Only what widgets hold lies elsewhere, under the widgets' own keys
(:func:`widget`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, TypeVar

import streamlit as st

_T = TypeVar("_T")
KEY = "autointerp"


@dataclass
class Address:
    """The feature's address that was put last, those it replaced, and when."""

    values: dict[str, str] = field(default_factory=dict)
    replaced: list[dict[str, str]] = field(default_factory=list)
    at: float = 0.0
    drawn: int = 0
    """How many screens had been drawn then: a browser that shows a later one has heard of it."""
    pinned: bool = False
    """Whether keys are being taken: what the browser sends meanwhile does not count."""


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
    """Held while something is decided or the address is changed: where runs follow fast, one
    begins while the one before has not ended yet."""
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


def current() -> Session:
    """This session's object."""
    if KEY not in st.session_state:
        st.session_state[KEY] = Session()
    found: Session = st.session_state[KEY]
    return found


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
