"""The Features page: filters bound to the address, the table, bulk actions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from ui import readers, shell, url
from ui.index import Snapshot
from ui.table import INPUT, SCORE, features_table
from ui.view import HAS, PAGE_SIZES, SCOPES, STATUSES, View

_FLAG = {"any": None, "flagged": True, "not flagged": False}
_ALIVE = {"any": None, "fires": False, "dead": True}
_RANGE_TITLES = {"density": "Density (%)", "max": "Max", "mean": "Mean", "score": "Label score"}


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    with shell.errors():
        snapshot = opened.snapshot()
        view = _current_view()
        rows = snapshot.order(view)
        _filters(view)
        pages = max(math.ceil(len(rows) / view.size), 1)
        page = min(view.page, pages)
        with st.container(horizontal=True, vertical_alignment="center", key="table_head"):
            st.text(_count_line(len(rows), len(snapshot), view), width="stretch")
            if view.filtered:
                st.button("Clear filters", key="clear", type="tertiary", on_click=_clear)
        here = rows[(page - 1) * view.size : page * view.size]
        if len(rows):
            _table(opened, snapshot, view, here)
            _pager(view, pages, page)
        else:
            _nothing(view)


def _current_view() -> View:
    """The view of the address; coming back by the navigation, the one that was left."""
    arrived = st.session_state.get("page_shown") != "features"
    st.session_state["page_shown"] = "features"
    view = url.view()
    kept = st.session_state.get("features_view")
    if arrived and view == View() and isinstance(kept, View):
        view = kept
    study = st.session_state["study"]
    url.put(url.address(study, view))
    if st.session_state.get("features_view") != view:
        _fill()
    st.session_state["features_view"] = view
    return view


def _fill() -> None:
    """Draw the filters anew, with the values of a view that did not come from them.

    New keys carry the values as defaults; values set by ``session_state`` would be lost
    where another run starts before the browser has seen this one.
    """
    st.session_state["filters"] = st.session_state.get("filters", 0) + 1


def _key(name: str) -> str:
    return f"f_{name}_{st.session_state.get('filters', 0)}"


def _got(name: str) -> Any:
    return st.session_state[_key(name)]


def _apply() -> None:
    """Callback of every filter: the widgets become the view, from page 1."""
    view = replace(
        st.session_state["features_view"],
        q=(_got("q") or "").strip(),
        scope=_got("scope"),
        status=tuple(s for s in STATUSES if s in _got("status")),
        flagged=_FLAG[_got("flag")],
        dead=_ALIVE[_got("alive")],
        has=tuple(name for name in HAS if name in _got("has")),
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
    _go(view)


def _go(view: View) -> None:
    st.session_state["features_view"] = view
    url.put(url.address(st.session_state["study"], view))


def _clear() -> None:
    view: View = st.session_state["features_view"]
    fresh = View(sort=view.sort, descending=view.descending, size=view.size)
    _fill()
    _go(fresh)


def _filters(view: View) -> None:
    with st.container(key="filters", horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            "Search",
            view.q,
            key=_key("q"),
            type="search",
            icon=":material/search:",
            placeholder="words in labels, tokens or examples",
            on_change=_apply,
            width=320,
        )
        st.selectbox(
            "Search in",
            list(SCOPES),
            list(SCOPES).index(view.scope),
            key=_key("scope"),
            format_func=SCOPES.__getitem__,
            on_change=_apply,
            width=170,
        )
        st.pills(
            "Status",
            STATUSES,
            default=view.status,
            key=_key("status"),
            selection_mode="multi",
            on_change=_apply,
        )
        count = len(view.ranges) + len(view.has) + (view.flagged is not None)
        count += view.dead is not None
        title = f"More filters ({count})" if count else "More filters"
        with st.popover(title, icon=":material/tune:", key="more_filters"):
            _more_filters(view)


def _more_filters(view: View) -> None:
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
    for name, title in _RANGE_TITLES.items():
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


def _count_line(shown: int, total: int, view: View) -> str:
    if not view.filtered:
        return f"{total:,} features"
    return f"{shown:,} of {total:,} features"


def _table(opened: readers.OpenStudy, snapshot: Snapshot, view: View, here: np.ndarray) -> None:
    extra = []
    for column in (SCORE, INPUT):
        values = snapshot.column(column["key"])
        if not np.isnan(values).all():
            extra.append((column, values[here].tolist()))
    features_table(
        [snapshot.row(int(at)) for at in here],
        view,
        study=opened.name,
        picked=sorted(st.session_state.get("picked", set())),
        extra=extra,
        on_open=_open,
        on_sort=_sort,
        on_pick=_pick,
    )
    target = st.session_state.pop("open_feature", None)
    if target is not None:
        st.switch_page("pages/feature.py", query_params=url.address(opened.name, view, target))


def _open() -> None:
    st.session_state["open_feature"] = int(st.session_state["table"].open)


def _sort() -> None:
    """A click on a header: that column, numbers largest first; again turns it round."""
    column = str(st.session_state["table"].sort)
    view: View = st.session_state["features_view"]
    numbers = column in ("density", "max", "mean", "score", "input")
    descending = not view.descending if view.sort == column else numbers
    _go(replace(view, sort=column, descending=descending, page=1))


def _pick() -> None:
    """Ticks of the page shown replace those of the same features kept before."""
    state = st.session_state["table"].picked or {"page": [], "on": []}
    kept = st.session_state.get("picked", set())
    st.session_state["picked"] = (kept - set(state["page"])) | set(state["on"])


def _pager(view: View, pages: int, page: int) -> None:
    with st.container(key="pager", horizontal=True, vertical_alignment="center"):
        if pages > 1:
            # A key of its own for each place: the address says which page, not the widget.
            key = f"pages_{page}_{pages}"
            st.pagination(pages, default=page, key=key, on_change=_turn, args=(key,))
        st.space("stretch")
        st.session_state["f_size"] = view.size
        st.selectbox(
            "Rows",
            PAGE_SIZES,
            key="f_size",
            format_func=lambda size: f"{size} rows",
            on_change=_resize,
            label_visibility="collapsed",
            width=110,
        )


def _turn(key: str) -> None:
    _go(replace(st.session_state["features_view"], page=int(st.session_state[key])))


def _resize() -> None:
    _go(replace(st.session_state["features_view"], size=st.session_state["f_size"], page=1))


def _nothing(view: View) -> None:
    with st.container(key="nothing", width=560):
        st.markdown("**No feature matches.**")
        if view.q and view.scope != "text":
            st.write(
                "The search looked at labels and top tokens. It can also look through the "
                "text of the top examples: choose *Examples* beside the search box."
            )
        st.button("Clear filters", key="clear_all", on_click=_clear)
