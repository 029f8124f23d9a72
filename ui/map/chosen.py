"""The features drawn around on the map: listed below it, to open, review, label or save."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import orjson
import streamlit as st
from numpy.typing import NDArray

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.view import View
from autointerp_core.store import selections
from ui import readers, session, url
from ui.elements.table import features_table
from ui.features import bulk
from ui.features.columns import number_columns, sorted_by
from ui.navigation import looking

_ROWS = 50


@dataclass
class Listed:
    """How the selection is listed, and where one goes from it."""

    sort: str = "density"
    descending: bool = True
    by: str = ""
    """The scorer whose scores it is sorted by."""
    page: int = 1
    of: str = ""
    """The selection that ``page`` is a page of."""
    opening: int | None = None
    to: str = ""
    """The page asked for: ``features`` or ``review``."""


def show(opened: readers.OpenStudy, snapshot: Snapshot, features: NDArray[np.int32]) -> None:
    """The table of a selection with what can be done about it."""
    here = features[np.isin(features, snapshot.features)].astype(np.int64)
    if not len(here):
        st.text("No feature of the study lies in there.")
        return
    kept = session.study_memory(Listed)
    name = selections.keep(here.tolist())
    if kept.of != name:
        kept.of, kept.page = name, 1
    view = View(sort=kept.sort, descending=kept.descending, by=kept.by, among=name)
    rows = snapshot.order(view)
    pages = max(math.ceil(len(rows) / _ROWS), 1)
    kept.page = min(kept.page, pages)
    with st.container(key="chosen", horizontal=True, vertical_alignment="center", gap="small"):
        st.text(f"{len(here):,} feature{'' if len(here) == 1 else 's'} selected", width="stretch")
        st.button(
            "Open as a table", key="chosen_table", icon=":material/table_rows:",
            help="The Features page with these only: filters, bulk actions, export",
            on_click=_go, args=("features",),
        )  # fmt: skip
        st.button(
            "Review", key="chosen_review", icon=":material/checklist:",
            help="A review queue of these only", on_click=_go, args=("review",),
        )  # fmt: skip
        st.download_button(
            "Save as JSON",
            data=lambda: features_json(opened, here),
            file_name="features.json",
            mime="application/json",
            key="chosen_save",
            icon=":material/download:",
            help='{"feature_indices": […]}, as --feature-indices and New study take it',
        )
    page = rows[(kept.page - 1) * _ROWS : kept.page * _ROWS]
    bulk.show(opened, snapshot, view, rows, page)
    features_table(
        [snapshot.row(int(at)) for at in page],
        view,
        study=opened.name,
        picked=sorted(looking().picked),
        ticked=looking().ticked,
        extra=number_columns(snapshot, view, page),
        ranking=snapshot.ranking(view.by),
        last=looking().feature,
        key="map_table",
        on_open=_open,
        on_sort=_sort,
        on_pick=_pick,
    )
    if pages > 1:
        key = f"map_pages_{kept.page}_{pages}"
        st.pagination(pages, default=kept.page, key=key, on_change=_turn, args=(key,))


def features_json(opened: readers.OpenStudy, features: NDArray[np.int64]) -> bytes:
    """A selection as a features file, with input scores where all of them have one."""
    scores = opened.study.input_scores()
    indices = features.tolist()
    content: dict[str, object] = {"feature_indices": indices}
    if all(feature in scores for feature in indices):
        content["scores"] = [scores[feature] for feature in indices]
    return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)


def leave(opened: readers.OpenStudy) -> None:
    """Go where a click asked to go; the last thing a page does."""
    kept = session.study_memory(Listed)
    target, kept.opening = kept.opening, None
    to, kept.to = kept.to, ""
    view = View(sort=kept.sort, descending=kept.descending, by=kept.by, among=kept.of)
    if target is not None:
        inside = target in set(selection(kept.of))
        query = url.address(opened.name, view if inside else View(), target)
        st.switch_page("pages/feature.py", query_params=query)
    if to == "features":
        st.switch_page("pages/features.py", query_params=url.address(opened.name, view))
    if to == "review":
        query = {"study": opened.name, "of": "all", "among": kept.of}
        st.switch_page("pages/review.py", query_params=query)


def selection(name: str) -> list[int]:
    """Features of a selection; none where it is not known."""
    found = selections.read(name)
    return [] if found is None else [int(feature) for feature in found]


def open_clicked() -> None:
    """Callback: a point of the map was clicked."""
    session.study_memory(Listed).opening = int(session.widget("scatter").open)


def _open() -> None:
    session.study_memory(Listed).opening = int(session.widget("map_table").open)


def _go(to: str) -> None:
    session.study_memory(Listed).to = to


def _turn(key: str) -> None:
    session.study_memory(Listed).page = int(session.widget(key))


def _sort() -> None:
    kept = session.study_memory(Listed)
    before = View(sort=kept.sort, descending=kept.descending, by=kept.by)
    after = sorted_by(before, str(session.widget("map_table").sort))
    kept.sort, kept.descending, kept.by, kept.page = after.sort, after.descending, after.by, 1


def _pick() -> None:
    state = session.widget("map_table").picked
    kept = looking()
    if state is None or state["study"] != session.current().study:
        return
    kept.ticked = state["version"]
    kept.picked = (kept.picked - set(state["page"])) | (set(state["on"]) & set(state["page"]))
