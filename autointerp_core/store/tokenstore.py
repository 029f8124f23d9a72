"""The tokens and texts of a study: ids, byte-exact token texts, sequences, documents."""

from __future__ import annotations

import itertools
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPECIAL, CONTINUES = 1, 2
"""Bits of a token's flags: a special token; goes on with the character before it."""

IntArray = NDArray[np.int64]


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

    def document_text(self, document: int) -> str:
        start, stop = self.documents[document], self.documents[document + 1]
        return self.text[start:stop].tobytes().decode("utf-8")

    def document_sequences(self, document: int) -> range:
        """Sequences cut from one document, in order."""
        first = int(np.searchsorted(self.owners, document, "left"))
        return range(first, int(np.searchsorted(self.owners, document, "right")))

    def sequence_of(self, token: IntArray) -> IntArray:
        """Sequence that holds each token index. Empty sequences hold none."""
        return np.searchsorted(self.sequences, token, "right") - 1

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

    def texts(self, start: IntArray, stop: IntArray) -> list[list[str]]:
        """Token texts of many windows ``[start, stop)``, none of them empty, at once."""
        sequence = self.sequence_of(start)
        # The text of a sequence's first token does not start where the token before it ends.
        opens = start == self.sequences[sequence]
        first = np.where(opens, self.starts[sequence], self.ends[np.maximum(start - 1, 0)])
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
