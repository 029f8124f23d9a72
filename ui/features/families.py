"""Families of features as a tree to walk down: groups, the families in one, and their features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from autointerp_core.errors import AutointerpError
from autointerp_core.store import selections
from autointerp_core.store.families import Family, Group, read_families
from ui import readers, session
from ui.elements.component import register
from ui.features import filters
from ui.glossary import about
from ui.marks import marked
from ui.navigation import looking
from ui.runs.offer import Told, Work, newest, offer

_TREE = register("families", Path(__file__).parent)
KEY = "family_tree"


def show(opened: readers.OpenStudy) -> None:
    """A small menu with the tree; what is chosen in it fills the table."""
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
        elif not groups:
            st.text("No three features of this study are much alike.")
        else:
            _tree(opened.name, groups)


def _tree(study: str, groups: tuple[Group, ...]) -> None:
    families = sum(len(group.families) for group in groups)
    features = sum(len(group.features) for group in groups)
    among = looking().view.among
    _TREE(
        key=KEY,
        data={
            "study": study,
            "head": f"{features:,} features in {_count(families, 'family', 'families')}, "
            f"{_count(len(groups), 'group', 'groups')}",
            "groups": [
                {**_node(group, among), "families": [_node(one, among) for one in group.families]}
                for group in groups
            ],
            "anything": bool(among),
        },
        on_picked_change=lambda: _picked(groups),
    )


def _node(one: Group | Family, among: str) -> dict[str, Any]:
    return {
        "label": marked(one.label),
        "count": len(one.features),
        "chosen": bool(among) and selections.name_of(one.features) == among,
    }


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _picked(groups: tuple[Group, ...]) -> None:
    """The table shows what was chosen, and nothing else."""
    picked = session.widget(KEY).picked
    one = _at(groups, picked if isinstance(picked, Mapping) else {})
    try:
        among = selections.keep(one.features) if one is not None else ""
    except AutointerpError as error:
        session.study_memory(Told).refused["families"] = str(error)
        return
    filters.go(replace(looking().view, among=among, page=1))


def _at(groups: tuple[Group, ...], picked: Mapping[str, Any]) -> Group | Family | None:
    """The group or family that was picked; None for all features, or what is not in the tree."""
    at, within = picked.get("group"), picked.get("family")
    if not isinstance(at, int) or not 0 <= at < len(groups):
        return None
    families = groups[at].families
    inside = isinstance(within, int) and 0 <= within < len(families)
    return families[within] if isinstance(within, int) and inside else groups[at]
