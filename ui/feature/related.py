"""Features related to the one looked at, each with its label and a link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from autointerp_core.errors import AutointerpError
from autointerp_core.explore.cofiring import Companion, companions
from autointerp_core.explore.decoder_neighbours import Neighbour, neighbours
from autointerp_core.explore.feature_index import Row, Snapshot
from autointerp_core.explore.first_shards import MOST_LOOKED_UP, share_read
from ui import readers, session, url
from ui.elements.component import register
from ui.elements.table import feature_link, missing_reason
from ui.runs.offer import Work, offer
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
                        "note": _counted(opened),
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
            words = "Reads the SAE's weights once, in the background."
            offer(_work(opened.name), words, "Work them out", ":material/hub:")


@st.cache_data(max_entries=512, show_spinner="Counting shared tokens …")
def _companions(folder: str, stamp: int, feature: int) -> Sequence[Companion]:
    return companions(readers.study_of(folder, stamp), feature)


def _counted(opened: readers.OpenStudy) -> str:
    share = share_read(opened.study, MOST_LOOKED_UP)
    part = "" if share >= 1 else f", in the first {share:.0%} of the tokens"
    return f"cosine of the two sets of tokens{part}"


def _neighbours(opened: readers.OpenStudy, feature: int) -> tuple[Sequence[Neighbour], str]:
    """Neighbours, or why there are none to tell."""
    try:
        return neighbours(opened.study, feature), ""
    except AutointerpError as error:
        return [], f"not known: {error}"


def _work(study: str) -> Work:
    return Work("neighbours", {"study": study}, f"Decoder neighbours of {study}")


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
