"""Errors of ours, shown in words in the place where they happen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from autointerp_core.errors import AutointerpError, LabelConflict
from ui.sentences import sentence

_here = threading.local()


def begin() -> None:
    """A new run: nothing was told yet."""
    _here.told = []


@contextmanager
def errors() -> Iterator[None]:
    """Show an error of ours in words, in place, and go on after the block."""
    try:
        yield
    except LabelConflict as error:
        problem(str(error), title="Changed by somebody else meanwhile")
    except AutointerpError as error:
        problem(str(error))


def problem(message: str, title: str = "That did not work") -> None:
    """Say what is wrong. The message is plain text: it may hold anything."""
    told: list[str] = getattr(_here, "told", [])
    if message in told:
        return  # the frame and the page met the same one
    _here.told = [*told, message]
    with st.container(key=f"problem_{len(told)}", gap="xxsmall"):
        st.markdown(f":material/error: **{title}**")
        st.text(sentence(message))
