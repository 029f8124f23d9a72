"""What a dataset's row is, once it is ready to be tokenised."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """One document: its text, or the token ids it already is.

    ``kept`` are the character ranges ``[start, stop)`` of the text that count for examples and
    statistics, ascending; None: all of it. The model reads the whole text either way.
    """

    text: str = ""
    ids: tuple[int, ...] | None = None
    kept: tuple[tuple[int, int], ...] | None = None
