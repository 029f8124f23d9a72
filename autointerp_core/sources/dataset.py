"""Datasets: one column of texts, streamed in order, from a file, a folder, or the hub.

A row without text stays as an empty one, so that the number of a row is the number of its
document. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from autointerp_core.errors import DatasetSourceError, ParameterError
from autointerp_core.sources.hub import hub_errors, one_line
from autointerp_core.sources.paths import listing, shortened
from autointerp_core.sources.text_files import READERS, Row, read_rows

__all__ = ["Rows", "open_dataset", "preview_rows"]

DEMO = "demo"
_LOCAL_HINT = "a local file or folder"

# Files need not name every column in every row: this many are looked at for the list of columns.
_ROWS_FOR_COLUMNS = 100
_BATCH_ROWS = 256
_LENGTH = struct.Struct("<Q")

_RowReader = Callable[[str | None], Iterator[Row]]


@dataclass(frozen=True)
class Rows:
    """The texts of a dataset's first rows; what they are is fixed, they are not in memory."""

    name: str
    """As given."""
    column: str
    n_rows: int
    """How many rows are used: those asked for, or all there are."""
    fingerprint: str
    """``sha256:…`` over the texts, each after its length in bytes."""
    _texts: Callable[[], Iterator[str]] = field(repr=False, compare=False)

    def iterate(self) -> Iterator[str]:
        """The texts from the first on, as often as wanted; memory does not grow with them."""
        return self._texts()


def open_dataset(dataset_path: str, column: str = "text", n_rows: int | None = None) -> Rows:
    """Find a dataset and read the rows to be used once, to check and fingerprint them.

    Args:
        dataset_path: hub id, ``save_to_disk`` folder, .jsonl, .json, .csv, .parquet or .txt file
            (a document a line), or ``demo``.
        column: the column that holds the texts.
        n_rows: how many rows from the start; None for all.

    Raises:
        DatasetSourceError: not found, malformed, no such column, a cell that is no text, or no
            text at all.
        ParameterError: ``n_rows`` is below one.
    """
    if n_rows is not None and n_rows < 1:
        raise ParameterError(f"the number of dataset rows must be at least 1, not {n_rows}")
    given = str(dataset_path).strip()
    read, remote = _find(given)
    _check_column(read, column, given)

    def texts() -> Iterator[str]:
        rows = islice(read(column), n_rows)
        for index, row in enumerate(rows):
            yield _text(row.get(column), index, column, given)

    # What comes over the network is fetched once: tokenising reads it again, from this file.
    spool = _Spool() if remote else None
    digest, count, any_text = hashlib.sha256(), 0, False
    for text in texts():
        data = text.encode("utf-8")
        record = _LENGTH.pack(len(data)) + data
        digest.update(record)
        if spool is not None:
            spool.write(record)
        count += 1
        any_text = any_text or bool(text.strip())
    if not any_text:
        raise DatasetSourceError(
            f"column {column!r} of {given} holds no text in "
            + (f"its first {count} rows" if count else "any row: the dataset is empty")
        )
    source = spool.read if spool is not None else texts
    return Rows(given, column, count, f"sha256:{digest.hexdigest()}", source)


def preview_rows(dataset_path: str, n: int = 5) -> tuple[list[str], list[Row]]:
    """The columns of a dataset and its first ``n`` rows, as they are.

    Raises:
        DatasetSourceError: not found or malformed.
    """
    read, _ = _find(str(dataset_path).strip())
    rows = list(islice(read(None), max(n, _ROWS_FOR_COLUMNS)))
    return _columns(rows), rows[:n]


def _find(given: str) -> tuple[_RowReader, bool]:
    """A function that starts reading the dataset, and whether it reads over the network."""
    if not given:
        raise DatasetSourceError("no dataset given; expected a file, a folder, a hub id, or demo")
    if given == DEMO:
        from autointerp_core.sources.demo import demo_corpus_path

        path = demo_corpus_path()
        if not path.is_file():
            raise DatasetSourceError(f"the demo corpus is missing: no {path}; check it out again")
    else:
        path = Path(given).expanduser()
    # os.path, unlike pathlib, takes an absurd or forbidden path for an absent one.
    if os.path.isdir(path):
        return _saved(path, given), False
    if os.path.exists(path):
        return lambda column: read_rows(path, column), False
    local = path.is_absolute() or given.startswith((".", "~")) or given.count("/") > 1
    if local or path.suffix.lower() in READERS:
        raise DatasetSourceError(f"dataset {given!r} was not found: no such file or folder")
    return _on_hub(given), True


def _saved(folder: Path, given: str) -> _RowReader:
    from datasets import DatasetDict, load_from_disk

    if not any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise DatasetSourceError(
            f"{given} is no folder written by save_to_disk; it holds {listing(folder)}; "
            f"give such a folder, or one file ({', '.join(READERS)})"
        )
    try:
        loaded = load_from_disk(str(folder))
    # datasets and pyarrow fail in many ways on a folder that is not whole.
    except Exception as error:
        raise DatasetSourceError(
            f"cannot load the dataset in {given}: {type(error).__name__}: {one_line(error)}"
        ) from error
    table = _one_split(loaded, given) if isinstance(loaded, DatasetDict) else loaded
    # A format left by whoever saved it would turn cells into arrays.
    table = table.with_format(None)

    def read(column: str | None) -> Iterator[Row]:
        chosen = table.select_columns([column]) if column in table.column_names else table
        for batch in chosen.iter(batch_size=_BATCH_ROWS):
            names = list(batch)
            for cells in zip(*batch.values(), strict=True):
                yield dict(zip(names, cells, strict=True))

    return read


def _on_hub(repo: str) -> _RowReader:
    @cache
    def load() -> Any:
        from huggingface_hub import HfApi, constants

        offline = constants.HF_HUB_OFFLINE
        if not offline:
            # Asked first: datasets retries for half a minute before it says the hub is away.
            with hub_errors(DatasetSourceError, "dataset", repo, local_hint=_LOCAL_HINT):
                HfApi().dataset_info(repo)
        from datasets import load_dataset

        try:
            # Streaming needs the hub; without it a copy prepared earlier may be in the cache.
            return load_dataset(repo, streaming=not offline)
        except Exception as error:
            if offline:
                with hub_errors(DatasetSourceError, "dataset", repo, local_hint=_LOCAL_HINT):
                    HfApi().dataset_info(repo)
            raise _unreadable(repo, error) from error

    def read(column: str | None) -> Iterator[Row]:
        table = _one_split(load(), repo)
        if column is not None and column in (table.column_names or ()):
            table = table.select_columns([column])
        try:
            yield from table
        # Whatever a dropped connection or a malformed file leads to in datasets.
        except Exception as error:
            raise _unreadable(repo, error) from error

    return read


def _unreadable(repo: str, error: Exception) -> DatasetSourceError:
    return DatasetSourceError(
        f"cannot load the dataset {repo!r} from the hub: {one_line(error)}; "
        "download it, and give a file or a folder written by save_to_disk"
    )


def _one_split(splits: Any, given: str) -> Any:
    names = list(splits)
    if "train" in names:
        return splits["train"]
    if len(names) == 1:
        return splits[names[0]]
    raise DatasetSourceError(
        f"{given} has several splits and none is called train: {', '.join(names)}; "
        "save the one you mean with save_to_disk and give that folder"
    )


def _check_column(read: _RowReader, column: str, given: str) -> None:
    rows = islice(read(column), _ROWS_FOR_COLUMNS)
    first = next(rows, None)
    if first is None:
        raise DatasetSourceError(f"the dataset {given} is empty")
    # Readers that know the column give nothing else; the others give whole rows.
    if any(column in row for row in chain([first], rows)):
        return
    columns = _columns(list(islice(read(None), _ROWS_FOR_COLUMNS)))
    raise DatasetSourceError(
        f"{given} has no column {column!r}; its columns are {shortened(columns, 20)}"
    )


def _columns(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _text(cell: Any, index: int, column: str, given: str) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        raise DatasetSourceError(
            f"row {index} of {given} has a {type(cell).__name__} in column {column!r}; "
            "expected text"
        )
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        # Half a surrogate pair is no character, and tokenizers refuse it; two halves are one.
        return cell.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return cell


class _Spool:
    """Length-prefixed texts in a temporary file, gone with this object."""

    def __init__(self) -> None:
        self._file = _temporary_file()
        weakref.finalize(self, self._file.close)

    def write(self, record: bytes) -> None:
        self._file.write(record)

    def read(self) -> Iterator[str]:
        """All texts; several readers at once do not disturb each other."""
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
