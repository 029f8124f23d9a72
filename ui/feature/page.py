"""The Feature page: examples on the left; labels, numbers and logits on the right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from autointerp_core.errors import BadInput
from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.view import View
from ui import problems, readers, session, url
from ui.decisions import keyboard, presses
from ui.decisions.keyboard import Meaning, Press
from ui.feature import examples, label_panel, related, sides, steer
from ui.navigation import Place, absent, find_place, looking, no_feature


@dataclass
class Leaving:
    """Whether the table was asked for."""

    to_table: bool = False


_MOVES = {"j": Meaning("next", moves=True), "k": Meaning("previous", moves=True)}


@dataclass
class Jumping:
    """What was typed into "Go to feature" and is no number, until it was told."""

    wrong: str = ""


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("feature")
    with problems.errors():
        snapshot = opened.snapshot()
        view = url.view()
        feature = _feature(snapshot, view, opened)
        place = find_place(snapshot, view, feature)
        row = readers.row(opened, snapshot, feature)
        _walk(place, view, snapshot.ranking(view.by))
        if row is None:
            raise BadInput(absent(opened.info.d_sae, snapshot, feature))
        left, decide, numbers = sides.columns()
        # In the order in which a person looks: the browser draws what comes first first.
        with decide:
            label_panel.title(row, snapshot.ranking(view.by))
        with left:
            examples.show(opened, row)
        with decide:
            screen = label_panel.show(opened, row)
            keys = label_panel.keys(row.state) | _MOVES
            keyboard.show(screen, keys, lambda press: _pressed(opened, press))
        sides.numbers(opened, snapshot, row, numbers)
        with left:
            steer.show(opened, row.feature)
            related.show(opened, snapshot, row, go_to)
    url.drawn()


def _feature(snapshot: Snapshot, view: View, opened: readers.OpenStudy) -> int:
    """The feature of the address, else the last one looked at, else the first of the view."""
    feature = url.feature()
    if feature is None:
        session.memory(Jumping).wrong = url.wrong_feature()
        feature = looking().feature
        if feature is not None:
            view = looking().view
        else:
            order = snapshot.order(view)
            feature = int(snapshot.features[order[0]]) if len(order) else 0
        url.put(url.address(opened.name, view, feature))
    looking().feature = feature
    return feature


def _walk(place: Place, view: View, ranking: str) -> None:
    """Previous, next, where we are, and a jump by number."""
    with st.container(key="walk", horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Table", key="back", icon=":material/table_rows:", on_click=_back)
        st.button(
            keyboard.hint("Previous", "K"),
            key="previous",
            icon=":material/chevron_left:",
            disabled=place.previous is None,
            on_click=go_to,
            args=(place.previous,),
        )
        st.button(
            keyboard.hint("Next", "J"),
            key="next",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=place.next is None,
            on_click=go_to,
            args=(place.next,),
        )
        with st.container(key="quiet_place", width="stretch"):
            st.text(place.text(view, ranking))
        st.text_input(
            "Go to feature",
            key="jump",
            placeholder="Go to feature …",
            label_visibility="collapsed",
            width=140,
            on_change=_jump,
        )
    jumping = session.memory(Jumping)
    wrong, jumping.wrong = jumping.wrong, ""
    if wrong:
        no_feature(wrong)
    leaving = session.memory(Leaving)
    back, leaving.to_table = leaving.to_table, False
    if back:
        if place.number is not None:  # its page of the table, wherever one has walked to
            view = replace(view, page=(place.number - 1) // view.size + 1)
        st.switch_page("pages/features.py", query_params=url.address(url.study(), view))


def go_to(feature: int | None) -> None:
    """Callback: look at another feature in the same view."""
    if feature is not None:
        url.put(url.address(url.study(), url.view(), feature))


def _pressed(opened: readers.OpenStudy, press: Press) -> None:
    """A key: moves go on from where the page is, decisions are about what was seen."""
    snapshot = opened.snapshot()
    if press.do in presses.DECIDES:
        presses.make(press, snapshot.state(press.screen.feature))
        return
    view, feature = url.view(), url.feature()
    if feature is not None:
        place = find_place(snapshot, view, feature)
        go_to(place.next if press.do == "next" else place.previous)


def _jump() -> None:
    text = (session.widget("jump") or "").strip()
    session.set_widget("jump", "")
    if text.isdecimal() and len(text) < 10:
        go_to(int(text))
    elif text:
        session.memory(Jumping).wrong = text[:40]


def _back() -> None:
    session.memory(Leaving).to_table = True
