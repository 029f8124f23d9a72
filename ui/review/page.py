"""The Review page: one feature at a time from a queue, everything by keyboard."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from autointerp_core.explore.feature_index import Row
from ui import problems, readers, session, url
from ui.decisions import author, decide
from ui.decisions.callback import act
from ui.elements.component import register
from ui.elements.tokens import Group, token_view
from ui.feature import candidates, label_panel, proposals, statistics
from ui.feature.examples import lines_of
from ui.navigation import Place, find_place
from ui.review import queues

_FOCUS = register("focus", Path(__file__).parent)
_FEW, _MORE = 8, 20
_KEYS = (
    ("1", "accept the LLM label"),
    ("2", "accept the search label"),
    ("O", "write your own label (Enter saves, Escape leaves the box)"),
    ("F", "flag or unflag"),
    ("S", "skip: come back to it at the end"),
    ("U", "undo your last decision and go back to it"),
    ("N", "next, without deciding"),
    ("P", "previous"),
    ("M", "show more or fewer examples"),
    ("H", "this list"),
)


@dataclass
class Reviewing:
    """What the session remembers of the page."""

    show_keys: bool = False
    focus_asked: int = 0
    more: bool = False
    """More examples of each feature."""


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("review")
    with problems.errors():
        snapshot = opened.snapshot()
        queue = url.params().get("queue", "density")
        queue = queue if queue in queues.QUEUES else "density"
        view = replace(queues.QUEUES[queue][1], status=("unreviewed",), dead=False)
        feature = queues.feature_of(snapshot, view, opened, queue)
        at = None if feature is None else snapshot.at(feature)
        if feature is None or at is None:
            queues.top(snapshot, opened.sae, queue, None, _ask_keys)
            _done()
            return
        row = snapshot.row(at)
        place = queues.unskipped(snapshot, view, find_place(snapshot, view, feature))
        queues.top(snapshot, opened.sae, queue, place, _ask_keys)
        left, right = st.columns([1.75, 1], gap="medium")
        with left:
            _examples(opened, row)
        with right, st.container(key="side", gap="small"):
            _panel(opened, row, place)
            statistics.numbers(opened, row)
            statistics.chart(opened, row)
    kept = session.memory(Reviewing)
    keys, kept.show_keys = kept.show_keys, False
    if keys:
        _cheat_sheet()


def _panel(opened: readers.OpenStudy, row: Row, place: Place) -> None:
    sae, state = opened.sae, row.state
    with st.container(key="feature_title", horizontal=True, vertical_alignment="center"):
        with st.container(key="feature_number", width="content"):
            st.text(f"Feature {row.feature}")
        label_panel.status_badges(state)
    with st.container(key="label_panel", border=True, gap="small"):
        proposals.pair(row, sae, place.next)
        label_panel.edit(row, sae, place.next)
        _FOCUS(key="focus", data={"ask": session.memory(Reviewing).focus_asked}, width=1)
        with st.container(key="review_actions", horizontal=True, gap="small"):
            st.button("Override", key="override", shortcut="O", on_click=_ask_focus)
            st.button(
                "Unflag" if state.flagged else "Flag",
                key="flag",
                shortcut="F",
                on_click=act,
                args=("unflag" if state.flagged else "flag", sae, state),
            )
            st.button(
                "Skip", key="skip", shortcut="S", on_click=queues.skip, args=(row.feature, place)
            )
            st.button("Undo", key="undo", shortcut="U", on_click=_undo, args=(opened,))
        with st.container(key="outcome"):
            _last(row, sae)
        candidates.show(state, sae, place.next)


def _last(row: Row, sae: str) -> None:
    """What the last decision did, also where the page has gone on since."""
    found = decide.last_told(sae)
    if found is None:
        return
    if found.feature != row.feature and found.kind == "saved":
        found = replace(found, message=f"Feature {found.feature}: {found.message.lower()}")
    label_panel.outcome(found)


def _examples(opened: readers.OpenStudy, row: Row) -> None:
    more = session.memory(Reviewing).more
    groups = [Group("Top", lines_of(opened, row, "top", 16)[: _MORE if more else _FEW])]
    if more:
        groups.append(Group("Weakest quarter", lines_of(opened, row, "quantile_4", 16)))
    token_view(groups, scale=row.max or 1.0, subject=row.feature)
    st.button(
        "Fewer examples" if more else "More examples", key="more", shortcut="M", on_click=_more
    )


def _done() -> None:
    st.markdown("**Nothing left to review in this queue.**")
    st.write("Every feature that fires has an accepted or overridden label.")


@st.dialog("Keys", icon=":material/keyboard:")
def _cheat_sheet() -> None:
    st.write("They are off while you type.")
    st.table(dict(_KEYS), border="horizontal", width="content")


def _ask_keys() -> None:
    session.memory(Reviewing).show_keys = True


def _ask_focus() -> None:
    session.memory(Reviewing).focus_asked = time.time_ns()


def _more() -> None:
    kept = session.memory(Reviewing)
    kept.more = not kept.more


def _undo(opened: readers.OpenStudy) -> None:
    """Undo this session's last decision on this SAE, wherever the page is, and show its feature.

    Never anything else: not what another person decided, nor what was decided on another SAE.
    """
    made = decide.made(opened.sae)
    if not made:
        decide.tell_nothing_to_undo(opened.sae, url.feature() or 0)
        return
    decide.undo(made[-1], author.current())
    queues.go(made[-1].events[0][0])
