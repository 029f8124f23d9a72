"""Having the map made: the button, the job behind it, and what is missing for it."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError
from autointerp_core.extraction.feature_map import check_installed
from autointerp_core.jobs import JobState
from ui import session
from ui.runs import job_view
from ui.sentences import sentence


@dataclass
class Told:
    """Why no job could be started, until the page was drawn."""

    refused: str = ""


def offer(study: str, words: str, button: str) -> None:
    """Say ``words`` and offer to make the map, or follow the job that does."""
    job = _job(study)
    if job is not None and job.active:
        _follow(study)
        return
    with st.container(key="map_make", width=640, gap="small"):
        st.text(words)
        try:
            check_installed()
        except AutointerpError as error:
            with st.container(key="problem_map"):
                st.text(sentence(str(error)))
            return
        why = session.study_memory(Told).refused or (job.error if job is not None else "")
        if why and (job is None or job.status != "done"):
            with st.container(key="problem_map"):
                st.text(sentence(why))
        st.button(
            button,
            key="make_map",
            type="primary",
            icon=":material/scatter_plot:",
            on_click=_submit,
            args=(study,),
        )


def _submit(study: str) -> None:
    told = session.study_memory(Told)
    try:
        jobs.submit("map", {"study": study}, f"Map of {study}")
        told.refused = ""
    except AutointerpError as error:
        told.refused = str(error)


@st.fragment(run_every=1.0)
def _follow(study: str) -> None:
    job = _job(study)
    if job is None or not job.active:
        st.rerun()
    st.text(f"The map is being made: {job_view.progress_line(job)}")
    st.button("Cancel", key="map_cancel", on_click=_cancel, args=(job.id,))


def _cancel(job: str) -> None:
    try:
        jobs.cancel(job)
    except AutointerpError as error:
        session.study_memory(Told).refused = str(error)


def _job(study: str) -> JobState | None:
    """The newest job that makes this study's map."""
    found = (job for job in jobs.list_jobs() if job.kind == "map")
    return next((job for job in found if job.params.get("study") == study), None)
