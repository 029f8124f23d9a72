"""A piece of background work that a page needs: offered by a button, followed where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError
from autointerp_core.jobs import JobState
from ui import session
from ui.runs import job_view
from ui.sentences import sentence


@dataclass(frozen=True)
class Work:
    """A job of one kind with just these parameters."""

    kind: str
    params: Mapping[str, str]
    title: str


@dataclass
class Told:
    """Why no job could be started or stopped, by kind."""

    refused: dict[str, str] = field(default_factory=dict)


def offer(
    work: Work, words: str, button: str, icon: str, check: Callable[[], None] | None = None
) -> None:
    """Say ``words`` and offer to do the work, or follow the job that does it.

    ``check`` raises where it cannot be done here; then that is said in place of the button.
    """
    job = newest(work)
    if job is not None and job.active:
        _follow(work)
        return
    with st.container(key=f"{work.kind}_offer", width=680, gap="small"):
        st.text(words)
        try:
            if check is not None:
                check()
        except AutointerpError as error:
            with st.container(key=f"problem_{work.kind}"):
                st.text(sentence(str(error)))
            return
        failed = job.error if job is not None and job.status != "done" else None
        why = session.study_memory(Told).refused.get(work.kind) or failed
        if why:
            with st.container(key=f"problem_{work.kind}"):
                st.text(sentence(why))
        st.button(
            button,
            key=f"{work.kind}_make",
            type="primary",
            icon=icon,
            on_click=_submit,
            args=(work,),
        )


def newest(work: Work) -> JobState | None:
    """The newest job that does, or did, this work."""
    for job in jobs.list_jobs():
        same = all(job.params.get(name) == value for name, value in work.params.items())
        if job.kind == work.kind and same:
            return job
    return None


@st.fragment(run_every=1.0)
def _follow(work: Work) -> None:
    job = newest(work)
    if job is None or not job.active:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.text(f"{work.title}: {job_view.progress_line(job)}")
        st.button("Cancel", key=f"{work.kind}_cancel", on_click=_cancel, args=(work, job.id))


def _submit(work: Work) -> None:
    refused = session.study_memory(Told).refused
    refused.pop(work.kind, None)
    try:
        jobs.submit(work.kind, work.params, work.title)
    except AutointerpError as error:
        refused[work.kind] = str(error)


def _cancel(work: Work, job: str) -> None:
    try:
        jobs.cancel(job)
    except AutointerpError as error:
        session.study_memory(Told).refused[work.kind] = str(error)
