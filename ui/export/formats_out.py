"""Files for other tools: a format a line, what it would write, and the job that writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from autointerp_core.errors import AutointerpError
from autointerp_core.exchange.config import ExportConfig
from autointerp_core.exchange.format import Format, Plan
from autointerp_core.exchange.registry import export_formats
from autointerp_core.exchange.run import preview
from autointerp_core.exchange.subject import Subject
from autointerp_core.home import home
from ui import problems, readers
from ui.config_help import help_of
from ui.marks import marked
from ui.runs import start

PLACE = "export"
_TITLES = {
    "model_id": "Model id",
    "source_set": "Source set",
    "release": "Release",
    "creator": "Creator",
    "send": "Send now",
    "base_url": "Server",
    "key_variable": "Variable with the API key",
    "graph": "Graph file",
    "push_to": "Push to",
}
_LISTED = 8


def show(opened: readers.OpenStudy, features: Sequence[int]) -> None:
    """Every format, closed; one that is opened says what it would write."""
    st.subheader("For other tools")
    with st.container(key="quiet_formats"):
        st.text(
            f"{len(features):,} features, written to a folder of this machine by a job that may be "
            "stopped and goes on. Open a format to see what it writes. The same from a terminal: "
            "autointerp export --help"
        )
    for found in export_formats().values():
        box = st.expander(
            f"{found.title}: {found.about}", key=f"format_{found.name}", on_change="rerun"
        )
        if box.open:
            with box, problems.errors():
                _format(found, opened, features)


def _format(found: Format, opened: readers.OpenStudy, features: Sequence[int]) -> None:
    params = _settings(found)
    default = home() / "exports" / opened.name / found.name
    folder = st.text_input("Folder", str(default), key=f"folder_{found.name}")
    if not features:
        st.text("No feature is chosen.")
        return
    chosen = tuple(sorted(features))
    config = ExportConfig.from_params(params)
    plan = preview(Subject(opened.study, readers.history(), chosen, config), found.name)
    _plan(found, plan)
    st.button(
        "Write and send" if params.get("send") else "Write",
        key=f"write_{found.name}",
        type="primary",
        icon=":material/folder_open:",
        on_click=_write,
        args=(found.name, found.title, opened, list(chosen), folder, params),
    )


def _settings(found: Format) -> dict[str, Any]:
    """What of the configuration concerns the format, as far as it was filled in."""
    given: dict[str, Any] = {}
    names = [name for name in found.settings if name in _TITLES]
    if not names:
        return given
    with st.container(horizontal=True, key=f"settings_{found.name}", gap="small"):
        for name in names:
            key, told = f"set_{found.name}_{name}", help_of(ExportConfig, name)
            default = ExportConfig.__dataclass_fields__[name].default
            if isinstance(default, bool):
                given[name] = st.checkbox(_TITLES[name], key=key, help=told)
            else:
                text = st.text_input(_TITLES[name], default or "", key=key, help=told, width=260)
                given |= {name: text.strip()} if text and text.strip() else {}
    return given


def _plan(found: Format, plan: Plan) -> None:
    with st.container(key=f"quiet_plan_{found.name}", gap=None):
        needs = f" Needs {found.needs}." if found.needs else ""
        more = ", and those that labels need" if plan.folders else ""
        count = f"{plan.n_files:,} files" if plan.n_files != 1 else "1 file"
        st.text(f"{count}{more}.{needs}")
        for line in plan.lines:
            st.text(marked(line))
        for line in plan.left_out[:_LISTED]:
            st.text(marked(f"Left out: {line}"))
        if len(plan.left_out) > _LISTED:
            st.text(f"and {len(plan.left_out) - _LISTED:,} more are left out")


def _write(
    name: str,
    title: str,
    opened: readers.OpenStudy,
    features: list[int],
    folder: str,
    params: dict[str, Any],
) -> None:
    """Queue the job; a folder that cannot be used is told before."""
    with problems.errors():
        if not folder.strip():
            raise AutointerpError("give a folder to write to")
        asked = {
            **params,
            "study": str(opened.study.folder),
            "features": features,
            "format": name,
            "output_dir": str(Path(folder).expanduser()),
        }
        start.start(PLACE, "export", asked, f"{title}: {len(features):,} features")
