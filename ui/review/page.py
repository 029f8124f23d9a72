"""The Review page: one feature at a time from a queue, everything by keyboard."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from autointerp_core.explore.feature_index import Row, Snapshot
from ui import problems, readers, session, url
from ui.decisions import author, decide
from ui.decisions.callback import act
from ui.elements.component import register
from ui.feature import candidates, examples, label_history, label_panel, proposals, sides
from ui.navigation import Place, find_place
from ui.review import queues

_FOCUS = register("focus", Path(__file__).parent)
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


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("review")
    with problems.errors():
        snapshot = opened.snapshot()
        queue = queues.asked()
        view = queue.view
        feature = queues.feature_of(snapshot, opened, queue)
        at = None if feature is None else snapshot.at(feature)
        if feature is None or at is None:
            queues.top(snapshot, opened.sae, queue, None, _ask_keys)
            _done(snapshot, queue)
            return
        row = snapshot.row(at)
        place = queues.unskipped(snapshot, view, find_place(snapshot, view, feature))
        queues.top(snapshot, opened.sae, queue, place, _ask_keys)
        left, side, numbers = sides.columns()
        with side:
            label_panel.title(row)
        with left:
            examples.show(opened, row, short=True)
        with side:
            _panel(opened, row, place)
        sides.numbers(opened, snapshot, row, numbers)
    kept = session.memory(Reviewing)
    keys, kept.show_keys = kept.show_keys, False
    if keys:
        _cheat_sheet()


def _panel(opened: readers.OpenStudy, row: Row, place: Place) -> None:
    sae, state = opened.sae, row.state
    with st.container(key="label_panel", border=True, gap="small"):
        actions = st.container(key="review_actions", horizontal=True, gap="small")
        proposals.pair(row, sae, place.next)
        label_panel.edit(row, sae, place.next)
        _FOCUS(key="focus", data={"ask": session.memory(Reviewing).focus_asked}, width=1)
        with actions:
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
        label_history.note(state, sae)
        label_history.history(row, sae)


def _last(row: Row, sae: str) -> None:
    """What the last decision did, also where the page has gone on since."""
    found = decide.last_told(sae)
    if found is None:
        return
    if found.feature != row.feature and found.kind == "saved":
        found = replace(found, message=f"Feature {found.feature}: {found.message.lower()}")
    label_panel.outcome(found)


def _done(snapshot: Snapshot, queue: queues.Queue) -> None:
    st.markdown("**Nothing left to review in this queue.**")
    others = queues.left_out(snapshot, queue)
    if not others:
        st.write("Every feature that fires has an accepted or overridden label.")
        return
    st.write(
        f"Every feature with a density of {queues.USUAL_WORDS} has an accepted or overridden "
        f"label. {others:,} that fire more rarely or more often are left."
    )
    st.button("Review those too", key="review_all", on_click=queues.widen, args=(queue,))


@st.dialog("Keys", icon=":material/keyboard:")
def _cheat_sheet() -> None:
    st.write("They are off while you type.")
    st.table(dict(_KEYS), border="horizontal", width="content")


def _ask_keys() -> None:
    session.memory(Reviewing).show_keys = True


def _ask_focus() -> None:
    session.memory(Reviewing).focus_asked = time.time_ns()


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
