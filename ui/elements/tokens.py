"""The highlighted-token view: rows of tokens, each with the feature's activation on it.

Strength shows as colour and as the height of a bar under the token, so it does not hang
on colour alone; the peak has a frame. Texts only ever become text nodes (``text.js``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from ui.elements.component import register

_VIEW = register("tokens")

Layout = Literal["wrap", "line"]


@dataclass(frozen=True)
class Line:
    """One example: tokens with values, and where it stands in the documents."""

    activation: float
    sequence: int
    position: int
    document: int
    start: int
    peak: int
    tokens: list[str]
    values: list[float]
    ids: list[int]
    shown: int | None = None
    """Which token shows the peak, where the peak has no text of its own; None: the peak."""
    special: dict[int, str] = field(default_factory=dict)
    """Names of the special tokens, by place in ``tokens``."""
    marked: list[int] = field(default_factory=list)
    """Places of the tokens a judge was asked about."""
    verdict: Literal["", "right", "wrong", "missing"] = ""
    """Of a judged window, shown instead of the activation, with ``judged``."""
    judged: str = ""
    note: str = ""
    why: str = ""
    """A line of its own below the text."""


@dataclass(frozen=True)
class Group:
    """Examples under one heading; ``empty`` says why there are none."""

    title: str
    rows: Sequence[Line]
    note: str = ""
    empty: str = "Nothing here."


def token_view(
    groups: Sequence[Group],
    *,
    scale: float,
    key: str = "tokens",
    layout: Layout = "wrap",
    subject: int = 0,
    on_open: Callable[[], None] | None = None,
) -> None:
    """Show groups of examples. ``scale`` is the activation shown at full strength.

    ``subject`` is what they are examples of: when it changes, the page starts at its top.

    With ``on_open``, clicking a row's place calls it; the widget ``key``'s ``open`` then
    holds its ``sequence`` and ``position``.
    """
    _VIEW(
        key=key,
        data={
            "groups": [asdict(group) for group in groups],
            "scale": scale,
            "layout": layout,
            "subject": subject,
            "openable": on_open is not None,
        },
        on_open_change=on_open or _nothing,
    )


def _nothing() -> None:
    """A trigger nobody waits for."""
