"""Asking for a new machine label of one feature; a background job, the old label stays."""

from __future__ import annotations

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError
from autointerp_core.store.study import GROUPS
from ui import jobview, readers
from ui.index import Row


def popover(opened: readers.OpenStudy, row: Row) -> None:
    """The button with the form behind it."""
    with st.popover("Regenerate", icon=":material/refresh:", key="regenerate"):
        _form(opened, row)


def _form(opened: readers.OpenStudy, row: Row) -> None:
    own = opened.info.model_name
    with st.form("regenerate_form", border=False):
        st.segmented_control(
            "Label",
            ["local", "search"],
            default="local",
            required=True,
            key="regenerate_kind",
            format_func={"local": "LLM", "search": "Search"}.__getitem__,
        )
        st.text_input(
            "Model (hub id or folder)", key="regenerate_model", placeholder=f"{own} (the study's)"
        )
        st.slider("Examples shown to it", 3, 20, 10, key="regenerate_count")
        st.selectbox(
            "Examples from",
            GROUPS,
            key="regenerate_group",
            format_func=lambda name: name.replace("_", " "),
        )
        st.form_submit_button(
            "Start",
            key="regenerate_start",
            type="primary",
            on_click=_start,
            args=(opened, row.feature),
        )


def _start(opened: readers.OpenStudy, feature: int) -> None:
    state = st.session_state
    params = {
        "study": str(opened.study.folder),
        "features": [feature],
        "provider": state["regenerate_kind"] or "local",
        "max_examples": state["regenerate_count"],
        "group": state["regenerate_group"],
        "regenerate": True,
    }
    if (state["regenerate_model"] or "").strip():
        params["model_path"] = state["regenerate_model"].strip()
    try:
        job = jobs.submit("generate", params, f"New label for feature {feature}")
        state["feature_jobs"] = state.get("feature_jobs", {}) | {feature: job.id}
    except AutointerpError as error:
        state["regenerate_problem"] = str(error)


def follow(feature: int) -> None:
    """The job started for this feature, while it runs."""
    with st.container(key="regenerate_job", gap="xsmall"):
        problem = st.session_state.pop("regenerate_problem", "")
        if problem:
            st.text(problem)
        if feature in st.session_state.get("feature_jobs", {}):
            _job(feature)


@st.fragment(run_every=1.0)
def _job(feature: int) -> None:
    """Follows the feature's job; when it is done the page is drawn with the new label."""
    started: dict[int, str] = st.session_state.get("feature_jobs", {})
    if feature not in started:
        return
    try:
        job = jobs.get(started[feature])
    except AutointerpError:
        started.pop(feature)  # deleted on the Studies page
        return
    if job.status == "done":
        started.pop(feature)
        st.rerun()
    jobview.show(job)
