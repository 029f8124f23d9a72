"""The words of a study's texts, and which of them every token belongs to.

Numbers, runs of one punctuation mark and line breaks are words here too, as they stand in
the document, not as the tokeniser cuts them: a feature that fires on " pollin" is shown
"pollination". Characters of scripts written without spaces (Chinese, Japanese, Thai, …)
are words of their own; phrases are put together from them by whoever counts.

Knows nothing about features. Built once per study; memory is about 30 bytes a word.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import regex
from numpy.typing import NDArray

from autointerp_core.arrays import BoolArray, Int64Array
from autointerp_core.store.study import CONTINUES, TokenStore

_NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD_PATTERN = regex.compile(
    rf"(?P<bare>[{_NO_SPACES}]\p{{M}}*)"
    rf"|(?P<word>[[\p{{L}}\p{{M}}]--[{_NO_SPACES}]]+"
    rf"(?:['’](?!s\b)[[\p{{L}}\p{{M}}]--[{_NO_SPACES}]]+)*)"
    r"|(?P<number>\p{N}+(?:[.,:/]\p{N}+)*)"
    r"|(?P<line>[\r\n]+)"
    r"|(?P<mark>['’]s\b|([^\s\p{L}\p{M}\p{N}])\6*)",
    regex.V1,
)
_YEAR = regex.compile(r"(?:1[4-9]|20)\d\d")
_ENDING = frozenset(".!?。！？…")
_QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“”", "「": "」", "『": "』"}
_BRACKETS = {"(": ")", "（": "）"}
LONGEST_QUOTE = 60
"""Words; a quotation mark or bracket left open further back than this is taken as a stray one."""

CLASSES = (
    "years",
    "numbers",
    "line breaks",
    "punctuation",
    "all-caps words",
    "capitalised words at sentence start",
    "capitalised names",
    "words inside quotes",
    "first words of sentences",
    "words in parentheses",
    "last words of sentences",
    "single capital letters",
)
"""What a word can be, besides itself: pattern classes, no topics."""


@dataclass(frozen=True)
class Word:
    """A distinct text. ``kind`` is bare, word, number, line or mark."""

    text: str
    kind: str


class CorpusWords:
    """Every word of a study's documents, in order.

    ``surface`` indexes ``surfaces`` (exact spelling), ``key`` indexes ``keys`` (case folded).
    ``token_word[t]`` is the word of token ``t``, -1 where it holds only spaces or nothing.
    """

    def __init__(self, tokens: TokenStore):
        surfaces: dict[str, int] = {}
        kinds: list[str] = []
        surface, start, stop, document = [], [], [], []
        for index in range(len(tokens.documents) - 1):
            text = tokens.document_text(index)
            base = int(tokens.documents[index])
            found = []
            for match in _WORD_PATTERN.finditer(text):
                piece = match.group()
                number = surfaces.get(piece)
                if number is None:
                    number = surfaces[piece] = len(surfaces)
                    kinds.append(str(match.lastgroup))
                found.append(number)
                start.append(match.start())
                stop.append(match.end())
            surface += found
            document.append(len(found))
            if found and not text.isascii():
                at = _byte_offsets(text)
                start[-len(found) :] = at[start[-len(found) :]].tolist()
                stop[-len(found) :] = at[stop[-len(found) :]].tolist()
            if found and base:
                start[-len(found) :] = [s + base for s in start[-len(found) :]]
                stop[-len(found) :] = [s + base for s in stop[-len(found) :]]
        self.surfaces = [Word(text, kind) for text, kind in zip(surfaces, kinds, strict=True)]
        self.surface: Int64Array = np.asarray(surface, dtype=np.int64)
        self.start: Int64Array = np.asarray(start, dtype=np.int64)
        self.stop: Int64Array = np.asarray(stop, dtype=np.int64)
        self.document: Int64Array = np.repeat(np.arange(len(document)), document)
        keys: dict[str, int] = {}
        self.key_of_surface: Int64Array = np.asarray(
            [keys.setdefault(word.text.casefold(), len(keys)) for word in self.surfaces],
            dtype=np.int64,
        )
        self.keys = list(keys)
        self.key: Int64Array = (
            self.key_of_surface[self.surface] if len(surface) else np.zeros(0, np.int64)
        )
        self.token_word, self.token_whole = self._tokens(tokens)

    def __len__(self) -> int:
        return len(self.surface)

    def _tokens(self, tokens: TokenStore) -> tuple[Int64Array, BoolArray]:
        """Word of each token (-1: none), and whether the token is the whole of it."""
        total = tokens.n_tokens
        if not len(self) or not total:
            return np.full(total, -1, dtype=np.int64), np.zeros(total, dtype=np.bool_)
        end = np.asarray(tokens.ends)
        begin = np.empty_like(end)
        begin[1:] = end[:-1]
        # An empty sequence starts where the next one does; its start is overwritten by it.
        filled = tokens.sequences[:-1] < tokens.sequences[1:]
        begin[tokens.sequences[:-1][filled]] = tokens.starts[filled]
        text = tokens.text
        here = np.minimum(begin, max(len(text) - 1, 0))
        at = begin + ((text[here] == 0x20) & (end - begin > 1))
        # The later tokens of a split character are empty: they belong where it began.
        at = np.where((end == begin) & (tokens.flags & CONTINUES > 0), begin - 1, at)
        word = np.searchsorted(self.start, at, "right") - 1
        missing = (word < 0) | (self.stop[word] <= at)
        last = np.searchsorted(self.start, end - 1, "right") - 1
        fallback = np.where((last >= 0) & (self.stop[last] >= end), last, -1)
        word = np.where(missing, fallback, word)
        empty = (end == begin) & (tokens.flags & CONTINUES == 0)
        word = np.where(empty, -1, word)
        whole = (word >= 0) & (at <= self.start[word]) & (end >= self.stop[word])
        return word, whole

    @cached_property
    def previous_key(self) -> Int64Array:
        """Key of the word before, -1 at the start of a document."""
        out = np.full(len(self), -1, dtype=np.int64)
        if len(self):
            same = self.document[1:] == self.document[:-1]
            out[1:] = np.where(same, self.key[:-1], -1)
        return out

    @cached_property
    def next_key(self) -> Int64Array:
        """Key of the word after, -1 at the end of a document."""
        out = np.full(len(self), -1, dtype=np.int64)
        if len(self):
            same = self.document[1:] == self.document[:-1]
            out[:-1] = np.where(same, self.key[1:], -1)
        return out

    @cached_property
    def classes_before(self) -> BoolArray:
        """``[len(CLASSES), words]``: of which classes the word before is."""
        out = np.zeros((len(CLASSES), len(self)), dtype=np.bool_)
        if len(self):
            out[:, 1:] = self.classes[:, :-1] & (self.document[1:] == self.document[:-1])
        return out

    @cached_property
    def classes(self) -> BoolArray:
        """``[len(CLASSES), words]``: which words are of which class."""
        kind = np.asarray([word.kind for word in self.surfaces])
        text = [word.text for word in self.surfaces]
        year = np.asarray([bool(_YEAR.fullmatch(t)) for t in text], dtype=np.bool_)
        capital = np.asarray([t[0].isupper() for t in text], dtype=np.bool_)
        upper = np.asarray([len(t) > 1 and t.isupper() for t in text], dtype=np.bool_)
        if not len(self):
            return np.zeros((len(CLASSES), 0), dtype=np.bool_)
        s = self.surface
        word = (kind == "word")[s] | (kind == "bare")[s]
        first = self._sentence_starts(kind) & word
        return np.stack(
            [
                year[s],
                (kind == "number")[s],
                (kind == "line")[s],
                (kind == "mark")[s],
                upper[s] & word,
                capital[s] & first,
                capital[s] & word & ~first,
                self._between(kind, _QUOTES) & word,
                first,
                self._between(kind, _BRACKETS) & (word | (kind == "number")[s]),
                self._sentence_ends(kind) & word,
                capital[s] & (np.asarray([len(t) == 1 for t in text])[s]) & (kind == "word")[s],
            ]
        )

    def _sentence_starts(self, kind: NDArray[np.str_]) -> BoolArray:
        ending = np.asarray(
            [u.kind == "line" or u.text[0] in _ENDING for u in self.surfaces], dtype=np.bool_
        )
        out = np.ones(len(self), dtype=np.bool_)
        out[1:] = ending[self.surface[:-1]] | (self.document[1:] != self.document[:-1])
        # A quotation mark or bracket between the full stop and the word hides it.
        marks = (kind == "mark")[self.surface]
        again = out[:-1] & marks[:-1]
        out[1:] |= again
        return out

    def _sentence_ends(self, kind: NDArray[np.str_]) -> BoolArray:
        """Words right before a full stop (or its like), quotation marks and brackets aside."""
        stop = np.asarray([u.text[0] in _ENDING for u in self.surfaces], dtype=np.bool_)
        out = np.zeros(len(self), dtype=np.bool_)
        same = self.document[1:] == self.document[:-1]
        out[:-1] = stop[self.surface[1:]] & same
        marks = (kind == "mark")[self.surface]
        out[:-1] |= out[1:] & marks[1:] & same & ~stop[self.surface[1:]]
        return out

    def _between(self, kind: NDArray[np.str_], pairs: dict[str, str]) -> BoolArray:
        """Words between an opening mark and its closing one, in one paragraph."""
        out = np.zeros(len(self), dtype=np.bool_)
        opened, closes, document = -1, "", -1
        for n in np.flatnonzero(np.isin(kind, ("mark", "line"))[self.surface]).tolist():
            text = self.surfaces[self.surface[n]].text
            if self.document[n] != document or text[0] in "\r\n" or n - opened > LONGEST_QUOTE:
                document, opened, closes = int(self.document[n]), -1, ""
            if opened >= 0 and text[0] in closes:
                out[opened + 1 : n] = True
                opened, closes = -1, ""
            elif opened < 0 and text in pairs:
                opened, closes = n, pairs[text]
        return out


def mark_name(text: str) -> str:
    """A punctuation mark in words: ``,`` is comma, ``$`` is dollar sign.

    Unicode's own names, so that every script's marks have one.
    """
    if text[0] in "\r\n":
        return "line break"
    if len(text) > 1:
        return f'"{text}"'
    name = unicodedata.name(text[0], "").lower().replace("-minus", "")
    name = {"full stop": "period", "solidus": "slash"}.get(name, name)
    return f'"{text}"' if not name or len(name.split()) > 3 else name


def _byte_offsets(text: str) -> Int64Array:
    """Byte offset of every character of ``text``, and of its end."""
    code = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    width = 1 + (code >= 0x80).astype(np.int64) + (code >= 0x800) + (code >= 0x10000)
    return np.concatenate([[0], np.cumsum(width)])
