"""Features related to the one looked at, each with its label and a link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError
from autointerp_core.explore.cofiring import Companion, companions
from autointerp_core.explore.decoder_neighbours import Neighbour, neighbours
from autointerp_core.explore.feature_index import Row, Snapshot
from autointerp_core.jobs import JobState
from ui import readers, session, url
from ui.elements.component import register
from ui.elements.table import feature_link, missing_reason
from ui.runs import job_view
from ui.sentences import sentence

_LIST = register("related", Path(__file__).parent)


def show(
    opened: readers.OpenStudy, snapshot: Snapshot, row: Row, go_to: Callable[[int | None], None]
) -> None:
    """A list that is worked out only while it is open; it stays open from feature to feature."""
    box = st.expander("Related features", key="related_open", on_change="rerun")
    if not box.open:
        return
    with box:
        folder, feature = str(opened.study.folder), row.feature
        together = _companions(folder, opened.stamp, feature)
        alike, why_not = _neighbours(opened, feature)
        _LIST(
            key="related",
            data={
                "groups": [
                    {
                        "title": "Fires on the same tokens",
                        "note": "cosine of the two sets of tokens",
                        "rows": [
                            _line(opened, snapshot, found.feature, f"{found.likeness:.2f}")
                            for found in together
                        ],
                        "empty": "No other feature fires on its tokens.",
                    },
                    {
                        "title": "Points in a similar direction",
                        "note": "cosine of the decoder directions",
                        "rows": [
                            _line(opened, snapshot, found.feature, f"{found.cosine:.2f}")
                            for found in alike
                        ],
                        "empty": sentence(why_not),
                    },
                ]
            },
            on_open_change=lambda: go_to(int(session.widget("related").open)),
        )
        if why_not:
            _make(opened.name)


@st.cache_data(max_entries=512, show_spinner="Counting shared tokens …")
def _companions(folder: str, stamp: int, feature: int) -> Sequence[Companion]:
    return companions(readers.study_of(folder, stamp), feature)


def _neighbours(opened: readers.OpenStudy, feature: int) -> tuple[Sequence[Neighbour], str]:
    """Neighbours, or why there are none to tell."""
    try:
        return neighbours(opened.study, feature), ""
    except AutointerpError as error:
        return [], f"not known: {error}"


def _make(study: str) -> None:
    """Offer to work neighbours out for a study that has none, and follow the job that does."""
    job = _job(study)
    if job is not None and job.active:
        _follow(study)
        return
    why = session.study_memory(_Told).refused or (job.error if job is not None else "")
    if why:
        st.text(sentence(why))
    st.button(
        "Work them out",
        key="neighbours_make",
        type="tertiary",
        help="Reads the SAE's weights once, in the background.",
        on_click=_submit,
        args=(study,),
    )


@dataclass
class _Told:
    refused: str = ""
    """Why no job could be started."""


def _submit(study: str) -> None:
    told = session.study_memory(_Told)
    try:
        jobs.submit("neighbours", {"study": study}, f"Decoder neighbours of {study}")
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
    """The newest job that works out neighbours for a study."""
    found = (job for job in jobs.list_jobs() if job.kind == "neighbours")
    return next((job for job in found if job.params.get("study") == study), None)


def _line(
    opened: readers.OpenStudy, snapshot: Snapshot, feature: int, value: str
) -> dict[str, Any]:
    at = snapshot.at(feature)
    state = snapshot.state(feature)
    kept = at is None and bool(np.isin(feature, opened.study.kept))
    absent = "not looked at yet" if kept else "not extracted here"
    missing = absent if at is None else missing_reason(snapshot.row(at))
    link = feature_link(opened.name, feature, url.view())
    return {
        "feature": feature,
        "href": link if kept or at is not None else "",
        "label": state.label or f"({missing})",
        "status": state.status,
        "value": value,
    }
