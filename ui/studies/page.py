"""The Studies page: what is on disk, what runs, and a new study."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError, OutputError
from autointerp_core.home import studies_dir
from autointerp_core.store.studies import begun_studies, controls_of
from ui import problems, readers, session
from ui.runs import job_view
from ui.sentences import sentence
from ui.studies import card, new_study


@dataclass
class Watched:
    """The jobs that ran when the page was drawn last."""

    active: list[str] = field(default_factory=list)


def show() -> None:
    """The whole page."""
    session.current().arrive("studies")
    with problems.errors():
        found, damaged = readers.studies()
        box = st.expander(
            "New study",
            icon=":material/add:",
            key="new_open",
            expanded=not found,
            on_change="rerun",
        )
        if box.open:
            with box:
                new_study.show()
        kept = session.memory(new_study.Started)
        if kept.told:
            st.text(kept.told)
            kept.told = ""
        _jobs()
        st.subheader("On disk")
        if not found:
            st.text("No study yet. Start one above, or build the demo from the Features page.")
        called = readers.names(found)
        for info in found:
            card.show(info, called[info.id])
        if begun := begun_studies():
            with st.container(key="quiet_begun"):
                st.text(
                    f"Begun: {', '.join(begun)}. Where no run is at it, the same request goes on "
                    "where it stopped."
                )
        for error in damaged:
            with st.container(border=True):
                st.text(sentence(str(error)))
    asked = session.memory(card.Asked)
    deleting, asked.delete = asked.delete, ""
    if deleting:
        _confirm(deleting, called.get(deleting, deleting))


@st.fragment(run_every=2.0)
def _jobs() -> None:
    """Jobs, newest first; those that ended can be cleared away."""
    found = jobs.list_jobs()
    active = [job.id for job in found if job.active]
    watched = session.memory(Watched)
    before, watched.active = watched.active, active
    if set(before) - set(active):
        st.rerun()  # one ended: the cards below may be new
    if not found:
        return
    with st.container(key="jobs", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader("Jobs", width="stretch")
            if len(active) < len(found):
                st.button("Clear ended jobs", key="clear_jobs", type="tertiary", on_click=_clear)
        for job in job_view.by_recency(found)[:20]:
            job_view.show(job)


def _clear() -> None:
    for job in jobs.list_jobs():
        if not job.active:
            try:
                jobs.delete(job.id)
            except AutointerpError as error:
                session.memory(new_study.Started).told = str(error)


@st.dialog("Delete this study?", icon=":material/delete:")
def _confirm(name: str, called: str) -> None:
    st.text(called)
    st.write(
        "Its examples and statistics are removed from this disk. Labels and their history stay: "
        "they belong to the SAE and show up again in any other study of it."
    )
    if st.button("Delete the study", key="really_delete", type="primary"):
        try:
            delete_study(name)
        except AutointerpError as error:
            st.text(sentence(str(error)))
            return
        st.rerun()


def delete_study(name: str) -> None:
    """Remove a study's folder; a half-removed one is hidden and never taken for a study.

    Its controls, which no list shows, go with it.

    Raises:
        OutputError: the folder cannot be removed.
    """
    for control in controls_of(name):
        delete_study(control.id)
    folder = studies_dir() / name
    hidden = folder.with_name(f".deleted-{name}")
    try:
        folder.rename(hidden)
        shutil.rmtree(hidden)
    except OSError as error:
        raise OutputError(f"cannot delete {folder}: {error.strerror}") from error
