"""Labels and scores that other tools made, taken in from a file or folder of this machine."""

from __future__ import annotations

import streamlit as st

from autointerp_core.exchange.imports import ImportReport, import_path
from autointerp_core.exchange.registry import IMPORTS
from ui import problems, readers
from ui.decisions import author
from ui.export.formats_out import PLACE
from ui.marks import marked
from ui.runs import start

_FORMATS = {name: about for name, about in IMPORTS.items() if name != "results"}
_LISTED = 8
_TITLES = {"neuronpedia": "Neuronpedia", "delphi": "delphi", "dataset": "Dataset folder"}


def show(opened: readers.OpenStudy) -> None:
    """Where to read, what it would change, and the job that takes it in."""
    st.subheader("From other tools")
    with st.container(key="quiet_from"):
        st.text(
            "Explanations and scores become proposals, under the name of where they come from; "
            "nothing is accepted or changed."
        )
    name = st.segmented_control(
        "Format", list(_FORMATS), format_func=_TITLES.__getitem__, default="neuronpedia",
        key="import_format",
    )  # fmt: skip
    if name is None:
        return
    path = st.text_input(
        "File or folder on this machine", key="import_path", placeholder=_FORMATS[name]
    ).strip()
    shorten = st.checkbox(
        "Shorten long labels",
        key="import_shorten",
        help="Labels have at most 9 words. Longer ones are listed and left out; with this their "
        "first words are taken, and the whole text is kept in the history.",
    )
    if not path:
        return
    long = "shorten" if shorten else "refuse"
    who = author.current()
    with problems.errors():
        report = import_path(
            opened.study, readers.history(), path, name, author=who or "?", long=long, dry_run=True
        )
        _report(report)
        if not who:
            st.text("Say who you are first: the person button at the top right.")
        st.button(
            "Take in",
            key="import_from",
            type="primary",
            disabled=not who or not (report.labels or report.scores),
            on_click=_take_in,
            args=(opened, name, path, long, who),
        )


def _report(report: ImportReport) -> None:
    with st.container(key="import_report", border=True, gap="xxsmall"):
        for line in report.lines:
            st.text(marked(line[:1].upper() + line[1:] + "."))
    for line in report.refused[:_LISTED]:
        st.text(marked(f"Not taken: {line}"))
    for line in report.shortened[:_LISTED]:
        st.text(marked(f"Shortened: {line}"))


def _take_in(opened: readers.OpenStudy, name: str, path: str, long: str, who: str) -> None:
    params = {
        "study": str(opened.study.folder),
        "path": path,
        "format": name,
        "author": who,
        "long": long,
    }
    start.start(PLACE, "import", params, f"{_TITLES[name]}: {path}")
