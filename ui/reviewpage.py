"""The Review page: one feature at a time from a queue, everything by keyboard."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import streamlit as st

from ui import candidates, decide, facts, labelpanel, proposals, readers, shell, url
from ui.act import act
from ui.component import register
from ui.examples import lines_of
from ui.index import Row, Snapshot
from ui.place import Place, find_place
from ui.tokens import Group, token_view
from ui.view import View

_FOCUS = register("focus")
_QUEUES = {
    "density": ("Most frequent first", View(sort="density", descending=True)),
    "max": ("Strongest first", View(sort="max", descending=True)),
    "score": ("Lowest score first", View(sort="score")),
    "agreement": ("LLM and search disagree most", View(sort="agreement")),
    "input": ("Highest input score first", View(sort="input", descending=True)),
    "random": ("Random", View(sort="random")),
}
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


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    st.session_state["page_shown"] = "review"
    with shell.errors():
        snapshot = opened.snapshot()
        queue = url.params().get("queue", "density")
        queue = queue if queue in _QUEUES else "density"
        view = replace(_QUEUES[queue][1], status=("unreviewed",), dead=False)
        feature = _feature(snapshot, view, opened, queue)
        at = None if feature is None else snapshot.at(feature)
        if feature is None or at is None:
            _top(snapshot, queue, None)
            _done()
            return
        row = snapshot.row(at)
        place = _unskipped(snapshot, view, find_place(snapshot, view, feature))
        _top(snapshot, queue, place)
        left, right = st.columns([1.75, 1], gap="medium")
        with left:
            _examples(opened, row)
        with right, st.container(key="side", gap="small"):
            _panel(opened, row, place)
            facts.numbers(opened, row)
            facts.chart(opened, row)
    if st.session_state.pop("show_keys", False):
        _cheat_sheet()


def _feature(snapshot: Snapshot, view: View, opened: readers.OpenStudy, queue: str) -> int | None:
    """The feature of the address, else the first of the queue that was not skipped."""
    feature = url.feature()
    if feature is None:
        order = snapshot.features[snapshot.order(view)]
        waiting = order[~np.isin(order, list(_skipped()))] if _skipped() else order
        if not len(waiting):
            _skipped().clear()
            waiting = order
        feature = int(waiting[0]) if len(waiting) else None
    wanted = {"study": opened.name, "queue": queue}
    url.put(wanted if feature is None else wanted | {"feature": str(feature)})
    return feature


def _skipped() -> set[int]:
    found: set[int] = st.session_state.setdefault("skipped", set())
    return found


def _unskipped(snapshot: Snapshot, view: View, place: Place) -> Place:
    """The place with *next* moved past skipped features; at the end, back to those."""
    skipped = _skipped()
    if place.next is not None and place.next not in skipped:
        return place
    order = snapshot.features[snapshot.order(view)]
    start = int(np.flatnonzero(order == place.next)[0]) if place.next is not None else 0
    order = np.roll(order, -start)
    rest = np.flatnonzero(~np.isin(order, list(skipped)))
    return replace(place, next=int(order[rest[0]]) if len(rest) else None)


def _top(snapshot: Snapshot, queue: str, place: Place | None) -> None:
    """Which queue, how far it is, and how fast it goes."""
    alive = snapshot.numbers["fired"] > 0
    total = int(alive.sum())
    done = int((alive & (snapshot.status > 0)).sum())
    with st.container(key="review_top", horizontal=True, vertical_alignment="center"):
        st.selectbox(
            "Queue",
            list(_QUEUES),
            list(_QUEUES).index(queue),
            key=f"queue_{queue}",
            format_func=lambda name: _QUEUES[name][0],
            label_visibility="collapsed",
            width=250,
            on_change=_requeue,
            args=(queue,),
        )
        with st.container(key="quiet_pace", width="stretch"):
            st.text(" · ".join([f"{done:,} of {total:,} reviewed", *_pace(total - done)]))
        st.button(
            "Previous",
            key="previous",
            shortcut="P",
            disabled=place is None or place.previous is None,
            on_click=_go,
            args=(place and place.previous,),
        )
        st.button(
            "Next",
            key="next",
            shortcut="N",
            disabled=place is None or place.next is None,
            on_click=_go,
            args=(place and place.next,),
        )
        st.button("Keys", key="keys", icon=":material/keyboard:", shortcut="H", on_click=_ask_keys)
    st.progress(done / total if total else 1.0)


def _pace(left: int) -> list[str]:
    """Decisions of this session, a minute, and what is left at that pace."""
    times = [at for _, at in decide.decided()]
    if len(times) < 2:
        return [f"{len(times)} this session"] if times else []
    # Over the last ones only: a break for lunch says nothing about the pace.
    recent = times[-12:]
    minutes = max(recent[-1] - recent[0], 1.0) / 60
    rate = (len(recent) - 1) / minutes
    hours = left / rate / 60
    rest = f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"
    return [f"{len(times)} this session", f"{rate:.0f} a minute", f"{rest} left at that pace"]


def _panel(opened: readers.OpenStudy, row: Row, place: Place) -> None:
    sae, state = opened.sae, row.state
    with st.container(key="feature_title", horizontal=True, vertical_alignment="center"):
        with st.container(key="feature_number", width="content"):
            st.text(f"Feature {row.feature}")
        labelpanel.status_badges(state)
    with st.container(key="label_panel", border=True, gap="small"):
        proposals.pair(row, sae, place.next)
        labelpanel.edit(row, sae, place.next)
        _FOCUS(key="focus", data={"ask": st.session_state.get("focus_asked", 0)}, width=1)
        with st.container(key="review_actions", horizontal=True, gap="small"):
            st.button("Override", key="override", shortcut="O", on_click=_ask_focus)
            st.button(
                "Unflag" if state.flagged else "Flag",
                key="flag",
                shortcut="F",
                on_click=act,
                args=("unflag" if state.flagged else "flag", sae, state),
            )
            st.button("Skip", key="skip", shortcut="S", on_click=_skip, args=(row.feature, place))
            st.button("Undo", key="undo", shortcut="U", on_click=_undo, args=(opened,))
        with st.container(key="outcome"):
            _last(row)
        candidates.show(state, sae, place.next)


def _last(row: Row) -> None:
    """What the last decision did, also where the page has gone on since."""
    found = decide.last_outcome()
    if found is None:
        return
    if found.feature != row.feature and found.kind == "saved":
        found = replace(found, message=f"Feature {found.feature}: {found.message.lower()}")
    labelpanel.outcome(found)


def _examples(opened: readers.OpenStudy, row: Row) -> None:
    more = st.session_state.get("review_more", False)
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
    st.session_state["show_keys"] = True


def _ask_focus() -> None:
    st.session_state["focus_asked"] = time.time_ns()


def _more() -> None:
    st.session_state["review_more"] = not st.session_state.get("review_more", False)


def _go(feature: int | None) -> None:
    if feature is not None:
        url.put(url.params() | {"feature": str(feature)})


def _skip(feature: int, place: Place) -> None:
    _skipped().add(feature)
    _go(place.next)


def _undo(opened: readers.OpenStudy) -> None:
    """Undo this session's last decision, wherever the page is now, and show its feature."""
    decided = decide.decided()
    feature = decided[-1][0] if decided else url.feature()
    if feature is None:
        return
    state = opened.snapshot().state(feature)
    act("undo", opened.sae, state)
    if decide.outcome(feature) is not None:
        # Neither the decision nor its undoing counts for the pace, or is undone again.
        st.session_state["decided"] = decided[:-2]
        _go(feature)


def _requeue(before: str) -> None:
    queue = st.session_state[f"queue_{before}"]
    url.put({"study": url.study(), "queue": queue})
