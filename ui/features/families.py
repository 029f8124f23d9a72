"""Families of features as a tree to walk down: groups, the families in one, and their features."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from autointerp_core.errors import AutointerpError
from autointerp_core.store import selections
from autointerp_core.store.families import Family, Group, read_families
from ui import readers, session
from ui.features import filters
from ui.glossary import about
from ui.navigation import looking
from ui.runs.offer import Told, Work, newest, offer

_ALL = "all features"
_GROUP, _FAMILY = "family_group", "family_of_group"


def show(opened: readers.OpenStudy) -> None:
    """A small menu: the groups, then the families of the chosen one."""
    with st.popover("Families", key="families", help=about("Families")):
        try:
            groups = read_families(opened.study.folder)
        except AutointerpError as error:
            st.text(str(error))
            groups = None
        work = Work("families", {"study": opened.study.id}, f"Families of {opened.study.id}")
        job = newest(work)
        if groups is None or (job is not None and job.active):
            words = "Features much alike, put together: not done for this study yet."
            offer(work, words, "Find families", ":material/account_tree:")
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
            session.study_memory(Told).refused["families"] = str(error)
    filters.go(replace(looking().view, among=among, page=1))
