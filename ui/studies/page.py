"""The Studies page: what is on disk, what runs, and a new study."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError, OutputError
from autointerp_core.explore.view import View
from autointerp_core.extraction.estimate import size
from autointerp_core.home import studies_dir
from autointerp_core.store.study_record import StudyRecord
from ui import problems, readers, session
from ui.navigation import looking
from ui.runs import job_view
from ui.sentences import sentence
from ui.studies import counts, new_study


@dataclass
class Asked:
    """What was asked for on the page, until it is done; and the jobs that ran last."""

    open: str = ""
    delete: str = ""
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
        for info in found:
            _card(info)
        for error in damaged:
            with st.container(border=True):
                st.text(sentence(str(error)))
    asked = session.memory(Asked)
    deleting, asked.delete = asked.delete, ""
    if deleting:
        _confirm(deleting)


@st.fragment(run_every=2.0)
def _jobs() -> None:
    """Jobs, newest first; those that ended can be cleared away."""
    found = jobs.list_jobs()
    active = [job.id for job in found if job.active]
    asked = session.memory(Asked)
    before, asked.active = asked.active, active
    if set(before) - set(active):
        st.rerun()  # one ended: the cards below may be new
    if not found:
        return
    with st.container(key="jobs", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader("Jobs", width="stretch")
            if len(active) < len(found):
                st.button("Clear ended jobs", key="clear_jobs", type="tertiary", on_click=_clear)
        for job in found[:20]:
            job_view.show(job)


def _clear() -> None:
    for job in jobs.list_jobs():
        if not job.active:
            try:
                jobs.delete(job.id)
            except AutointerpError as error:
                session.memory(new_study.Started).told = str(error)


def _card(info: StudyRecord) -> None:
    folder = studies_dir() / info.id
    with st.container(key=f"study_{info.id}", border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(key=f"study_name_{info.id}", width="stretch"):
                st.text(info.id)
            st.button("Open", key=f"open_{info.id}", on_click=_open, args=(info.id,))
            st.button(
                "Delete", key=f"delete_{info.id}", type="tertiary", on_click=_ask, args=(info.id,)
            )
        st.text(f"{info.model_name} · {info.sae_source} · {info.hook}")
        try:
            features, done = counts.features_and_reviewed(info)
            progress = f"{features:,} of {info.d_sae:,} features · {done:,} reviewed"
            progress += f" ({done / max(features, 1):.0%})"
        except AutointerpError as error:
            progress = sentence(str(error))
        with st.container(key=f"quiet_study_{info.id}"):
            st.text(
                f"{info.dataset_name}, column {info.column}: {info.n_documents:,} documents, "
                f"{info.n_counted:,} counted tokens · {progress} · {size(_bytes(folder))}"
            )
        for warning in info.warnings:
            with st.container(horizontal=True, gap="xsmall"):
                st.markdown(":material/warning:", width="content")
                st.text(warning.message)
    asked = session.memory(Asked)
    if asked.open == info.id:
        asked.open = ""
        st.switch_page("pages/features.py", query_params={"study": info.id})


@st.cache_data(ttl=30, max_entries=64, show_spinner=False)
def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _open(name: str) -> None:
    session.current().pick(name)
    looking().view = View()
    session.memory(Asked).open = name


def _ask(name: str) -> None:
    session.memory(Asked).delete = name


@st.dialog("Delete this study?", icon=":material/delete:")
def _confirm(name: str) -> None:
    st.text(name)
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

    Raises:
        OutputError: the folder cannot be removed.
    """
    folder = studies_dir() / name
    hidden = folder.with_name(f".deleted-{name}")
    try:
        folder.rename(hidden)
        shutil.rmtree(hidden)
    except OSError as error:
        raise OutputError(f"cannot delete {folder}: {error.strerror}") from error
