"""The filters of the Features page, and the view they make together with the address."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.view import HAS, SCOPES, STATUSES, View
from ui import session, url
from ui.glossary import about
from ui.navigation import looking

_FLAG = {"any": None, "flagged": True, "not flagged": False}
_ALIVE = {"any": None, "fires": False, "dead": True}
_ABOUT_SCOPES = (
    "**Topic**: features ranked by how strongly they fire on the words, and by meaning: *war* "
    "finds *battle* too.\n\n**Labels and tokens**, **Labels**, **Tokens**: features whose label "
    "or most frequent peak tokens hold the words.\n\n**Examples**: features with the text in "
    "one of their strongest examples."
)
_RANGE_TITLES = {"density": "Density (%)", "max": "Max", "mean": "Mean", "score": "Label score"}


@dataclass
class Scope:
    """Where the next search looks."""

    name: str = "topic"


@dataclass
class Drawn:
    """How often the filters were drawn anew."""

    times: int = 0


def current() -> View:
    """The view of the address; coming back by the navigation, the one that was left."""
    arrived = session.current().arrive("features")
    view, kept = url.view(), looking()
    if arrived and view == View():
        view = kept.view
    url.put(url.address(session.current().study, view))
    if kept.view != view:
        redraw()
    kept.view = view
    return view


def redraw() -> None:
    """Draw the filters anew, with the values of a view that did not come from them.

    New keys carry the values as defaults; values set for the old ones would be lost where
    another run starts before the browser has seen this one.
    """
    session.memory(Drawn).times += 1


def _key(name: str) -> str:
    return f"f_{name}_{session.memory(Drawn).times}"


def _got(name: str) -> Any:
    return session.widget(_key(name))


def _apply() -> None:
    """Callback of every filter: the widgets become the view, from page 1."""
    before = looking().view
    q, scope = (_got("q") or "").strip(), _got("scope")
    session.memory(Scope).name = scope
    view = replace(
        before,
        q=q,
        scope=scope if q else "all",
        **_order(before, q, scope),
        status=tuple(s for s in STATUSES if s in _got("status")),
        flagged=_FLAG[_got("flag")],
        dead=_ALIVE[_got("alive")],
        has=tuple(name for name in HAS if name in _got("has")),
        by=_got("by") or before.by,
        page=1,
    )
    for name in _RANGE_TITLES:
        scale = 100 if name == "density" else 1
        low, high = _got(f"{name}_low"), _got(f"{name}_high")
        bounds = (
            -math.inf if low is None else low / scale,
            math.inf if high is None else high / scale,
        )
        view = view.with_range(name, bounds)
    go(view)


def _order(before: View, q: str, scope: str) -> dict[str, Any]:
    """A new topic comes in the order of its matches; without a topic there are none."""
    if q and scope == "topic":
        same = (q, scope) == (before.q, before.scope)
        return {} if same else {"sort": "match", "descending": False}
    return {"sort": "feature", "descending": False} if before.sort == "match" else {}


def go(view: View) -> None:
    looking().view = view
    url.put(url.address(session.current().study, view))


def clear() -> None:
    view = looking().view
    sort = "feature" if view.sort == "match" else view.sort
    fresh = View(sort=sort, descending=view.descending, size=view.size, by=view.by)
    redraw()
    go(fresh)


def show(view: View, snapshot: Snapshot, beside: Callable[[], None]) -> None:
    """The filters in one row, and ``beside`` at its end."""
    with st.container(key="filters", horizontal=True, vertical_alignment="center", gap="small"):
        st.text_input(
            "Search",
            view.q,
            key=_key("q"),
            type="search",
            icon=":material/search:",
            placeholder="a topic, a word, a number",
            on_change=_apply,
            label_visibility="collapsed",
            width=215,
        )
        scope = view.scope if view.q else session.memory(Scope).name
        st.selectbox(
            "Search by",
            list(SCOPES),
            list(SCOPES).index(scope),
            key=_key("scope"),
            format_func=SCOPES.__getitem__,
            on_change=_apply,
            label_visibility="collapsed",
            width=150,
        )
        with st.container(key="about_scopes", width="content"):
            st.markdown("", help=_ABOUT_SCOPES)
        st.pills(
            "Status",
            STATUSES,
            default=view.status,
            key=_key("status"),
            selection_mode="multi",
            label_visibility="collapsed",
            on_change=_apply,
        )
        count = len(view.ranges) + len(view.has) + (view.flagged is not None)
        count += view.dead is not None
        title = f"More filters ({count})" if count else "More filters"
        with st.popover(title, icon=":material/tune:", key="more_filters"):
            _more_filters(view, snapshot)
        beside()


def _more_filters(view: View, snapshot: Snapshot) -> None:
    for name, title, options, value in (
        ("flag", "Flag", _FLAG, view.flagged),
        ("alive", "Activity", _ALIVE, view.dead),
    ):
        st.segmented_control(
            title,
            list(options),
            default=next(text for text, meaning in options.items() if meaning == value),
            key=_key(name),
            required=True,
            on_change=_apply,
        )
    st.pills(
        "Has",
        list(HAS),
        default=view.has,
        key=_key("has"),
        selection_mode="multi",
        format_func=HAS.__getitem__,
        on_change=_apply,
    )
    ranking = snapshot.ranking(view.by)
    if len(snapshot.scorers) > 1:
        st.segmented_control(
            "Scorer that ranks",
            snapshot.scorers,
            default=ranking,
            key=_key("by"),
            required=True,
            help=about("Ranking scorer"),
            on_change=_apply,
        )
    for name, title in _RANGE_TITLES.items():
        if name == "score" and ranking:
            title = f"{ranking.capitalize()} score"
        bounds = view.range_of(name) or (-math.inf, math.inf)
        scale = 100 if name == "density" else 1
        for column, word, side, bound in zip(
            st.columns(2), ("from", "to"), ("low", "high"), bounds, strict=True
        ):
            column.number_input(
                f"{title} {word}",
                value=None if math.isinf(bound) else bound * scale,
                key=_key(f"{name}_{side}"),
                format="%.5g",
                on_change=_apply,
            )
