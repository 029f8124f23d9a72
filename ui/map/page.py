"""The Map page: all features as points, alike decoder directions together; draw to select."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.feature_map import (
    FeatureMap,
    inside,
    map_stamp,
    on_grid,
    read_feature_map,
)
from autointerp_core.explore.view import View
from autointerp_core.extraction.feature_map import check_installed
from autointerp_core.store.families import FAMILIES_FILE, read_families
from ui import problems, readers, session
from ui.elements.component import register
from ui.map import chosen, places
from ui.map.colours import colouring
from ui.map.places import COLOURS, Looked
from ui.runs.offer import Work, offer

_SCATTER = register("scatter", Path(__file__).parent)
_HEIGHT = 560
_MOST_RINGED = 200


@dataclass(frozen=True)
class Drawn:
    """A map ready for the browser."""

    made: FeatureMap
    grid: NDArray[np.uint16]
    places: str
    features: str
    """Empty where they are 0, 1, 2 …"""


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    with problems.errors():
        looked = places.current()
        stamp = map_stamp(opened.study.folder)
        if not stamp:
            _make(
                opened,
                "A map shows all features of the study at once: each is a point, and features "
                "whose decoder directions are alike lie together. There is none yet. It is made "
                "once, in the background, and kept with the study: seconds for some thousand "
                "features, minutes for a hundred thousand.",
                "Make the map",
            )
            return
        drawn = _drawn(str(opened.study.folder), stamp)
        snapshot = opened.snapshot()
        found = _found(drawn, snapshot, looked.find)
        _controls(drawn, snapshot, looked, found)
        _scatter(opened, drawn, snapshot, looked, found, stamp)
        if looked.shape:
            hit = drawn.made.features[inside(drawn.grid, looked.shape)]
            chosen.show(opened, snapshot, hit)
        else:
            st.caption(
                "Draw around points to select them: they are listed here, to open, review, "
                "label or save. A click on a point opens its feature. Near means alike; how "
                "far apart two groups lie means little."
            )
        _newer(opened, drawn, snapshot)
    chosen.leave(opened)


def _make(opened: readers.OpenStudy, words: str, button: str) -> None:
    work = Work("map", {"study": opened.name}, f"Map of {opened.name}")
    offer(work, words, button, ":material/scatter_plot:", check_installed)


@st.cache_resource(max_entries=3, show_spinner=False)
def _drawn(folder: str, _stamp: int) -> Drawn:
    made = read_feature_map(Path(folder))
    assert made is not None
    grid = on_grid(made.places)
    whole = bool((made.features == np.arange(len(made.features))).all())
    return Drawn(
        made,
        grid,
        _packed(grid.T.astype("<u2")),
        "" if whole else _packed(made.features.astype("<u4")),
    )


def _packed(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _controls(drawn: Drawn, snapshot: Snapshot, looked: Looked, found: NDArray[np.int64]) -> None:
    with st.container(
        key="map_controls", horizontal=True, vertical_alignment="center", gap="small"
    ):
        session.set_widget("map_colour", looked.colour)
        st.selectbox(
            "Colour by",
            list(COLOURS),
            key="map_colour",
            format_func=lambda name: f"Colour: {COLOURS[name].lower()}",
            label_visibility="collapsed",
            width=220,
            help="A cluster lies together on the map and is named after words its labels share. "
            "Families are made on the Features page.",
            on_change=_coloured,
        )
        session.set_widget("map_find", looked.find)
        st.text_input(
            "Find on the map",
            key="map_find",
            type="search",
            icon=":material/search:",
            placeholder="a number, or words of labels",
            label_visibility="collapsed",
            width=280,
            on_change=_searched,
        )
        with st.container(key="quiet_map", width="stretch"):
            st.text(_line(drawn, looked, found))


def _line(drawn: Drawn, looked: Looked, found: NDArray[np.int64]) -> str:
    count = f"{len(drawn.made.features):,} features"
    if not looked.find:
        return count
    if not len(found):
        return f"{count} · none found"
    shown = f", {_MOST_RINGED} of them ringed" if len(found) > _MOST_RINGED else ""
    return f"{count} · {len(found):,} found{shown}"


def _coloured() -> None:
    kept = session.study_memory(places.Seen).looked or Looked()
    places.go(replace(kept, colour=session.widget("map_colour")))


def _searched() -> None:
    kept = session.study_memory(places.Seen).looked or Looked()
    places.go(replace(kept, find=(session.widget("map_find") or "").strip()))


def _found(drawn: Drawn, snapshot: Snapshot, find: str) -> NDArray[np.int64]:
    """Points of the map that were looked for."""
    if not find:
        return np.zeros(0, dtype=np.int64)
    if find.isdecimal() and len(find) < 10:
        return np.flatnonzero(drawn.made.features == int(find))
    hit = snapshot.features[snapshot.order(View(q=find, scope="all"))]
    return np.flatnonzero(np.isin(drawn.made.features, hit))


def _scatter(
    opened: readers.OpenStudy,
    drawn: Drawn,
    snapshot: Snapshot,
    looked: Looked,
    found: NDArray[np.int64],
    stamp: int,
) -> None:
    key = f"{opened.name} {stamp}"
    families = opened.study.folder / FAMILIES_FILE
    made = families.stat().st_mtime_ns if families.exists() else 0
    by = _colours(key, snapshot.version, looked.colour, made, drawn, snapshot, families.parent)
    _SCATTER(
        key="scatter",
        data={
            "title": f"Map of {len(drawn.made.features):,} features by {COLOURS[looked.colour]}",
            "key": key,
            "n": len(drawn.made.features),
            "places": drawn.places,
            "features": drawn.features,
            "labels": _labels(key, snapshot.version, drawn, snapshot),
            **by,
            "shape": list(looked.shape) or None,
            "window": None if looked.window is None else list(looked.window),
            "version": session.study_memory(places.Seen).version,
            "found": found[:_MOST_RINGED].tolist(),
            "height": _HEIGHT,
        },
        default={"seen": None},
        on_seen_change=places.heard,
        on_open_change=chosen.open_clicked,
    )


@st.cache_resource(max_entries=6, show_spinner=False)
def _colours(
    key: str, version: int, name: str, families: int, _drawn: Drawn, _snapshot: Snapshot,
    _study: Path,
) -> dict[str, Any]:  # fmt: skip
    groups = read_families(_study) if name == "family" else None
    made = colouring(name, _drawn.made, _snapshot, groups or ())
    return {
        "by": made.by,
        "colours": _packed(made.index),
        "light": made.light,
        "dark": made.dark,
        "names": made.names,
        "legend": made.legend,
    }


@st.cache_resource(max_entries=3, show_spinner=False)
def _labels(key: str, version: int, _drawn: Drawn, _snapshot: Snapshot) -> str:
    """The label of each point, a line each, packed: most of what the browser gets is text."""
    at = np.searchsorted(_snapshot.features, _drawn.made.features)
    at = np.minimum(at, len(_snapshot) - 1)
    here = _snapshot.features[at] == _drawn.made.features
    lines = [
        " ".join((_snapshot.label_objects[place] or "").split()) if known else ""
        for place, known in zip(at.tolist(), here.tolist(), strict=True)
    ]
    return base64.b64encode(gzip.compress("\n".join(lines).encode("utf-8"), 3, mtime=0)).decode()


def _newer(opened: readers.OpenStudy, drawn: Drawn, snapshot: Snapshot) -> None:
    """Features that came to the study after its map was made."""
    missing = len(snapshot) - int(np.isin(snapshot.features, drawn.made.features).sum())
    if missing:
        _make(
            opened,
            f"{missing:,} features of the study came after the map was made.",
            "Make it again",
        )
