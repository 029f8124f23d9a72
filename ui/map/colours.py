"""Colours of the map: of each point a place in a palette, the palette, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.feature_map import ALONE, FeatureMap, cluster_names
from autointerp_core.explore.view import STATUSES
from autointerp_core.store.families import Group
from ui.map.places import COLOURS
from ui.marks import marked

Colour = tuple[int, int, int]
_STEPS = 24
_NAMED = 12
"""Clusters or families named in the legend, the largest."""
_NONE = {
    "cluster": "the map has none",
    "family": "no families yet: the Families menu of the Features page makes them",
}
# Little to much, away from the page's own colour.
_LIGHT_RAMP: tuple[Colour, ...] = ((183, 196, 208), (72, 138, 196), (126, 66, 160), (170, 24, 40))
_DARK_RAMP: tuple[Colour, ...] = ((66, 78, 90), (72, 138, 196), (203, 125, 214), (255, 196, 96))
_LIGHT_GREY: Colour = (176, 180, 184)
_DARK_GREY: Colour = (88, 94, 100)
_STATUS_LIGHT: tuple[Colour, ...] = ((150, 160, 170), (24, 128, 72), (30, 96, 190), (217, 119, 6))
_STATUS_DARK: tuple[Colour, ...] = (
    (104, 114, 124),
    (92, 200, 138),
    (110, 170, 250),
    (245, 158, 11),
)
# Okabe and Ito's, which differ for everybody, and four more.
_GROUPS: tuple[Colour, ...] = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (190, 150, 0),
    (148, 103, 189), (140, 86, 75), (188, 60, 60), (100, 140, 40), (0, 150, 160), (120, 120, 200),
)  # fmt: skip


@dataclass(frozen=True)
class Colouring:
    """``index`` u8[N]: of each point its colour in ``light`` and ``dark``."""

    by: str
    index: NDArray[np.uint8]
    light: tuple[Colour, ...]
    dark: tuple[Colour, ...]
    names: tuple[str, ...]
    """Of each colour, what a point of it is."""
    legend: tuple[dict[str, Any], ...]


def colouring(
    name: str, made: FeatureMap, snapshot: Snapshot, groups: Sequence[Group] = ()
) -> Colouring:
    """The map's points by ``name`` of ``COLOURS``; features that left the study are grey.

    ``groups`` are the study's families, the largest first.
    """
    at = np.minimum(np.searchsorted(snapshot.features, made.features), len(snapshot) - 1)
    here = snapshot.features[at] == made.features
    if name == "status":
        return _status(at, here, snapshot)
    if name == "cluster":
        return _cluster(made, at, here, snapshot)
    if name == "family":
        return _family(made, groups)
    values = np.where(here, snapshot.column(name)[at].astype(np.float64), np.nan)
    return _ramp(name, values)


def _ramp(name: str, values: NDArray[np.float64]) -> Colouring:
    known = np.isfinite(values) & ((values > 0) | (name != "density"))
    scaled = np.log10(np.where(known, values, 1.0)) if name == "density" else values
    low, high = np.quantile(scaled[known], [0.01, 0.99]) if known.any() else np.array([0.0, 1.0])
    step = (np.where(known, scaled, low) - low) / max(float(high - low), 1e-12)
    index = 1 + np.clip(np.rint(step * (_STEPS - 1)), 0, _STEPS - 1)
    edges = low + (high - low) * np.arange(_STEPS) / (_STEPS - 1)
    said = [f"{100 * 10**edge:.2g} %" if name == "density" else f"{edge:.2f}" for edge in edges]
    nothing = "never fires" if name == "density" else "no score"
    legend: list[dict[str, Any]] = []
    if known.any():
        legend.append({"text": f"{said[0]} to {said[-1]}", "index": 1, "last": _STEPS})
    if not known.all():
        legend.append({"text": nothing, "index": 0})
    return Colouring(
        COLOURS[name],
        np.where(known, index, 0).astype(np.uint8),
        (_LIGHT_GREY, *_between(_LIGHT_RAMP)),
        (_DARK_GREY, *_between(_DARK_RAMP)),
        (nothing, *(f"about {text}" for text in said)),
        tuple(legend),
    )


def _between(stops: Sequence[Colour]) -> list[Colour]:
    at = np.linspace(0, len(stops) - 1, _STEPS)
    channels = [np.interp(at, range(len(stops)), [stop[c] for stop in stops]) for c in range(3)]
    return [(int(r), int(g), int(b)) for r, g, b in zip(*channels, strict=True)]


def _status(at: NDArray[np.int64], here: NDArray[np.bool_], snapshot: Snapshot) -> Colouring:
    index = np.where(snapshot.flagged[at], len(STATUSES), snapshot.status[at])
    names = (*STATUSES, "flagged")
    legend = tuple({"text": text, "index": number} for number, text in enumerate(names))
    index = np.where(here, index, 0).astype(np.uint8)
    return Colouring(COLOURS["status"], index, _STATUS_LIGHT, _STATUS_DARK, names, legend)


def _cluster(
    made: FeatureMap, at: NDArray[np.int64], here: NDArray[np.bool_], snapshot: Snapshot
) -> Colouring:
    labels = [
        snapshot.label_objects[place] if known else None
        for place, known in zip(at.tolist(), here.tolist(), strict=True)
    ]
    return _groups("cluster", made.cluster, cluster_names(made.cluster, labels))


def _family(made: FeatureMap, groups: Sequence[Group]) -> Colouring:
    number = np.full(len(made.features), ALONE, dtype=np.int32)
    for place, group in enumerate(groups):
        number[np.isin(made.features, group.features)] = place
    return _groups("family", number, [marked(group.label) for group in groups])


def _groups(name: str, number: NDArray[np.int32], names: Sequence[str]) -> Colouring:
    # More groups than colours: neighbouring sizes never share one.
    index = np.where(number == ALONE, 0, 1 + number % len(_GROUPS))
    legend = [
        {"text": text, "index": 1 + place % len(_GROUPS)}
        for place, text in enumerate(names[:_NAMED])
    ]
    if not names:
        legend.append({"text": _NONE[name], "index": 0})
    elif len(names) > _NAMED:
        legend.append({"text": f"and {len(names) - _NAMED:,} more, or none", "index": 0})
    elif (number == ALONE).any():
        legend.append({"text": "in none", "index": 0})
    return Colouring(
        COLOURS[name],
        index.astype(np.uint8),
        (_LIGHT_GREY, *_GROUPS),
        (_DARK_GREY, *_GROUPS),
        ("",) * (len(_GROUPS) + 1),
        tuple(legend),
    )
