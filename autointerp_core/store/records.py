"""What a study gives out: frozen records of plain values."""

from __future__ import annotations

import itertools
import unicodedata
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import regex


@dataclass(frozen=True)
class Example:
    """A window of tokens around a peak, with the feature's activation at every token.

    ``"".join(tokens)`` is byte-exact source text. A character split over several
    tokens stands in the first of them, the others are ``""``. Whoever shows or marks a token
    shows or marks its unit (:attr:`units`), which is never without text.
    """

    feature: int
    group: str
    activation: float
    sequence_index: int
    token_position: int
    document_index: int
    start_position: int
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    values: tuple[float, ...]
    peak_index: int
    continues: tuple[int, ...] = ()
    """Indices of the tokens that go on with a character begun before them, ascending."""
    opening: str = ""
    """The character that the first of ``continues`` goes on with, where it began in the sequence
    before and so is in none of ``tokens``."""
    named: tuple[tuple[int, str], ...] = ()
    """Indices and names of tokens that stand in no text, such as BOS, ascending."""

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    @cached_property
    def units(self) -> tuple[tuple[int, int], ...]:
        """The window in ranges ``[first, stop)`` of tokens, each of them whole characters.

        Most hold one token. Tokens that share a character are one unit, so are those of what a
        reader sees as one (a letter and the marks on it, a flag, a joined emoji, a syllable, the
        two halves of a line's end: extended grapheme clusters of Unicode's UAX 29), and so are a
        ``▁`` without text (which SentencePiece tokenizers put before a document) and the token
        after it. A token that has a name instead is a unit of its own.
        """
        goes_on, named = set(self.continues), dict(self.named)
        at, inside = len(self.opening), _inside_clusters(self.opening + self.text)
        cuts: list[int] = []
        bare = False  # whether the unit so far has no text that could be shown
        for i, text in enumerate(self.tokens):
            joined = bare or i in goes_on or (text != "" and (at in inside or _is_mark(text[0])))
            at += len(text)
            if i == 0 or i in named or i - 1 in named or not joined:
                cuts.append(i)
                bare = text == "" and i not in named and not (self.opening and i in goes_on)
            else:
                bare = bare and text == ""
        if bare and len(cuts) > 1 and cuts[-1] - 1 not in named:
            cuts.pop()  # nothing follows: it belongs to what came before
        return tuple(zip(cuts, [*cuts[1:], len(self.tokens)], strict=True))

    def unit_index(self, index: int) -> int:
        """Which of :attr:`units` token ``index`` of the window is in."""
        return next(n for n, found in enumerate(self.units) if index < found[1])

    def unit(self, index: int) -> tuple[int, int]:
        """The unit that token ``index`` of the window is in."""
        return self.units[self.unit_index(index)]

    @cached_property
    def unit_texts(self) -> tuple[str, ...]:
        """What to show for each of :attr:`units`: its text, or its name; none is empty."""
        named = dict(self.named)
        found = []
        for first, stop in self.units:
            text = named.get(first) or "".join(self.tokens[first:stop])
            opens = bool(self.opening) and first == self.continues[0]
            found.append(self.opening + text if opens else text)
        return tuple(found)

    @property
    def peak_text(self) -> str:
        """What the peak stands for; never empty."""
        return self.unit_texts[self.unit_index(self.peak_index)]

    @cached_property
    def whole(self) -> Example:
        """The same window with units for tokens, for whoever marks or counts what can be seen.

        A unit's value is its tokens' strongest, its id that of its first token. A token that has
        a name stands in no text, and is shown only where it is the peak.
        """
        peak = self.unit_index(self.peak_index)
        named = {self.unit_index(index) for index, _ in self.named} - {peak}
        if len(self.units) == len(self.tokens) and not self.opening and not self.named:
            return self
        return replace(
            self,
            token_ids=tuple(self.token_ids[first] for first, _ in self.units),
            tokens=tuple("" if n in named else text for n, text in enumerate(self.unit_texts)),
            values=tuple(max(self.values[first:stop], key=abs) for first, stop in self.units),
            peak_index=peak,
            continues=(),
            opening="",
            named=(),
        )


def _is_mark(letter: str) -> bool:
    """Whether a character is seen only on the one before it; some do not join by the rules."""
    return letter >= "\u0300" and unicodedata.category(letter).startswith("M")


def _inside_clusters(text: str) -> frozenset[int]:
    """Offsets within what a reader sees as one character."""
    if "\r" not in text and (text.isascii() or max(text) < "\u0300"):
        return frozenset()
    clusters = (found.span() for found in _CLUSTER.finditer(text))
    within = (range(start + 1, stop) for start, stop in clusters if stop - start > 1)
    return frozenset(itertools.chain.from_iterable(within))


_CLUSTER = regex.compile(r"\X")


@dataclass(frozen=True)
class FeatureStats:
    """Exact statistics over the counted tokens of a study.

    ``fired`` counts tokens, ``num_examples`` counts sequences; ``mean`` is over firings.
    """

    feature: int
    fired: int
    density: float
    num_examples: int
    max: float
    mean: float
    quantiles: tuple[float, float, float]
    """25 %, 50 % and 75 % quantiles of the activations over firings."""

    @property
    def dead(self) -> bool:
        return self.fired == 0


@dataclass(frozen=True)
class TokenLogit:
    token_id: int
    text: str
    logit: float


class LogitSides(NamedTuple):
    """Tokens that a decoder direction raises and lowers most, strongest first."""

    top: list[TokenLogit]
    bottom: list[TokenLogit]


@dataclass(frozen=True)
class Histogram:
    """Counts of firings in equal-width bins; ``edges`` has one entry more than ``counts``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class HealthWarning:
    """A health warning: a short code and one sentence for a person."""

    code: str
    message: str
