"""The review queues: which feature is next, how far the queue is, and moving in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import streamlit as st

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.view import View
from ui import readers, session, url
from ui.decisions import decide, keyboard
from ui.glossary import about
from ui.navigation import Place

QUEUES = {
    "density": ("Most frequent first", View(sort="density", descending=True)),
    "max": ("Strongest first", View(sort="max", descending=True)),
    "score": ("Lowest score first", View(sort="score")),
    "agreement": ("LLM and search disagree most", View(sort="agreement")),
    "input": ("Highest input score first", View(sort="input", descending=True)),
    "random": ("Random", View(sort="random")),
}


USUAL = (1e-4, 0.1)
"""Densities between which a feature can usually be interpreted."""
USUAL_WORDS = "0.01–10 %"


@dataclass(frozen=True)
class Queue:
    """An order of features, and which of them it holds."""

    order: str = "density"
    every: bool = False
    """Whatever their density."""
    among: str = ""
    """Name of a selection that it is made of; empty: all features."""
    by: str = ""
    """The scorer that ranks, where one was chosen."""

    @property
    def view(self) -> View:
        """Those that fire and wait for a decision, in the queue's order."""
        view = replace(
            QUEUES[self.order][1],
            status=("unreviewed",),
            dead=False,
            among=self.among,
            by=self.by,
        )
        return view if self.every else view.with_range("density", USUAL)

    def params(self) -> dict[str, str]:
        every = "all" if self.every else ""
        found = {"queue": self.order, "of": every, "among": self.among, "by": self.by}
        return {name: text for name, text in found.items() if text}


def asked() -> Queue:
    """The queue that the address names."""
    given = url.params()
    order = given.get("queue", "density")
    order = order if order in QUEUES else "density"
    view = url.view()
    return Queue(order, given.get("of") == "all", view.among, view.by)


def left_out(snapshot: Snapshot, queue: Queue) -> int:
    """Features that wait for a decision, and that the queue leaves out for their density."""
    every = replace(queue, every=True)
    return len(snapshot.order(every.view)) - len(snapshot.order(queue.view))


def feature_of(snapshot: Snapshot, opened: readers.OpenStudy, queue: Queue) -> int | None:
    """The feature of the address, else the first of the queue that was not skipped."""
    feature = url.feature()
    if feature is None:
        order = snapshot.features[snapshot.order(queue.view)]
        waiting = order[~np.isin(order, list(_skipped()))] if _skipped() else order
        if not len(waiting):
            _skipped().clear()
            waiting = order
        feature = int(waiting[0]) if len(waiting) else None
    wanted = {"study": opened.name, **queue.params()}
    url.put(wanted if feature is None else wanted | {"feature": str(feature)})
    return feature


@dataclass
class Skipped:
    """Features put off to the end of the queue."""

    features: set[int] = field(default_factory=set)


def _skipped() -> set[int]:
    return session.study_memory(Skipped).features


def unskipped(snapshot: Snapshot, view: View, place: Place) -> Place:
    """The place with *next* moved past skipped features; at the end, back to those."""
    skipped = _skipped()
    if place.next is not None and place.next not in skipped:
        return place
    order = snapshot.features[snapshot.order(view)]
    start = int(np.flatnonzero(order == place.next)[0]) if place.next is not None else 0
    order = np.roll(order, -start)
    rest = np.flatnonzero(~np.isin(order, list(skipped)))
    return replace(place, next=int(order[rest[0]]) if len(rest) else None)


def top(
    snapshot: Snapshot,
    sae: str,
    queue: Queue,
    place: Place | None,
    ask_keys: Callable[[], None],
) -> None:
    """Which queue, how far it is, and how fast it goes."""
    held = snapshot.numbers["fired"] > 0
    if not queue.every:
        density = snapshot.numbers["density"]
        held &= (density >= USUAL[0]) & (density <= USUAL[1])
    if queue.among:
        held &= np.isin(np.arange(len(snapshot)), snapshot.order(View(among=queue.among)))
    total = int(held.sum())
    done = int((held & (snapshot.status > 0)).sum())
    with st.container(key="review_top", horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            keyboard.hint("Previous", "P"),
            key="previous",
            disabled=place is None or place.previous is None,
            on_click=go,
            args=(place and place.previous,),
        )
        st.button(
            keyboard.hint("Next", "N"),
            key="next",
            disabled=place is None or place.next is None,
            on_click=go,
            args=(place and place.next,),
        )
        st.selectbox(
            "Queue",
            list(QUEUES),
            list(QUEUES).index(queue.order),
            key=f"queue_{queue.order}",
            format_func=lambda name: QUEUES[name][0],
            label_visibility="collapsed",
            width=230,
            on_change=_requeue,
            args=(queue,),
        )
        st.selectbox(
            "Which features",
            [False, True],
            int(queue.every),
            key=f"queue_of_{queue.every}",
            format_func=lambda every: "every density" if every else f"density {USUAL_WORDS}",
            label_visibility="collapsed",
            help=about("Density"),
            width=170,
            on_change=_requeue,
            args=(queue,),
        )
        if queue.order == "score" and len(snapshot.scorers) > 1:
            ranking = snapshot.ranking(queue.by)
            st.selectbox(
                "Scorer that ranks",
                snapshot.scorers,
                snapshot.scorers.index(ranking),
                key=f"queue_by_{ranking}",
                format_func=lambda name: f"by {name}",
                label_visibility="collapsed",
                help=about("Ranking scorer"),
                width=150,
                on_change=_rank,
                args=(queue, f"queue_by_{ranking}"),
            )
        with st.container(key="quiet_pace", width="stretch"):
            st.text(
                " · ".join(
                    [
                        f"{done:,} of {total:,} reviewed",
                        *(["in a selection"] if queue.among else []),
                        *_others(snapshot, queue),
                        *_pace(total - done, sae),
                        *_known(snapshot, queue),
                    ]
                )
            )
        if queue.among:
            st.button("All features", key="queue_leave", on_click=_leave, args=(queue,))
        st.button(
            keyboard.hint("Keys", "H"), key="keys", icon=":material/keyboard:", on_click=ask_keys
        )
    with st.container(key="review_progress"):
        st.progress(done / total if total else 1.0)


def _others(snapshot: Snapshot, queue: Queue) -> list[str]:
    """How many features wait beside the queue."""
    others = 0 if queue.every else left_out(snapshot, queue)
    return [f"{others:,} rarer or denser not in this queue"] if others else []


def _known(snapshot: Snapshot, queue: Queue) -> list[str]:
    """How many features an order knows anything about: the others come last, by number."""
    if queue.order == "score":
        known = int((~np.isnan(snapshot.column("score", queue.by))).sum())
        return [f"{known:,} have a score by {snapshot.ranking(queue.by) or 'any scorer'}"]
    if queue.order == "agreement":
        return [f"{int((~np.isnan(snapshot.agreement)).sum()):,} have both labels"]
    return []


_PACE_FROM = 6


def _pace(left: int, sae: str) -> list[str]:
    """Decisions of this session, a minute, and what is left at that pace."""
    times = [made.at for made in decide.made(sae)]
    if len(times) < _PACE_FROM:  # a pace of two or three says nothing of hours
        return [f"{len(times)} this session"] if times else []
    # Over the last ones only: a break for lunch says nothing about the pace.
    recent = times[-12:]
    minutes = max(recent[-1] - recent[0], 1.0) / 60
    rate = (len(recent) - 1) / minutes
    hours = left / rate / 60
    rest = f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"
    return [f"{len(times)} this session", f"{rate:.0f} a minute", f"{rest} left at that pace"]


def go(feature: int | None) -> None:
    if feature is not None:
        url.put(url.params() | {"feature": str(feature)})


def skip(feature: int, place: Place) -> None:
    _skipped().add(feature)
    go(place.next)


def widen(queue: Queue) -> None:
    """Callback: the same order, whatever the density."""
    url.put({"study": url.study(), **replace(queue, every=True).params()})


def _rank(before: Queue, key: str) -> None:
    """Callback: another scorer ranks; from the beginning of its order."""
    url.put({"study": url.study(), **replace(before, by=session.widget(key)).params()})


def _requeue(before: Queue) -> None:
    order = session.widget(f"queue_{before.order}")
    every = bool(session.widget(f"queue_of_{before.every}"))
    url.put({"study": url.study(), **replace(before, order=order, every=every).params()})


def _leave(queue: Queue) -> None:
    """Callback: the same queue of all features."""
    url.put({"study": url.study(), **replace(queue, among="").params()})
