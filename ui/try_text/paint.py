"""The text itself: each token coloured by pinned features or by its strongest one."""

from __future__ import annotations

from typing import Any

import numpy as np

from autointerp_core.live.encoded import SINK, EncodedText
from autointerp_core.live.ranking import strongest
from ui import readers
from ui.elements.painted import Pin, Shown, Text, Token, painted
from ui.feature_names import Names
from ui.marks import marked
from ui.try_text.state import Asked

_TOP = 8
"""Features told of each token."""
_WHY = {"special": "special token, does not count", SINK: "attention sink, does not count"}


def show(
    opened: readers.OpenStudy,
    asked: Asked,
    texts: tuple[EncodedText, ...],
    names: Names,
    clicks: dict[str, Any],
) -> None:
    """One text, or two."""
    pins = asked.pins if asked.show == "pinned" else ()
    titles = ["First text", "Second text"] if len(texts) > 1 else [""]
    legend = [
        Pin(slot, feature, marked(names(feature).label or names(feature).missing),
            names(feature).href)
        for slot, feature in enumerate(pins)
    ]  # fmt: skip
    shown = [
        Text(title, tokens(text, asked, names, opened.study.tokens.vocab))
        for title, text in zip(titles, texts, strict=True)
    ]
    named = {feature for text in shown for token in text.tokens for feature, _ in token.top}
    painted(
        shown,
        legend,
        {f: Shown(names(f).label, names(f).href, f in asked.pins) for f in sorted(named)},
        key="try_tokens",
        as_list=asked.show == "list",
        on_open=clicks["on_open_change"],
        on_pin=clicks["on_pin_change"],
        on_unpin=clicks["on_unpin_change"],
    )


def tokens(text: EncodedText, asked: Asked, names: Names, vocab: list[str]) -> list[Token]:
    """Every token with its colours and its strongest features."""
    slots = {feature: slot for slot, feature in enumerate(asked.pins)}
    by_pin = asked.show == "pinned"
    top = strongest(text, _TOP)
    fires: list[list[tuple[int, float]]] = [[] for _ in range(text.n_tokens)]
    if by_pin:
        for place in np.flatnonzero(np.isin(text.feature, list(slots))).tolist():
            feature, token = int(text.feature[place]), int(text.token[place])
            fires[token].append((slots[feature], _strength(text, place, names)))
    else:
        for token, places in enumerate(top):
            if places:
                fires[token].append((0, _strength(text, places[0], names)))
    found = []
    for at, (piece, why) in enumerate(zip(text.pieces, text.masked, strict=True)):
        number = int(text.ids[at])
        special = why == "special" and number < len(vocab)
        found.append(
            Token(
                text=piece,
                id=number,
                fires=sorted(fires[at], key=lambda each: -each[1]),
                top=[(int(text.feature[i]), float(text.activation[i])) for i in top[at]],
                name=vocab[number] if special else "",
                masked=bool(why),
                why=_WHY.get(why, ""),
                opens=at > 0 and bool(text.sequence[at] != text.sequence[at - 1]),
            )
        )
    return found


def _strength(text: EncodedText, place: int, names: Names) -> float:
    """Of the feature's own max in the study, 1 at most."""
    value = abs(float(text.activation[place]))
    most = names(int(text.feature[place])).most
    return round(min(value / most, 1.0), 3) if most else 1.0
