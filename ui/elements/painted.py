"""A text whose tokens are coloured by features, several at once; a click tells a token's features.

The strongest of the features pinned colours a token, the others show as bars below it. Texts only
ever become text nodes (``text.js``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType

from ui.elements.component import register

_VIEW = register("painted")
SLOTS = 6
"""Colours there are."""


@dataclass(frozen=True)
class Shown:
    """What is told of a feature wherever it fires."""

    label: str
    """Empty where it has none."""
    href: str
    pinned: bool = False


@dataclass(frozen=True)
class Token:
    """A token, and what fires on it."""

    text: str
    id: int
    fires: list[tuple[int, float]] = field(default_factory=list)
    """Colour and strength from 0 to 1 of features shown, strongest first."""
    top: list[tuple[int, float]] = field(default_factory=list)
    """Its strongest features, each with its activation."""
    name: str = ""
    """Of a special token, how the tokenizer spells it."""
    masked: bool = False
    why: str = ""
    """Why it does not count."""
    dim: bool = False
    opens: bool = False
    """Whether the model's reading begins anew here."""


@dataclass(frozen=True)
class Text:
    """A text under a title (which may be empty)."""

    title: str
    tokens: Sequence[Token]


@dataclass(frozen=True)
class Pin:
    """A feature in its colour."""

    slot: int
    feature: int
    label: str
    href: str


def painted(
    texts: Sequence[Text],
    legend: Sequence[Pin] = (),
    features: Mapping[int, Shown] = MappingProxyType({}),
    *,
    key: str,
    as_list: bool = False,
    detail: bool = True,
    on_open: Callable[[], None] | None = None,
    on_pin: Callable[[], None] | None = None,
    on_unpin: Callable[[], None] | None = None,
) -> None:
    """Show texts.

    The callbacks read the widget ``key``: ``open``, ``pin``, ``unpin``.

    Args:
        features: every one that is named in a token's ``top``.
        as_list: a row a token, with its strongest features beside it.
        detail: a click on a token lists its features.
    """
    _VIEW(
        key=key,
        data={
            "texts": [asdict(text) for text in texts],
            "legend": [asdict(pin) for pin in legend],
            # Once each: a token's neighbours share most of its features.
            "features": {str(number): asdict(shown) for number, shown in features.items()},
            "list": as_list,
            "detail": detail,
            "pinnable": on_pin is not None,
        },
        on_open_change=on_open or _nothing,
        on_pin_change=on_pin or _nothing,
        on_unpin_change=on_unpin or _nothing,
    )


def _nothing() -> None:
    """A trigger nobody waits for."""
