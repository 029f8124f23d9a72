"""Jobs started from a page, followed in the place they were started from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError
from ui import session
from ui.marks import marked
from ui.runs import job_view

BULK = "bulk"
Here = tuple[str, str]


@dataclass
class Runs:
    """Jobs started by this session, and what could not be started, by study and place."""

    started: dict[Here, str] = field(default_factory=dict)
    problems: dict[Here, str] = field(default_factory=dict)


def place_of(feature: int) -> str:
    """Where jobs about one feature are followed: its page."""
    return f"feature {feature}"


def start(place: str, kind: str, params: dict[str, Any], title: str) -> None:
    """Queue a job; what goes wrong is told at ``place``."""
    try:
        job = jobs.submit(kind, params, title)
    except AutointerpError as error:
        _runs().problems[_here(place)] = str(error)
        return
    _runs().started[_here(place)] = job.id


def follow(place: str) -> None:
    """The job started here: its progress, then its result until it is put away."""
    with st.container(key="run_job", gap="xsmall"):
        problem = _runs().problems.pop(_here(place), "")
        if problem:
            st.text(marked(problem))
        job_id = _runs().started.get(_here(place))
        if job_id is None:
            return
        try:
            job = jobs.get(job_id)
        except AutointerpError:
            _put_away(place)  # deleted on the Studies page
            return
        if job.active:
            _live(job_id)
            return
        job_view.show(job, log=job.status != "done")
        st.button("Dismiss", key="run_seen", on_click=_put_away, args=(place,))


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
    _runs().started.pop(_here(place), None)


def _runs() -> Runs:
    return session.memory(Runs)


def _here(place: str) -> Here:
    """The same feature of another study is another place."""
    return session.current().study, place
