"""Features whose top examples contain a text, found in the documents themselves.

No index is kept: the text is found in the study's documents, its places become token
numbers, and a feature matches where one of them lies in the window of a top example.
"""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.store.study import AFTER, BEFORE, Study

_MAX_HITS = 2_000_000


class TextSearch:
    """Full-text search in the top examples of one study."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._lock = threading.Lock()
        self._windows: list[tuple[NDArray[Any], ...]] | None = None

    def features(self, text: str, features: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of ``features`` have ``text`` (letters in either case) in a top example."""
        found: NDArray[np.bool_] = np.zeros(len(features), dtype=bool)
        first, last = self._places(text)
        if not len(first):
            return found
        for owner, start, stop in self._peaks():
            # The occurrence lies within [start, stop) wholly: it begins at or after start,
            # and the first such one also ends in the window.
            at = np.searchsorted(first, start)
            inside = at < len(first)
            hit = np.zeros(len(owner), dtype=bool)
            hit[inside] = last[at[inside]] < stop[inside]
            found |= np.isin(features, owner[hit])
        return found

    def _places(self, text: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """First and last token of each occurrence in the documents, ascending."""
        tokens = self._study.tokens
        spellings = {text, text.lower(), text.upper(), text.title()}
        raw = b"|".join(re.escape(spelling.encode()) for spelling in sorted(spellings))
        empty = np.zeros(0, dtype=np.int64)
        if not text or not len(tokens.text):
            return empty, empty
        starts, ends = [], []
        # IGNORECASE on bytes covers ASCII; the spellings above cover the rest in practice.
        for match in re.finditer(raw, tokens.text.data, re.IGNORECASE):
            starts.append(match.start())
            ends.append(match.end() - 1)
            if len(starts) >= _MAX_HITS:
                break
        first = np.searchsorted(tokens.ends, np.asarray(starts, dtype=np.int64), "right")
        last = np.searchsorted(tokens.ends, np.asarray(ends, dtype=np.int64), "right")
        return first, last

    def _peaks(self) -> list[tuple[NDArray[Any], ...]]:
        """Of every top example: its feature, and the bounds of its window."""
        with self._lock:
            if self._windows is None:
                self._windows = []
                for found in self._study.passes:
                    peaks = found.peaks
                    top = peaks["group"] == 0
                    owner = np.repeat(found.features, np.diff(peaks["indptr"]))[top]
                    start, stop = self._study.tokens.windows(peaks["token"][top], BEFORE, AFTER)
                    self._windows.append((owner, start, stop))
            return self._windows
