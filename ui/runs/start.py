"""Jobs started from a page, followed in the place they were started from."""

from __future__ import annotations

from typing import Any

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError
from ui.runs import job_view

BULK = "bulk"


def place_of(feature: int) -> str:
    """Where jobs about one feature are followed: its page."""
    return f"feature {feature}"


def start(place: str, kind: str, params: dict[str, Any], title: str) -> None:
    """Queue a job; what goes wrong is told at ``place``."""
    try:
        job = jobs.submit(kind, params, title)
    except AutointerpError as error:
        _problems()[place] = str(error)
        return
    _started()[place] = job.id


def follow(place: str) -> None:
    """The job started here: its progress, then its result until it is put away."""
    with st.container(key="run_job", gap="xsmall"):
        problem = _problems().pop(place, "")
        if problem:
            st.text(problem)
        job_id = _started().get(place)
        if job_id is None:
            return
        try:
            job = jobs.get(job_id)
        except AutointerpError:
            _started().pop(place)  # deleted on the Studies page
            return
        if job.active:
            _live(job_id)
            return
        job_view.show(job, log=job.status != "done")
        st.button("Put away", key="run_seen", type="tertiary", on_click=_put_away, args=(place,))


@st.fragment(run_every=1.0)
def _live(job_id: str) -> None:
    """Follows a job that runs; when it ends the page is drawn with what it made."""
    try:
        job = jobs.get(job_id)
    except AutointerpError:
        st.rerun()
    if not job.active:
        st.rerun()
    job_view.show(job)


def _put_away(place: str) -> None:
    _started().pop(place, None)


def _started() -> dict[str, str]:
    found: dict[str, str] = st.session_state.setdefault("runs", {})
    return found


def _problems() -> dict[str, str]:
    found: dict[str, str] = st.session_state.setdefault("run_problems", {})
    return found
