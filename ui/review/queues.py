"""The review queues: which feature is next, how far the queue is, and moving in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import streamlit as st

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.view import View
from ui import readers, session, url
from ui.decisions import decide
from ui.navigation import Place

QUEUES = {
    "density": ("Most frequent first", View(sort="density", descending=True)),
    "max": ("Strongest first", View(sort="max", descending=True)),
    "score": ("Lowest score first", View(sort="score")),
    "agreement": ("LLM and search disagree most", View(sort="agreement")),
    "input": ("Highest input score first", View(sort="input", descending=True)),
    "random": ("Random", View(sort="random")),
}


def feature_of(snapshot: Snapshot, view: View, opened: readers.OpenStudy, queue: str) -> int | None:
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
    queue: str,
    place: Place | None,
    ask_keys: Callable[[], None],
) -> None:
    """Which queue, how far it is, and how fast it goes."""
    alive = snapshot.numbers["fired"] > 0
    total = int(alive.sum())
    done = int((alive & (snapshot.status > 0)).sum())
    with st.container(key="review_top", horizontal=True, vertical_alignment="center"):
        st.selectbox(
            "Queue",
            list(QUEUES),
            list(QUEUES).index(queue),
            key=f"queue_{queue}",
            format_func=lambda name: QUEUES[name][0],
            label_visibility="collapsed",
            width=250,
            on_change=_requeue,
            args=(queue,),
        )
        with st.container(key="quiet_pace", width="stretch"):
            st.text(
                " · ".join(
                    [
                        f"{done:,} of {total:,} reviewed",
                        *_pace(total - done, sae),
                        *_known(snapshot, queue),
                    ]
                )
            )
        st.button(
            "Previous",
            key="previous",
            shortcut="P",
            disabled=place is None or place.previous is None,
            on_click=go,
            args=(place and place.previous,),
        )
        st.button(
            "Next",
            key="next",
            shortcut="N",
            disabled=place is None or place.next is None,
            on_click=go,
            args=(place and place.next,),
        )
        st.button("Keys", key="keys", icon=":material/keyboard:", shortcut="H", on_click=ask_keys)
    st.progress(done / total if total else 1.0)


def _known(snapshot: Snapshot, queue: str) -> list[str]:
    """How many features an order knows anything about: the others come last, by number."""
    if queue == "score":
        return [f"{int((~np.isnan(snapshot.score)).sum()):,} have a score"]
    if queue == "agreement":
        return [f"{int((~np.isnan(snapshot.agreement)).sum()):,} have both labels"]
    return []


def _pace(left: int, sae: str) -> list[str]:
    """Decisions of this session, a minute, and what is left at that pace."""
    times = [made.at for made in decide.made(sae)]
    if len(times) < 2:
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


def _requeue(before: str) -> None:
    queue = session.widget(f"queue_{before}")
    url.put({"study": url.study(), "queue": queue})
