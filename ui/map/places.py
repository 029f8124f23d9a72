"""What the map's page shows, and its place in the address: colour, selection, window, search."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ui import session, url

COLOURS = {
    "score": "Label score",
    "density": "Density",
    "status": "Status",
    "cluster": "Cluster",
    "family": "Family",
}
SPAN = 65_535
"""Coordinates on the page are whole numbers from 0 to this."""
_MOST_CORNERS = 200
_WINDOW = re.compile(r"(-?\d{1,6})_(-?\d{1,6})_(\d{1,6})")


@dataclass(frozen=True)
class Looked:
    """How the map is looked at."""

    colour: str = "density"
    shape: tuple[int, ...] = ()
    """The polygon that selects features: x, y, x, y …; empty: nothing is selected."""
    window: tuple[int, int, int] | None = None
    """The middle of what is in sight, and how much of the map is; None: all of it."""
    find: str = ""
    """Features to be ringed: a number, or words of their labels or tokens."""

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> Looked:
        """What the address says, as far as it makes sense."""
        colour = params.get("colour", "density")
        window = _WINDOW.fullmatch(params.get("sight", ""))
        return cls(
            colour=colour if colour in COLOURS else "density",
            shape=read_shape(params.get("shape", "")),
            window=None if window is None else (int(window[1]), int(window[2]), int(window[3])),
            find=params.get("find", "")[:200],
        )

    def params(self) -> dict[str, str]:
        """The shortest parameters that :meth:`from_params` reads back."""
        found = {
            "colour": "" if self.colour == "density" else self.colour,
            "shape": write_shape(self.shape),
            "sight": "" if self.window is None else "_".join(str(n) for n in self.window),
            "find": self.find,
        }
        return {name: text for name, text in found.items() if text}


@dataclass
class Seen:
    """What the session remembers of the map of the study picked."""

    looked: Looked | None = None
    version: int = 0
    """The last change of shape or window that was heard of, by the browser's count."""


def current() -> Looked:
    """The address; coming back by the navigation, what was left."""
    arrived = session.current().arrive("map")
    kept = session.study_memory(Seen)
    looked = Looked.from_params(url.params())
    if arrived:
        kept.version = 0
        if looked == Looked() and kept.looked is not None:
            looked = kept.looked
    go(looked)
    return looked


def go(looked: Looked) -> None:
    """Look so, and say so in the address."""
    session.study_memory(Seen).looked = looked
    url.put({"study": session.current().study, **looked.params()})


def heard() -> None:
    """Callback: what the browser says was drawn or moved."""
    kept = session.study_memory(Seen)
    said = session.widget("scatter").seen
    if not isinstance(said, Mapping):
        return
    kept.version = int(said["version"])
    shape, window = said.get("shape"), said.get("window")
    looked = kept.looked or Looked()
    go(
        replace(
            looked,
            shape=_corners(shape or ()),
            window=None if window is None else (int(window[0]), int(window[1]), int(window[2])),
        )
    )


def write_shape(shape: tuple[int, ...]) -> str:
    """Four hexadecimal digits a number."""
    return "".join(f"{number:04x}" for number in shape)


def read_shape(text: str) -> tuple[int, ...]:
    """The polygon of :func:`write_shape`; empty where it is none."""
    if not re.fullmatch(r"(?:[0-9a-f]{8}){3,}", text):
        return ()
    return _corners([int(text[at : at + 4], 16) for at in range(0, len(text), 4)])


def _corners(numbers: object) -> tuple[int, ...]:
    found = tuple(int(n) for n in numbers) if isinstance(numbers, list | tuple) else ()
    usable = 6 <= len(found) <= 2 * _MOST_CORNERS and not len(found) % 2
    return found if usable and all(0 <= n <= SPAN for n in found) else ()
