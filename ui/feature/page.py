"""The Feature page: examples on the left; labels, numbers and logits on the right."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from autointerp_core.errors import BadInput
from autointerp_core.explore.feature_index import Row, Snapshot
from autointerp_core.explore.view import View
from ui import problems, readers, session, url
from ui.feature import examples, label_panel, related, statistics
from ui.navigation import Place, find_place, looking


@dataclass
class Leaving:
    """Whether the table was asked for."""

    to_table: bool = False


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("feature")
    with problems.errors():
        snapshot = opened.snapshot()
        view = url.view()
        feature = _feature(snapshot, view, opened)
        at = snapshot.at(feature)
        if at is None:
            _walk(find_place(snapshot, view, feature), view)
            raise BadInput(
                f"feature {feature} is not in this study ({len(snapshot):,} of "
                f"{opened.info.d_sae:,} features extracted); extract it first"
            )
        row = snapshot.row(at)
        place = find_place(snapshot, view, feature)
        _walk(place, view)
        _title(row)
        left, right = st.columns([1.75, 1], gap="medium")
        # In the order in which a person looks: the browser draws what comes first first.
        with left:
            examples.show(opened, row)
        with right, st.container(key="side", gap="small"):
            label_panel.show(opened, row)
            statistics.numbers(opened, row)
            chart = st.container(key="chart")
        with left:
            statistics.logits(opened, row)
            related.show(opened, snapshot, row, go_to)
        with chart:
            statistics.chart(opened, row)


def _feature(snapshot: Snapshot, view: View, opened: readers.OpenStudy) -> int:
    """The feature of the address, else the last one looked at, else the first of the view."""
    feature = url.feature()
    if feature is None:
        feature = looking().feature
        if feature is not None:
            view = looking().view
        else:
            order = snapshot.order(view)
            feature = int(snapshot.features[order[0]]) if len(order) else 0
        url.put(url.address(opened.name, view, feature))
    looking().feature = feature
    return feature


def _walk(place: Place, view: View) -> None:
    """Previous, next, where we are, and a jump by number."""
    with st.container(key="walk", horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Table", key="back", icon=":material/table_rows:", on_click=_back)
        st.button(
            "Previous",
            key="previous",
            icon=":material/chevron_left:",
            shortcut="K",
            disabled=place.previous is None,
            on_click=go_to,
            args=(place.previous,),
        )
        st.button(
            "Next",
            key="next",
            icon=":material/chevron_right:",
            icon_position="right",
            shortcut="J",
            disabled=place.next is None,
            on_click=go_to,
            args=(place.next,),
        )
        with st.container(key="quiet_place", width="stretch"):
            st.text(place.text(view))
        st.text_input(
            "Go to feature",
            key="jump",
            placeholder="Go to feature …",
            label_visibility="collapsed",
            width=140,
            on_change=_jump,
        )
    leaving = session.memory(Leaving)
    back, leaving.to_table = leaving.to_table, False
    if back:
        st.switch_page("pages/features.py", query_params=url.address(url.study(), view))


def _title(row: Row) -> None:
    with st.container(key="feature_title", horizontal=True, vertical_alignment="center"):
        with st.container(key="feature_number", width="content"):
            st.text(f"Feature {row.feature}")
        label_panel.badges(row)


def go_to(feature: int | None) -> None:
    """Callback: look at another feature in the same view."""
    if feature is not None:
        url.put(url.address(url.study(), url.view(), feature))


def _jump() -> None:
    text = (session.widget("jump") or "").strip()
    session.set_widget("jump", "")
    if text.isdecimal() and len(text) < 10:
        go_to(int(text))


def _back() -> None:
    session.memory(Leaving).to_table = True
