"""The tokens and texts of a study: ids, byte-exact token texts, sequences, documents."""

from __future__ import annotations

import bisect
import itertools
import json
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPECIAL, CONTINUES, OUTSIDE = 1, 2, 4
"""Bits of a token's flags: a special token; goes on with the character before it; outside the
messages that were asked for (it is read by the model, and left out of everything else)."""

BLANK = "\u2581"
"""``▁``, which stands for a space in SentencePiece vocabularies."""

_CHARACTER_BYTES = 32
"""No character, marks included, is taken to be longer."""

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class TokenPart:
    """Some sequences of a study, to be run somewhere else; counted from their own start."""

    ids: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    sequences: IntArray
    """First token of each, and the end of the last."""

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    @property
    def n_sequences(self) -> int:
        return len(self.sequences) - 1


class TokenStore:
    """The tokens and texts of a study, memory-mapped."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ids = map_array(folder / "ids.bin", np.uint32)
        self.ends = map_array(folder / "ends.bin", np.int64)
        self.flags = map_array(folder / "flags.bin", np.uint8)
        self.sequences = map_array(folder / "sequences.bin", np.int64)
        self.owners = map_array(folder / "owners.bin", np.int64)
        self.starts = map_array(folder / "starts.bin", np.int64)
        self.documents = map_array(folder / "documents.bin", np.int64)
        self.text = map_array(folder / "text.bin", np.uint8)

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    @property
    def n_sequences(self) -> int:
        return len(self.owners)

    @cached_property
    def counted(self) -> NDArray[np.uint8]:
        return map_array(self.folder / "counted.bin", np.uint8)

    @cached_property
    def vocab(self) -> list[str]:
        loaded: list[str] = json.loads((self.folder / "vocab.json").read_bytes())
        return loaded

    def part(self, first: int, last: int) -> TokenPart:
        """Sequences ``[first, last)``, copied."""
        bounds = np.asarray(self.sequences[first : last + 1])
        inside = slice(int(bounds[0]), int(bounds[-1]))
        return TokenPart(
            np.array(self.ids[inside]), np.array(self.flags[inside]), bounds - bounds[0]
        )

    def sequence_peaks(self, token: IntArray, activation: NDArray[np.floating[Any]]) -> IntArray:
        """Indices into ``token`` of the strongest of every sequence that has any.

        Strongest first; of equals the earlier token.
        """
        sequence = self.sequence_of(token)
        strength = np.abs(activation)  # of a signed SAE a peak may be below zero
        if len(token) and bool((token[1:] > token[:-1]).all()):  # as firings are read
            start = np.flatnonzero(np.concatenate([[True], sequence[1:] != sequence[:-1]]))
            length = np.diff(start, append=len(token))
            highest = np.repeat(np.maximum.reduceat(strength, start), length)
            top = np.flatnonzero(strength == highest)
            first = top[np.concatenate([[True], sequence[top[1:]] != sequence[top[:-1]]])]
            found: IntArray = first[np.argsort(-strength[first], kind="stable")]
            return found
        order = np.lexsort((token, -strength, sequence))
        first = order[np.unique(sequence[order], return_index=True)[1]]
        peaks: IntArray = first[np.lexsort((token[first], -strength[first]))]
        return peaks

    def document_text(self, document: int) -> str:
        start, stop = self.documents[document], self.documents[document + 1]
        return self.text[start:stop].tobytes().decode("utf-8")

    def document_sequences(self, document: int) -> range:
        """Sequences that hold tokens of one document, in order; empty ones too."""
        if not self.packed:
            first = int(np.searchsorted(self.owners, document, "left"))
            return range(first, int(np.searchsorted(self.owners, document, "right")))
        low, high = (int(x[0]) for x in self.document_edges(np.array([document])))
        sequence = self.sequence_of(np.array([low, max(high - 1, low)]))
        return range(int(sequence[0]), int(sequence[1]) + (high > low))

    def document_edges(self, documents: IntArray) -> tuple[IntArray, IntArray]:
        """First and one-past-last token of each document."""
        if not self.packed:
            first = np.searchsorted(self.owners, documents)
            last = np.searchsorted(self.owners, documents, "right")
            return self.sequences[first], self.sequences[last]
        every = range(self.n_tokens)

        def begins(document: int) -> int:
            return bisect.bisect_left(
                every, document, key=lambda token: int(self.document_of(np.array([token]))[0])
            )

        first = np.array([begins(int(document)) for document in documents], dtype=np.int64)
        last = np.array([begins(int(document) + 1) for document in documents], dtype=np.int64)
        return first, last

    @cached_property
    def packed(self) -> bool:
        """Whether a sequence holds more than one document; ``owners`` then names its first."""
        filled = self.sequences[1:] > self.sequences[:-1]
        last = self.ends[self.sequences[1:][filled] - 1]
        return bool((last > self.documents[self.owners[filled] + 1]).any())

    def document_of(self, token: IntArray) -> IntArray:
        """Document that each token belongs to; a separator belongs to the one it opens."""
        token = np.asarray(token, dtype=np.int64)
        sequence = self.sequence_of(token)
        if not self.packed:
            owner: IntArray = self.owners[sequence]
            return owner
        opens = token == self.sequences[sequence]
        # BOS may stand before the later part of a character: it goes with what it opens.
        bos = opens & (self.flags[token] & (SPECIAL | CONTINUES) == SPECIAL)
        bos &= (self.ends[token] == self.starts[sequence]) & (
            token + 1 < self.sequences[sequence + 1]
        )
        token = token + bos
        begin = np.where(opens, self.starts[sequence], self.ends[np.maximum(token - 1, 0)])
        # The later tokens of a split character are empty: they belong where it began.
        goes_on = (self.flags[token] & CONTINUES > 0) & (begin == self.ends[token])
        found: IntArray = np.searchsorted(self.documents, begin - goes_on, "right") - 1
        return found

    def sequence_of(self, token: IntArray) -> IntArray:
        """Sequence that holds each token index. Empty sequences hold none."""
        return np.searchsorted(self.sequences, token, "right") - 1

    def begins(self, token: IntArray) -> IntArray:
        """Byte offset at which each token's text starts."""
        sequence = self.sequence_of(token)
        # The text of a sequence's first token does not start where the token before it ends.
        opens = token == self.sequences[sequence]
        found: IntArray = np.where(
            opens, self.starts[sequence], self.ends[np.maximum(token - 1, 0)]
        )
        return found

    def windows(self, token: IntArray, before: int, after: int) -> tuple[IntArray, IntArray]:
        """First and one-past-last token of the window around each token.

        Clipped to the sequence, then widened so that no character is cut in two.
        """
        sequence = self.sequence_of(token)
        low, high = self.sequences[sequence], self.sequences[sequence + 1]
        start = np.maximum(token - before, low)
        stop = np.minimum(token + after + 1, high)
        # A character spans at most four bytes, so a few steps settle it.
        while True:
            grow = (start > low) & (self.flags[start] & CONTINUES > 0)
            if not grow.any():
                break
            start = start - grow
        while True:
            inside = np.minimum(stop, self.n_tokens - 1)
            grow = (stop < high) & (self.flags[inside] & CONTINUES > 0)
            if not grow.any():
                break
            stop = stop + grow
        return start, stop

    def pieces(self, start: int, stop: int) -> list[str]:
        """Text of each token in ``[start, stop)``, which must lie in one sequence."""
        return self.texts(np.array([start]), np.array([stop]))[0] if stop > start else []

    def openings(self, start: IntArray, stop: IntArray) -> dict[int, str]:
        """Of windows that begin inside a character: that character, by the window's place.

        Windows are widened to whole characters, so that is only where a sequence was cut inside
        one: its first token, or the one after its BOS, goes on with the sequence before.
        """
        sequence = self.sequence_of(start)
        opens = start == self.sequences[sequence]
        lone = (self.flags[start] & (SPECIAL | CONTINUES) == SPECIAL) & (stop - start > 1)
        first = start + (opens & lone & (self.ends[start] == self.starts[sequence]))
        return {
            i: self._character_before(int(self.starts[sequence[i]]))
            for i in np.flatnonzero(opens & (self.flags[first] & CONTINUES > 0)).tolist()
        }

    def in_parts(self, token: IntArray) -> NDArray[np.bool_]:
        """Which tokens are not the whole of what they stand for: part of a character, or bare."""
        sequence = self.sequence_of(token)
        # The character may go on in the next sequence, after its BOS.
        after = np.minimum(token + 1, self.n_tokens - 1)
        ended = token + 1 >= self.sequences[sequence + 1]
        bos = ended & (self.flags[after] & (SPECIAL | CONTINUES) == SPECIAL)
        after = np.minimum(after + bos, self.n_tokens - 1)
        begin = self.begins(token)
        shared = (self.flags[token] | self.flags[after]) & CONTINUES > 0
        bare = (begin == self.ends[token]) & (self.flags[token] & SPECIAL == 0)
        found: NDArray[np.bool_] = shared | bare
        return found

    def unit_texts(self, token: IntArray) -> list[str]:
        """The whole characters each token belongs to; of a bare ``▁``, the token after it too."""
        if not len(token):
            return []
        start, stop = self.windows(token, 0, 0)
        opening = self.openings(start, stop)
        pieces = self.texts(start, stop)
        found = [opening.get(i, "") + "".join(texts) for i, texts in enumerate(pieces)]
        high = self.sequences[self.sequence_of(token) + 1]
        bare = [i for i, text in enumerate(found) if not text and stop[i] < high[i]]
        if bare:
            for i, text in zip(bare, self.unit_texts(stop[bare]), strict=True):
                found[i] = text
        return found

    def _character_before(self, end: int) -> str:
        """The character whose bytes end before byte ``end``, with the marks that stand on it."""
        document = int(np.searchsorted(self.documents, end, "left")) - 1
        begin = max(end - _CHARACTER_BYTES, int(self.documents[document]))
        text = self.text[begin:end].tobytes().decode("utf-8", "ignore")
        at = len(text) - 1
        while at > 0 and unicodedata.category(text[at]).startswith("M"):
            at -= 1
        return text[max(at, 0) :]

    def texts(self, start: IntArray, stop: IntArray) -> list[list[str]]:
        """Token texts of many windows ``[start, stop)``, none of them empty, at once."""
        first = self.begins(start)
        out = []
        for low, begin, high in zip(start.tolist(), first.tolist(), stop.tolist(), strict=True):
            ends = self.ends[low:high].tolist()
            raw = self.text[begin : ends[-1]].tobytes()
            cuts = itertools.pairwise([0, *(end - begin for end in ends)])
            if raw.isascii():  # then bytes are characters, and one decode does
                text = raw.decode("ascii")
                out.append([text[a:b] for a, b in cuts])
            else:
                out.append([raw[a:b].decode("utf-8") for a, b in cuts])
        return out


def map_array(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    size = path.stat().st_size
    if size % np.dtype(dtype).itemsize:
        raise ValueError(f"{path.name} is cut short")
    if not size:
        return np.zeros(0, dtype=dtype)
    mapped = np.memmap(path, dtype=np.dtype(dtype).newbyteorder("<"), mode="r")
    # A plain array over the same mapping: slicing a memmap costs several times as much.
    return mapped.view(np.ndarray)
