"""The New study form's further settings: who computes, where, and whose firings are kept."""

from __future__ import annotations

from typing import Any

import streamlit as st

from autointerp_core.extraction.config import KEEP, ExtractionConfig
from autointerp_core.extraction.engines import ENGINES
from ui.config_help import help_of
from ui.studies import probe

_RAY = "ray"
_TITLES = {
    "keep": "Firings kept",
    "engine": "Engine",
    "workers": "Ray workers",
    "ray_address": "Ray cluster",
}


def show() -> dict[str, Any]:
    """What was set, as parameters of the job.

    Raises:
        BadInput: the engine cannot run here, or a value means nothing: as the command line says.
    """
    with (
        st.expander("Advanced", key="new_advanced"),
        st.container(horizontal=True, vertical_alignment="bottom", gap="small"),
    ):
        given: dict[str, Any] = {
            "keep": _choice("keep", KEEP),
            "engine": _choice("engine", tuple(ENGINES)),
        }
        if given["engine"] == _RAY:
            workers = st.number_input(
                _TITLES["workers"],
                1,
                None,
                None,
                key="new_workers",
                placeholder="one a GPU, else one for two CPUs",
                width=260,
                help=help_of(ExtractionConfig, "workers"),
            )
            address = st.text_input(
                _TITLES["ray_address"],
                key="new_ray_address",
                placeholder="local",
                width=260,
                help=help_of(ExtractionConfig, "ray_address"),
            )
            given["workers"] = None if workers is None else int(workers)
            given["ray_address"] = (address or "").strip() or None
    if given["engine"] != ExtractionConfig.engine:
        probe.engine(given)
    return given


def _choice(name: str, options: tuple[str, ...]) -> str:
    default = str(ExtractionConfig.__dataclass_fields__[name].default)
    return st.selectbox(
        _TITLES[name],
        options,
        options.index(default),
        key=f"new_{name}",
        width=200,
        help=help_of(ExtractionConfig, name),
    )
