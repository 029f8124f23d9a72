"""The Studies page: what is on disk, what runs, and a new study."""

from __future__ import annotations

import shutil
from pathlib import Path

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError, OutputError
from autointerp_core.extraction.estimate import size
from autointerp_core.home import studies_dir
from autointerp_core.store.study_record import StudyRecord
from ui import readers, shell
from ui.runs import job_view
from ui.sentences import sentence
from ui.studies import new_study


def show() -> None:
    """The whole page."""
    st.session_state["page_shown"] = "studies"
    with shell.errors():
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
        told = st.session_state.pop("new_told", "")
        if told:
            st.text(told)
        _jobs()
        st.subheader("On disk")
        if not found:
            st.text("No study yet. Start one above, or build the demo from the Features page.")
        for info in found:
            _card(info)
        for error in damaged:
            with st.container(border=True):
                st.text(sentence(str(error)))
    if "deleting" in st.session_state:
        _confirm(st.session_state.pop("deleting"))


@st.fragment(run_every=2.0)
def _jobs() -> None:
    """Jobs, newest first; those that ended can be cleared away."""
    found = jobs.list_jobs()
    active = [job.id for job in found if job.active]
    before = st.session_state.get("jobs_active", active)
    st.session_state["jobs_active"] = active
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
                st.session_state["new_told"] = str(error)


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
            snapshot = readers.open_study(info.id).snapshot()
            done = int((snapshot.status > 0).sum())
            counts = f"{len(snapshot):,} of {info.d_sae:,} features · {done:,} reviewed"
            counts += f" ({done / max(len(snapshot), 1):.0%})"
        except AutointerpError as error:
            counts = sentence(str(error))
        with st.container(key=f"quiet_study_{info.id}"):
            st.text(
                f"{info.dataset_name}, column {info.column}: {info.n_documents:,} documents, "
                f"{info.n_counted:,} counted tokens · {counts} · {size(_bytes(folder))}"
            )
        for warning in info.warnings:
            with st.container(horizontal=True, gap="xsmall"):
                st.markdown(":material/warning:", width="content")
                st.text(warning.message)
    if st.session_state.get("opening") == info.id:
        st.session_state.pop("opening")
        st.switch_page("pages/features.py", query_params={"study": info.id})


@st.cache_data(ttl=30, max_entries=64, show_spinner=False)
def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _open(name: str) -> None:
    st.session_state["study"] = name
    st.session_state["opening"] = name
    st.session_state.pop("features_view", None)


def _ask(name: str) -> None:
    st.session_state["deleting"] = name


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
