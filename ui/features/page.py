"""The Features page: filters bound to the address, the table, bulk actions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from autointerp_core.explore.excerpts import Excerpt, excerpts
from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.topic_search import TopicSearch
from autointerp_core.explore.view import PAGE_SIZES, View
from ui import problems, readers, session, url
from ui.elements import hint
from ui.elements.table import features_table
from ui.features import bulk, elsewhere, families, filters, plot
from ui.features.columns import number_columns, sorted_by
from ui.navigation import looking


@dataclass
class Opening:
    """The feature clicked, until its page is shown."""

    feature: int | None = None


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    with problems.errors():
        snapshot = opened.snapshot()
        arrived = session.current().page != "features"
        view = filters.current()
        rows = snapshot.order(view)
        pages = max(math.ceil(len(rows) / view.size), 1)
        page = min(view.page, pages)

        def count_and_plot() -> None:
            with st.container(key="table_head", width="stretch"):
                st.text(_count_line(len(rows), len(snapshot), view))
            if view.filtered:
                st.button("Clear filters", key="clear", on_click=filters.clear)
            families.show(opened)
            plot.switch()

        hint.line("features")
        filters.show(view, snapshot, count_and_plot)
        plot.show(snapshot, view, rows)
        here = rows[(page - 1) * view.size : page * view.size]
        bulk.show(opened, snapshot, view, rows, here)
        if len(rows):
            _table(opened, snapshot, view, here, arrived=arrived)
            _pager(view, pages, page)
        else:
            _nothing(view)
        elsewhere.show(opened, view)


def _count_line(shown: int, total: int, view: View) -> str:
    if not view.filtered:
        return f"{total:,} features"
    if view.by_topic:
        return f"{shown:,} best of {total:,}"
    return f"{shown:,} of {total:,} features"


def _table(
    opened: readers.OpenStudy, snapshot: Snapshot, view: View, here: np.ndarray, *, arrived: bool
) -> None:
    features_table(
        [snapshot.row(int(at)) for at in here],
        view,
        study=opened.name,
        picked=sorted(looking().picked),
        ticked=looking().ticked,
        extra=number_columns(snapshot, view, here),
        excerpts=_excerpts(opened, snapshot, view, here),
        last=looking().feature,
        arrived=arrived,
        ranking=snapshot.ranking(view.by),
        on_open=_open,
        on_sort=_sort,
        on_pick=_pick,
    )
    opening = session.memory(Opening)
    target, opening.feature = opening.feature, None
    if target is not None:
        st.switch_page("pages/feature.py", query_params=url.address(opened.name, view, target))


def _excerpts(
    opened: readers.OpenStudy, snapshot: Snapshot, view: View, here: np.ndarray
) -> dict[int, Excerpt] | None:
    """Where the page's features fire on what was looked for; None where nothing was."""
    if not view.q.strip() or view.scope not in ("topic", "text"):
        return None
    features = tuple(int(feature) for feature in snapshot.features[here])
    return _found(str(opened.study.folder), opened.stamp, features, view.q, snapshot.topics)


@st.cache_data(max_entries=32, show_spinner=False)
def _found(
    folder: str, stamp: int, features: tuple[int, ...], query: str, _topics: TopicSearch
) -> dict[int, Excerpt]:
    study = readers.study_of(folder, stamp)
    return excerpts(study, features, query, _topics.places(query))


def _open() -> None:
    session.memory(Opening).feature = int(session.widget("table").open)


def _sort() -> None:
    """A click on a header: that column, numbers largest first; again turns it round.

    A scorer's header makes it the one that ranks.
    """
    filters.go(sorted_by(looking().view, str(session.widget("table").sort)))


def _pick() -> None:
    """Ticks of the page shown replace those of the same features kept before."""
    state = session.widget("table").picked
    kept = looking()
    if state is None or state["study"] != session.current().study:
        return
    kept.ticked = state["version"]
    kept.picked = (kept.picked - set(state["page"])) | (set(state["on"]) & set(state["page"]))


def _pager(view: View, pages: int, page: int) -> None:
    with st.container(key="pager", horizontal=True, vertical_alignment="center"):
        if pages > 1:
            # A key of its own for each place: the address says which page, not the widget.
            key = f"pages_{page}_{pages}"
            st.pagination(pages, default=page, key=key, on_change=_turn, args=(key,))
        st.space("stretch")
        session.set_widget("f_size", view.size)
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
    filters.go(replace(looking().view, page=int(session.widget(key))))


def _resize() -> None:
    filters.go(replace(looking().view, size=session.widget("f_size"), page=1))


def _nothing(view: View) -> None:
    with st.container(key="nothing", width=560):
        st.markdown("**No feature matches.**")
        if view.by_topic:
            st.write(
                "No feature fires on these words, and none is about anything like them. Other "
                "words may, or *Examples* beside the search box: any text near which it fires."
            )
        elif view.q and view.scope != "text":
            st.write(
                "The search looked at labels and top tokens. It can also look through the "
                "text of the top examples: choose *Examples* beside the search box."
            )
        st.button("Clear filters", key="clear_all", on_click=filters.clear)
