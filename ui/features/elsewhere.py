"""A topic searched for in the other studies, too: of this SAE, or of all there are."""

from __future__ import annotations

from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from autointerp_core.explore.by_meaning import MeaningSearch
from autointerp_core.explore.view import View
from autointerp_core.home import studies_dir
from ui import readers, session
from ui.marks import marked

_LIMIT = 20
_STUDIES = 12
"""Searched at a time, the newest first."""
_NOWHERE, _SAE, _ALL = "This study", "All studies of this SAE", "All studies"
_KEY = "elsewhere"


def show(opened: readers.OpenStudy, view: View) -> None:
    """A choice where there are other studies, and what is found in them."""
    if not view.by_topic:
        return
    found = readers.studies().studies
    same = [info.id for info in found if info.sae_fingerprint == opened.sae]
    ways = [_NOWHERE]
    ways += [_SAE] if len(same) > 1 else []
    ways += [_ALL] if len(found) > max(len(same), 1) else []
    if len(ways) == 1:
        return
    if session.widget(_KEY) not in ways:
        session.set_widget(_KEY, _NOWHERE)
    where = st.segmented_control(
        "Search in", ways, key=_KEY, required=True, label_visibility="collapsed"
    )
    if where in (None, _NOWHERE):
        return
    chosen = same if where == _SAE else [info.id for info in found]
    stamps = tuple((each, readers.stamp_of(studies_dir() / each)) for each in chosen[:_STUDIES])
    search = _search(stamps)
    rows = [
        {
            "Feature": f"feature?{urlencode({'study': each.study, 'feature': str(each.feature)})}",
            "Label": marked(each.label or ""),
            "Study": marked(each.study_name),
            "SAE": marked(each.sae),
            "Meaning": each.meaning,
            "Context": each.context,
        }
        for each in search.find(view.q, readers.history(), _LIMIT)
    ]
    if not rows:
        st.text("No feature of these studies is about anything like it.")
        return
    if len(chosen) > _STUDIES:
        st.text(f"The newest {_STUDIES} of {len(chosen)} studies were searched.")
    st.dataframe(
        pd.DataFrame(rows),
        key="elsewhere_found",
        hide_index=True,
        column_config={
            "Feature": st.column_config.LinkColumn(display_text=r"feature=(\d+)$", width="small"),
            "Meaning": st.column_config.NumberColumn(
                format="%.2f", help="Likeness of the words to its label or to what it fires on"
            ),
            "Context": st.column_config.NumberColumn(
                format="%.2f", help="Likeness of the words to what is talked of where it fires"
            ),
        },
    )


@st.cache_resource(max_entries=2, show_spinner="Reading what the other studies are about …")
def _search(stamps: tuple[tuple[str, int], ...]) -> MeaningSearch:
    return MeaningSearch([readers.open_study(study).study for study, _ in stamps])
