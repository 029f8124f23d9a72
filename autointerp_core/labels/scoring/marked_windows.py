"""Which tokens are marked in which window, for scorers that ask about marks.

* *active*: every second active window, with exactly the firing tokens marked: those of at
  least ``SHARE`` of the peak's activation. The marks are right.
* *hard*: the other active windows, with as many silent tokens marked instead, none in a word
  that the feature fires in. The text is right and the marks are wrong, so a judge that only
  looks for the label anywhere in the text fails here.
* silent windows with tokens marked at random, as many as in an active one: *easy* ones, or
  *hard* ones where there are no others.

Each window is asked about once: two questions about one text would not be two observations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from autointerp_core.labels.document_split import PARTS
from autointerp_core.labels.marks import is_visible, mark, plain
from autointerp_core.labels.scoring.sample_windows import HARD, MIN_ACTIVE, Window, WindowSet
from autointerp_core.labels.word_pieces import goes_on
from autointerp_core.store.study import Example

SHARE = 0.3
"""Of the peak's activation; weaker tokens beside a peak are often only its echo."""


@dataclass(frozen=True)
class MarkedWindow:
    """A window and the positions marked in it; its kind says whether the marks are right."""

    window: Window
    marked: tuple[int, ...]


def marked_windows(found: WindowSet, seed: int = 0) -> list[MarkedWindow]:
    """The questions of a window set: active, then easy, then hard; same seed, same marks.

    None at all where fewer than ``MIN_ACTIVE`` would be marked rightly.
    """
    generator = np.random.default_rng([seed, found.feature, PARTS.index(found.part), 0x465A])
    right = [MarkedWindow(w, firing_tokens(w.example)) for w in found.active[::2]]
    if len(right) < MIN_ACTIVE:
        return []
    hard = []
    for window in found.active[1::2]:
        count = len(firing_tokens(window.example))
        marked = _some(generator, silent_tokens(window.example), count)
        if marked:
            hard.append(MarkedWindow(replace(window, kind=HARD), marked))
    silent = []
    for window in (found.easy or found.hard)[: len(right)]:
        count = len(right[int(generator.integers(len(right)))].marked)
        marked = _some(generator, silent_tokens(window.example), count)
        if marked:
            silent.append(MarkedWindow(window, marked))
    return [*right, *silent, *hard]


def firing_tokens(example: Example) -> tuple[int, ...]:
    """Positions of the tokens that make the window active."""
    least = SHARE * abs(example.activation)
    return tuple(i for i, value in enumerate(example.values) if value and abs(value) >= least)


def silent_tokens(example: Example) -> list[int]:
    """Positions with visible text, in words without any firing."""
    silent: list[int] = []
    word: list[int] = []
    for i, token in enumerate((*example.tokens, " ")):
        joined = i > 0 and goes_on(example.tokens[i - 1], token)
        if not joined or i == len(example.tokens):
            if not any(example.values[j] for j in word):
                silent += word
            word = []
        word.append(i)
    return [i for i in silent if is_visible(example.tokens[i])]


def _some(generator: np.random.Generator, positions: list[int], count: int) -> tuple[int, ...]:
    """At most ``count`` of the positions, ascending."""
    chosen = generator.permutation(len(positions))[:count]
    return tuple(sorted(positions[i] for i in chosen.tolist()))


def marked_text(tokens: Sequence[str], marked: Sequence[int]) -> str:
    """The text with marks around the given tokens; neighbours share one pair of marks."""
    wanted = set(marked)
    out = ""
    at = 0
    while at < len(tokens):
        stop = at + 1
        while stop < len(tokens) and (stop in wanted) == (at in wanted):
            stop += 1
        text = "".join(tokens[at:stop])
        out = _joined(out, mark(text, apart=True) if text and at in wanted else plain(text))
        at = stop
    return out


def _joined(left: str, right: str) -> str:
    touching = bool(left and right) and left[-1] in "<>" and left[-1] == right[0]
    return f"{left} {right}" if touching else left + right
