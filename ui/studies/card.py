"""A study on disk: what it is called, what it holds, and what can be done with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from autointerp_core.errors import AutointerpError
from autointerp_core.explore.view import View
from autointerp_core.extraction.estimate import size
from autointerp_core.home import studies_dir
from autointerp_core.store import study_names
from autointerp_core.store.studies import controls_of
from autointerp_core.store.study_record import StudyRecord
from ui import session
from ui.glossary import about
from ui.marks import marked
from ui.navigation import looking
from ui.sentences import sentence
from ui.studies import counts


@dataclass
class Asked:
    """What was asked for on the page, until it is done; and why a name could not be given."""

    open: str = ""
    delete: str = ""
    refused: str = ""


def show(info: StudyRecord, called: str) -> None:
    """One study: what it is, how far it is reviewed, and what can be done with it."""
    folder = studies_dir() / info.id
    with st.container(key=f"study_{info.id}", border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(key=f"study_name_{info.id}", width="stretch"):
                st.text(called)
            st.button("Open", key=f"open_{info.id}", on_click=_open, args=(info.id,))
            _rename(info, folder, called)
            st.button(
                "Delete",
                key=f"delete_{info.id}",
                icon=":material/delete:",
                on_click=_ask,
                args=(info.id,),
            )
        st.text(marked(f"{info.model_name} · {info.sae_source} · {info.hook}"))
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
                f" · {info.id}"
            )
            _health(info)
            controls = sorted(each.control or "" for each in controls_of(info.id))
            if controls:
                st.text(f"Controls, shown on the Report page: {', '.join(controls)}")
        for warning in info.warnings:
            with st.container(horizontal=True, gap="xsmall"):
                st.markdown(":material/warning:", width="content")
                st.text(marked(warning.message))
    asked = session.memory(Asked)
    if asked.open == info.id:
        asked.open = ""
        st.switch_page("pages/features.py", query_params={"study": info.id})


def _health(info: StudyRecord) -> None:
    """How well the SAE rebuilds what it reads, here and at the neighbouring hook points."""
    known = {hook: value for hook, value in info.health.fvu.items() if math.isfinite(value)}
    here = known.pop(info.hook, None)
    if here is None:
        return
    beside = ", ".join(f"{value:.2f} at {hook}" for hook, value in known.items())
    told = f"FVU {here:.2f}" + (f" ({beside})" if beside else "")
    told += f" · L0 {info.health.l0:.4g}" if info.health.l0 else ""
    st.text(marked(told), help=f"FVU: {about('FVU')}\n\nL0: {about('L0')}")


@st.cache_data(ttl=30, max_entries=64, show_spinner=False)
def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _open(name: str) -> None:
    session.current().pick(name)
    looking().view = View()
    session.memory(Asked).open = name


def _ask(name: str) -> None:
    session.memory(Asked).delete = name


def _rename(info: StudyRecord, folder: Path, called: str) -> None:
    with st.popover("Rename", key=f"rename_{info.id}", icon=":material/edit:"):
        key = f"new_name_{info.id}"
        st.text_input(
            "Name",
            called,
            key=key,
            max_chars=study_names.MAX_NAME,
            help="Empty: model, layer, dataset and date. The study's id stays.",
            on_change=_renamed,
            args=(folder, key),
        )
        asked = session.memory(Asked)
        refused, asked.refused = asked.refused, ""
        if refused:
            st.text(sentence(refused))


def _renamed(folder: Path, key: str) -> None:
    try:
        study_names.rename(folder, session.widget(key) or "")
    except AutointerpError as error:
        session.memory(Asked).refused = str(error)
