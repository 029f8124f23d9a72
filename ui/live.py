"""Asking the live model from a page: how far it is, what happened, and errors in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import streamlit as st

from autointerp_core.errors import AutointerpError
from autointerp_core.live.client import IDLE_MINUTES, LiveClient
from autointerp_core.progress import Progress, ProgressCallback
from ui import problems, readers, session
from ui.marks import marked

T = TypeVar("T")
_SHOWN = 3
"""Notices at once; the newest."""


@dataclass
class Told:
    """What happened to the model's process that a person should know."""

    notices: list[str] = field(default_factory=list)


def client(opened: readers.OpenStudy) -> LiveClient:
    """The live model of a study. What happens to its process is kept for :func:`show_notices`:
    at once, since Streamlit may end the run that asked before it has its answer."""
    told = session.study_memory(Told)
    return LiveClient(opened.study.folder, on_notice=told.notices.append)


def ask(
    opened: readers.OpenStudy, work: Callable[[LiveClient, ProgressCallback], T], place: str
) -> T | None:
    """What the live model answers, None where it cannot; how far it is stands here meanwhile.

    ``place`` tells the line of this question from that of another on the same page.
    """
    with st.container(key=f"live_{place}"):
        line = st.empty()

    def tell(report: Progress) -> None:
        line.text(_sentence(report))

    with problems.errors():
        try:
            return work(client(opened), tell)
        finally:
            line.empty()
    return None


def _sentence(report: Progress) -> str:
    said = report.message or report.stage
    far = f": {report.done} of {report.total}" if report.total else ""
    return f"{said[:1].upper()}{said[1:]}{far} …"


def show_notices() -> None:
    """Say what happened to the model's process, until it is dismissed."""
    told = session.study_memory(Told)
    if not told.notices:
        return
    with st.container(key="live_notices", horizontal=True, vertical_alignment="center"):
        st.text(
            "\n".join(f"{marked(notice)}." for notice in told.notices[-_SHOWN:]), width="stretch"
        )
        st.button("Dismiss", key="live_dismiss", type="tertiary", on_click=_dismiss)


def _dismiss() -> None:
    session.study_memory(Told).notices.clear()


def process_line(opened: readers.OpenStudy) -> None:
    """Whether the model is loaded, and letting it go."""
    try:
        there = client(opened).running()
    except AutointerpError:
        there = False
    with st.container(key="quiet_live", horizontal=True, vertical_alignment="center", gap="small"):
        if there:
            st.text(
                f"{opened.info.model_name} is loaded, and let go after {IDLE_MINUTES:.0f} minutes "
                "without a question."
            )
            st.button(
                "Let it go now",
                key="live_stop",
                type="tertiary",
                help="Ends the model's process and frees its memory.",
                on_click=_stop,
                args=(opened,),
            )
        else:
            st.text("The model is loaded with the first question; that takes some seconds.")


def _stop(opened: readers.OpenStudy) -> None:
    client(opened).stop()
