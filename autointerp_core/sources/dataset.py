"""Datasets: one column of documents, streamed in order, from a file, a folder, or the hub.

A document is a text, a conversation, or the token ids it already is; which of them, the cells
say. A row without any stays as an empty one, so that the number of a row is the number of its
document. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO

from autointerp_core.errors import DatasetSourceError, ParameterError
from autointerp_core.sources.cells import TEXT, Kind, read_cell
from autointerp_core.sources.dataset_finder import Source, find
from autointerp_core.sources.paths import shortened
from autointerp_core.sources.text_files import Row

__all__ = ["Rows", "open_dataset", "preview_rows"]

TOOLS = "tools"
"""A column beside conversations that says which tools could be called."""

# Files need not name every column in every row: this many are looked at for the list of columns.
_ROWS_FOR_COLUMNS = 100
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Rows:
    """A dataset's first rows; what they are is fixed, they are not in memory."""

    name: str
    """As given."""
    column: str
    n_rows: int
    """How many rows are used: those asked for, or all there are."""
    fingerprint: str
    """``sha256:…`` over the records, each after its length in bytes."""
    _records: Callable[[], Iterator[str]] = field(repr=False, compare=False)
    kind: Kind = TEXT
    """What the column holds."""

    def iterate(self) -> Iterator[str]:
        """The rows from the first on, as often as wanted; memory does not grow with them.

        Texts as they are; conversations and token ids as JSON (see
        :func:`autointerp_core.sources.documents.documents`), an empty row as ``""``.
        """
        return self._records()


def open_dataset(dataset_path: str, column: str = "text", n_rows: int | None = None) -> Rows:
    """Find a dataset and read the rows to be used once, to check and fingerprint them.

    Args:
        dataset_path: hub id, ``save_to_disk`` folder, .jsonl, .json, .csv, .parquet or .txt file
            (a document a line; all but .parquet also compressed), folder of such files, or
            ``demo``.
        column: the column that holds the texts, conversations or token ids.
        n_rows: how many rows from the start; None for all.

    Raises:
        DatasetSourceError: not found, malformed, no such column, a cell that is none of these,
            or nothing to read at all.
        ParameterError: ``n_rows`` is below one.
    """
    if n_rows is not None and n_rows < 1:
        raise ParameterError(
            f"the number of dataset rows (--n-samples) must be at least 1, not {n_rows}"
        )
    given = str(dataset_path).strip()
    source = find(given)
    reading = _Reading(source, column, given, n_rows)
    # What comes over the network is fetched once: tokenising reads it again, from this file.
    spool = _Spool() if source.remote else None
    digest, count, anything = hashlib.sha256(), 0, False
    for record in reading.records():
        data = record.encode("utf-8")
        framed = _LENGTH.pack(len(data)) + data
        digest.update(framed)
        if spool is not None:
            spool.write(framed)
        count += 1
        anything = anything or bool(record.strip())
    if not count:
        raise DatasetSourceError(f"the dataset {given} is empty")
    if not reading.has_column:
        raise reading.no_column()
    if not anything:
        raise DatasetSourceError(
            f"column {column!r} of {given} holds no text in its first {count} rows"
        )
    again = spool.read if spool is not None else reading.records
    return Rows(given, column, count, f"sha256:{digest.hexdigest()}", again, reading.kind)


def preview_rows(dataset_path: str, n: int = 5) -> tuple[list[str], list[Row]]:
    """The columns of a dataset and its first ``n`` rows, as they are.

    Raises:
        DatasetSourceError: not found or malformed.
    """
    source = find(str(dataset_path).strip())
    rows = list(islice(source.read(None), max(n, _ROWS_FOR_COLUMNS)))
    return _columns(rows), rows[:n]


class _Reading:
    """One column's records, and what was learnt on the way: its kind, and whether it is there."""

    def __init__(self, source: Source, column: str, given: str, n_rows: int | None):
        self._source, self._column, self._given, self._n_rows = source, column, given, n_rows
        self.kind: Kind = TEXT
        self.has_column = False
        self._first_row: int | None = None

    def records(self) -> Iterator[str]:
        """A record a row.

        Raises:
            DatasetSourceError: a cell cannot be read, or there is no such column.
        """
        column, source = self._column, self._source
        for index, row in enumerate(islice(source.read((column, TOOLS)), self._n_rows)):
            if column in row:
                self.has_column = True
            elif not source.ragged:
                raise self.no_column()
            where = f"row {index} of {self._given}"
            kind, record = read_cell(row.get(column), row.get(TOOLS), where, column)
            if record and self._first_row is None:
                self.kind, self._first_row = kind, index
            elif record and kind != self.kind:
                raise DatasetSourceError(
                    f"{where} has {kind} in column {column!r}, row {self._first_row} has "
                    f"{self.kind}; expected one kind in all rows"
                )
            yield record

    def no_column(self) -> DatasetSourceError:
        """What to say where the column is not there."""
        seen = _columns(list(islice(self._source.read(None), _ROWS_FOR_COLUMNS)))
        rows = f" in the {self._n_rows} rows used" if self._source.ragged and self._n_rows else ""
        return DatasetSourceError(
            f"{self._given} has no column {self._column!r}{rows}; its columns are "
            f"{shortened(seen, 20)} (--column-name)"
        )


def _columns(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


class _Spool:
    """Length-prefixed records in a temporary file, gone with this object."""

    def __init__(self) -> None:
        self._file = _temporary_file()
        weakref.finalize(self, self._file.close)

    def write(self, record: bytes) -> None:
        self._file.write(record)

    def read(self) -> Iterator[str]:
        """All records; several readers at once do not disturb each other."""
        at = 0
        while True:
            self._file.seek(at)
            head = self._file.read(_LENGTH.size)
            if not head:
                return
            (length,) = _LENGTH.unpack(head)
            text = self._file.read(length).decode("utf-8")
            at += _LENGTH.size + length
            yield text


def _temporary_file() -> IO[bytes]:
    return tempfile.TemporaryFile()
