"""The Review page: one feature at a time from a queue, everything by keyboard."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from autointerp_core.errors import BadInput
from autointerp_core.explore.feature_index import Row, Snapshot
from autointerp_core.explore.view import View
from ui import problems, readers, session, url
from ui.decisions import author, decide, keyboard, presses
from ui.decisions.callback import act
from ui.decisions.keyboard import Meaning, Press, Screen
from ui.feature import candidates, examples, label_history, label_panel, proposals, sides
from ui.navigation import Place, absent, find_place, no_feature
from ui.review import queues

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


_OWN_KEYS = {
    "n": Meaning("next", moves=True),
    "p": Meaning("previous", moves=True),
    "m": Meaning("more", moves=True),
    "s": Meaning("skip"),
    "h": Meaning("keys", opens=True),
}


@dataclass
class Reviewing:
    """What the session remembers of the page."""

    show_keys: bool = False
    undone_on: int = 0
    """Number of the screen on which the last undo was asked for."""


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("review")
    with problems.errors():
        snapshot = opened.snapshot()
        queue = queues.asked()
        wrong = url.wrong_feature()
        view = queue.view
        feature = queues.feature_of(snapshot, opened, queue)
        at = None if feature is None else snapshot.at(feature)
        if feature is None or at is None:
            queues.top(snapshot, opened.sae, queue, None, _ask_keys)
            if feature is not None:
                raise BadInput(absent(opened.info.d_sae, snapshot, feature))
            _done(snapshot, queue)
            return
        row = snapshot.row(at)
        place = _place(opened, snapshot, view, feature)
        queues.top(snapshot, opened.sae, queue, place, _ask_keys)
        if wrong:
            no_feature(wrong)
        left, side, numbers = sides.columns()
        with side:
            label_panel.title(row, snapshot.ranking(queue.by))
        with left:
            examples.show(opened, row, short=True)
        with side:
            _panel(opened, row, place, queue)
        sides.numbers(opened, snapshot, row, numbers)
    kept = session.memory(Reviewing)
    keys, kept.show_keys = kept.show_keys, False
    if keys:
        _cheat_sheet()
    url.drawn()


def _place(opened: readers.OpenStudy, snapshot: Snapshot, view: View, feature: int) -> Place:
    """Where a feature stands in the queue.

    What is decided leaves the queue: before its first feature stand those of this session, so
    that one can look back.
    """
    place = queues.unskipped(snapshot, view, find_place(snapshot, view, feature))
    if place.previous is not None:
        return place
    decided = list(dict.fromkeys(f for one in decide.made(opened.sae) for f, _ in one.events))
    at = decided.index(feature) if feature in decided else len(decided)
    return replace(place, previous=decided[at - 1]) if at else place


def _panel(opened: readers.OpenStudy, row: Row, place: Place, queue: queues.Queue) -> None:
    sae, state = opened.sae, row.state
    screen = Screen(opened.name, sae, row.feature, state.last_event or 0)
    with st.container(key="label_panel", border=True, gap="small"):
        actions = st.container(key="review_actions", horizontal=True, gap="small")
        proposals.pair(row, sae, place.next)
        label_panel.edit(screen, state)
        with actions:
            st.button(keyboard.hint("Override", "O"), key="override")
            st.button(
                keyboard.hint("Unflag" if state.flagged else "Flag", "F"),
                key="flag",
                on_click=act,
                args=("unflag" if state.flagged else "flag", sae, state),
            )
            st.button(
                keyboard.hint("Skip", "S"),
                key="skip",
                on_click=queues.skip,
                args=(row.feature, place),
            )
            st.button(keyboard.hint("Undo", "U"), key="undo", on_click=_undo, args=(opened,))
        with st.container(key="outcome"):
            _last(row, sae)
        candidates.show(state, sae, place.next)
        label_history.note(screen, state)
        label_history.history(row, sae)
    keys = label_panel.keys(state) | _OWN_KEYS
    keyboard.show(screen, keys, lambda press: _pressed(opened, queue, press))


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


def _pressed(opened: readers.OpenStudy, queue: queues.Queue, press: Press) -> None:
    """A key: moves go on from where the page is, decisions are about what was seen."""
    snapshot, view, feature = opened.snapshot(), queue.view, press.screen.feature
    here = url.feature()
    match press.do:
        case "undo":
            kept = session.memory(Reviewing)
            if kept.undone_on != press.run:  # pressed twice on one screen: once
                kept.undone_on = press.run
                _undo(opened)
        case "more":
            examples.more_or_fewer()
        case "keys":
            _ask_keys()
        case "next" | "previous" if here is not None:
            place = _place(opened, snapshot, view, here)
            queues.go(place.next if press.do == "next" else place.previous)
        case "skip" if here == feature:
            queues.skip(feature, queues.unskipped(snapshot, view, find_place(snapshot, view, here)))
        case action if action in presses.DECIDES:
            place = queues.unskipped(snapshot, view, find_place(snapshot, view, feature))
            then = None if action in ("flag", "unflag", "note") else place.next
            presses.make(press, snapshot.state(feature), then)


def _undo(opened: readers.OpenStudy) -> None:
    """Undo this session's last decision on this SAE, wherever the page is, and show its feature.

    Never anything else: not what another person decided, nor what was decided on another SAE.
    """
    made = decide.made(opened.sae)
    if not made:
        text = "you decided nothing in this session that could be undone"
        decide.tell(opened.sae, url.feature() or 0, "failed", text)
        return
    decide.undo(made[-1], author.current())
    queues.go(made[-1].events[0][0])
