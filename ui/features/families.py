"""Families of features as a tree to walk down: groups, the families in one, and their features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError
from autointerp_core.jobs.state import JobState
from autointerp_core.store import selections
from autointerp_core.store.families import Family, Group, read_families
from ui import readers, session
from ui.features import filters
from ui.glossary import about
from ui.navigation import looking
from ui.runs import job_view

_ALL = "all features"
_GROUP, _FAMILY = "family_group", "family_of_group"


@dataclass
class Told:
    """What went wrong when families were asked for."""

    refused: str = ""


def show(opened: readers.OpenStudy) -> None:
    """A small menu: the groups, then the families of the chosen one."""
    with st.popover("Families", key="families", help=about("Families")):
        try:
            groups = read_families(opened.study.folder)
        except AutointerpError as error:
            st.text(str(error))
            groups = None
        job = _job(opened.study.id)
        if job is not None and job.active:
            _follow(opened.study.id)
        elif groups is None:
            _ask(opened.study.id)
        else:
            _tree(groups)


def _tree(groups: tuple[Group, ...]) -> None:
    of_families = sum(len(group.families) for group in groups)
    st.text(f"{len(groups):,} groups of {of_families:,} families")
    at = st.selectbox(
        "Group",
        range(-1, len(groups)),
        key=_GROUP,
        format_func=lambda i: _ALL if i < 0 else _named(groups[i]),
        on_change=_chosen,
        args=(groups,),
        width=420,
    )
    if at is not None and at >= 0 and len(groups[at].families) > 1:
        st.selectbox(
            "Family",
            range(-1, len(groups[at].families)),
            key=_FAMILY,
            format_func=lambda i: "the whole group" if i < 0 else _named(groups[at].families[i]),
            on_change=_chosen,
            args=(groups,),
            width=420,
        )


def _named(one: Group | Family) -> str:
    return f"{one.label} ({len(one.features)})"


def _chosen(groups: tuple[Group, ...]) -> None:
    """The table shows what was chosen, and nothing else."""
    at, within = session.widget(_GROUP), session.widget(_FAMILY)
    among = ""
    if isinstance(at, int) and 0 <= at < len(groups):
        families = groups[at].families
        one: Group | Family = groups[at]
        if isinstance(within, int) and 0 <= within < len(families):
            one = families[within]
        try:
            among = selections.keep(one.features)
        except AutointerpError as error:
            session.memory(Told).refused = str(error)
    filters.go(replace(looking().view, among=among, page=1))


def _ask(study: str) -> None:
    told = session.study_memory(Told)
    if told.refused:
        st.text(told.refused)
    st.text("Features much alike, put together: not done for this study yet.")
    st.button("Find families", key="find_families", on_click=_submit, args=(study,))


def _submit(study: str) -> None:
    told = session.study_memory(Told)
    try:
        jobs.submit("families", {"study": study}, f"Families of {study}")
        told.refused = ""
    except AutointerpError as error:
        told.refused = str(error)


@st.fragment(run_every=2.0)
def _follow(study: str) -> None:
    job = _job(study)
    if job is None or not job.active:
        st.rerun()
    st.text(f"Being worked out: {job_view.progress_line(job)}")


def _job(study: str) -> JobState | None:
    """The newest job that finds families of a study."""
    found = (job for job in jobs.list_jobs() if job.kind == "families")
    return next((job for job in found if job.params.get("study") == study), None)
