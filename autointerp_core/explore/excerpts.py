"""The piece of text that shows best why a feature was found: the word looked for, in an example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from autointerp_core.store.study import Example, Study

_BEFORE, _AFTER = 28, 72
_EXAMPLES = 12
"""Top examples looked through of each feature."""
_PLACES = 300
"""Places of the words looked at for a feature whose top examples hold none."""
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]{2,}")


@dataclass(frozen=True)
class Excerpt:
    """Text around ``hit``: a word looked for, or the peak where the examples hold none."""

    before: str
    hit: str
    after: str
    found: bool
    """Whether ``hit`` is a word looked for."""


def excerpts(
    study: Study, features: Sequence[int], query: str, places: NDArray[np.int64]
) -> dict[int, Excerpt]:
    """For each feature that fires, the place where it fires strongest on a word of ``query``.

    In its top examples, else at ``places``, the tokens that hold such a word. Where it fires on
    none of them, the first example that holds one; else its strongest peak.
    """
    words = [regex.escape(word) for word in _WORD.findall(query)]
    wanted = regex.compile(rf"(?<![\p{{L}}\p{{N}}])(?:{'|'.join(words)})[\p{{L}}\p{{M}}\p{{N}}]*",
                           regex.IGNORECASE) if words else None  # fmt: skip
    if len(places) > _PLACES:
        places = places[np.linspace(0, len(places) - 1, _PLACES).astype(np.int64)]
    found = {}
    for feature, examples in study.iter_examples(features, "top", limit=_EXAMPLES):
        if not examples:
            continue
        strength, best = _best(examples, wanted)
        if strength <= 0 and len(places):
            alone = study.windows_at(feature, places, before=0, after=0)
            at = max(range(len(alone)), key=lambda place: abs(alone[place].activation))
            if alone[at].activation != 0:
                there = study.windows_at(feature, places[at : at + 1])
                strength, better = _best(there, wanted)
                best = better if better.found else best
        found[feature] = best
    return found


def _best(examples: Sequence[Example], wanted: regex.Pattern[str] | None) -> tuple[float, Excerpt]:
    """How strongly a feature fires on a word looked for, and the text around it."""
    best: tuple[float, str, int, int] | None = None
    for example in examples:
        if wanted is None:
            break
        text = "".join(example.tokens)
        ends = np.cumsum([len(token) for token in example.tokens])
        for match in wanted.finditer(text):
            first, last = np.searchsorted(ends, [match.start(), match.end() - 1], "right")
            strength = max(example.values[first : last + 1], default=0.0)
            if best is None or strength > best[0]:
                best = strength, text, match.start(), match.end()
    if best is not None:
        return best[0], _cut(*best[1:], found=True)
    example = examples[0]
    start = sum(len(token) for token in example.tokens[: example.peak_index])
    peak = example.tokens[example.peak_index]
    lead = len(peak) - len(peak.lstrip())
    text = "".join(example.tokens)
    return 0.0, _cut(text, start + lead, start + len(peak), found=False)


def _cut(text: str, start: int, end: int, *, found: bool) -> Excerpt:
    """Some words around ``text[start:end]``, whole ones where there is a space nearby."""
    low, high = max(start - _BEFORE, 0), min(end + _AFTER, len(text))
    if low:
        space = text.find(" ", low, start)
        low = space + 1 if space >= 0 else low
    if high < len(text):
        space = text.rfind(" ", end, high)
        high = space if space > end else high
    before, after = text[low:start], text[end:high]
    return Excerpt(before.lstrip(), text[start:end], after.rstrip(), found)
