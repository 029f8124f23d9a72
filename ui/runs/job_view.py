"""Background jobs as the pages show them: progress, time left, log, cancel, retry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError
from autointerp_core.jobs import JobState
from autointerp_core.jobs.state import CANCEL
from ui import session
from ui.marks import marked
from ui.runs import job_result

_PAGES = Path(__file__).parents[2] / "pages"
_ICONS = {
    "queued": ":gray-badge[:material/schedule: queued]",
    "running": ":blue-badge[:material/play_arrow: running]",
    "done": ":green-badge[:material/check: done]",
    "failed": ":red-badge[:material/error: failed]",
    "cancelled": ":gray-badge[:material/cancel: cancelled]",
    "interrupted": ":orange-badge[:material/power_off: interrupted]",
}


@dataclass
class Refused:
    """The job that could not be cancelled or retried, and why."""

    job: str = ""
    why: str = ""


def latest(kind: str) -> JobState | None:
    """The newest job of a kind."""
    return next((job for job in jobs.list_jobs() if job.kind == kind), None)


def time_left(seconds: float | None) -> str:
    """``about 3 min left``; empty where it is unknown."""
    if seconds is None or seconds != seconds:
        return ""
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s left"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"


def progress_line(job: JobState) -> str:
    """Stage, count, rate and time left in one line of plain text."""
    count = f"{job.done:,} of {job.total:,} {job.unit}".strip() if job.total else ""
    rate = f"{job.rate:,.0f} {job.unit}/s" if job.rate and job.unit else ""
    parts = (job.stage, count, rate, time_left(job.seconds_left), job.message)
    return " · ".join(part for part in parts if part) or job.status


def by_recency(found: list[JobState]) -> list[JobState]:
    """Those at work first, then the one that ended last: a job tried again is on top."""

    def when(job: JobState) -> tuple[bool, str]:
        return job.active, job.finished or job.started or job.created

    return sorted(found, key=when, reverse=True)


def show(job: JobState, *, log: bool = True) -> None:
    """One job. Inside a fragment that runs every second or so, this follows it."""
    with st.container(key=f"job_{job.id}", gap="xsmall", border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(_ICONS[job.status], width="content")
            st.text(marked(job.title), width="stretch")
            if job.active and (job.folder / CANCEL).exists():
                st.text("stopping …")
            elif job.active:
                st.button("Cancel", key=f"cancel_{job.id}", on_click=_ask, args=("cancel", job.id))
            elif job.status != "done":
                st.button("Retry", key=f"retry_{job.id}", on_click=_ask, args=("retry", job.id))
        if job.active:
            share = min(job.done / job.total, 1.0) if job.total else 0.0
            st.progress(share)
            with st.container(key=f"quiet_progress_{job.id}"):
                st.text(marked(progress_line(job)))
        if job.error:
            st.text(marked(job.error))
        if job.status == "done":
            _result(job)
        elif job.status == "cancelled" and job.message:
            with st.container(key=f"quiet_cancelled_{job.id}"):
                st.text(marked(job.message))
        refused = session.memory(Refused)
        if refused.job == job.id:
            st.text(marked(refused.why))
        tail = job.log_tail(200) if log else []
        if tail:
            with (
                st.expander("Log", expanded=job.status == "failed"),
                st.container(key=f"log_{job.id}"),
            ):
                st.code(marked("\n".join(tail[-40:])), language=None)


def _result(job: JobState) -> None:
    """One line about what the job made and a link to it; all it told is below."""
    told, *more = job_result.lines(job) or ["Done"]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(key=f"quiet_result_{job.id}", width="stretch"):
            st.text(marked(told))
        made = job_result.made(job)
        if made is not None:
            title, page, where = made
            st.page_link(_PAGES / f"{page}.py", label=title, query_params=where)
    if more:
        with (
            st.expander("Details", key=f"details_{job.id}"),
            st.container(key=f"quiet_details_{job.id}", gap=None),
        ):
            for line in more:
                st.text(marked(line))


def _ask(what: str, job_id: str) -> None:
    refused = session.memory(Refused)
    refused.job = ""
    try:
        if what == "cancel":
            jobs.cancel(job_id)
        else:
            jobs.retry(job_id)
    except AutointerpError as error:
        refused.job, refused.why = job_id, str(error)
