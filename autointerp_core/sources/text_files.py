"""Local files of texts, read row by row: JSON lines, JSON lists, CSV, Parquet, plain text.

Nothing here holds more than a few rows (or one Parquet batch) at a time, whatever the file's size.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from autointerp_core.errors import DatasetSourceError
from autointerp_core.sources.hub import one_line

Row = dict[str, Any]

TEXT_COLUMN = "text"
"""The one column of a plain text file."""

_CHUNK = 1 << 16
_BATCH_ROWS = 256
# csv's own limit is 131,072 characters a field, shorter than many a document.
_CSV_FIELD_LIMIT = 2**31 - 1
# An error nearer to the end than this may only mean that the buffer ends there.
_MARGIN = 32


def read_rows(path: Path, column: str | None = None) -> Iterator[Row]:
    """The rows of a file, in order; only ``column`` of them where the format allows that.

    Raises:
        DatasetSourceError: unknown suffix, unreadable, or malformed (with the line number).
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DatasetSourceError(
            f"cannot read {path.name}: unsupported suffix {path.suffix or '(none)'!r}; "
            f"supported are {', '.join(READERS)} (a document a line in .txt), and folders written "
            "by save_to_disk"
        )
    try:
        yield from reader(path, column)
    except UnicodeDecodeError as error:
        raise DatasetSourceError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); convert it first"
        ) from error
    except OSError as error:
        raise DatasetSourceError(f"cannot read {path}: {error.strerror or error}") from error


def _open_text(path: Path, newline: str | None = None) -> TextIO:
    # utf-8-sig drops a BOM; surrogates, which are no UTF-8, are let through and replaced later.
    return path.open(encoding="utf-8-sig", errors="surrogatepass", newline=newline)


def _txt(path: Path, _: str | None) -> Iterator[Row]:
    with _open_text(path) as handle:
        for line in handle:
            yield {TEXT_COLUMN: line.rstrip("\n")}


def _jsonl(path: Path, _: str | None) -> Iterator[Row]:
    with _open_text(path) as handle:
        for number, line in enumerate(handle, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DatasetSourceError(
                    f"{path} line {number} is not valid JSON: {one_line(error)}; "
                    "expected one object a line"
                ) from error
            yield _object(row, f"{path} line {number}")


def _json(path: Path, column: str | None) -> Iterator[Row]:
    with _open_text(path) as handle:
        while (first := handle.read(1)).isspace():
            pass
        if first == "[":
            yield from _json_list(handle, path)
            return
    yield from _jsonl(path, column)


def _json_list(handle: TextIO, path: Path) -> Iterator[Row]:
    """The objects of a JSON list whose ``[`` was read, decoded one at a time."""
    decoder = json.JSONDecoder()
    buffer, at, line = "", 0, 1
    while True:
        while at < len(buffer) and buffer[at] in " \t\r\n,":
            at += 1
        if buffer.startswith("]", at):
            return
        try:
            row, end = decoder.raw_decode(buffer, at)
        except (json.JSONDecodeError, RecursionError) as error:
            cut_off = not isinstance(error, json.JSONDecodeError) or (
                error.pos < len(buffer) - _MARGIN and not error.msg.startswith("Unterminated")
            )
            # Doubling keeps the work linear where one object is longer than a chunk.
            more = "" if cut_off else handle.read(max(_CHUNK, len(buffer)))
            if not more:
                here = line + buffer.count("\n", 0, getattr(error, "pos", at))
                raise DatasetSourceError(
                    f"{path} is not valid JSON near line {here}: {one_line(error)}; "
                    "expected a list of objects, or one object a line"
                ) from error
            line += buffer.count("\n", 0, at)
            buffer, at = buffer[at:] + more, 0
            continue
        yield _object(row, f"{path} line {line + buffer.count(chr(10), 0, at)}")
        at = end


def _object(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise DatasetSourceError(f"{where}: expected an object, not a {type(row).__name__}")
    return row


def _csv(path: Path, _: str | None) -> Iterator[Row]:
    csv.field_size_limit(_CSV_FIELD_LIMIT)
    with _open_text(path, newline="") as handle:
        reader = csv.reader(handle)
        try:
            header = next(reader, None)
            if header is None:
                return
            for cells in reader:
                if not cells:
                    continue
                if len(cells) > len(header):
                    raise DatasetSourceError(
                        f"{path} line {reader.line_num} has {len(cells)} fields, its header "
                        f"{len(header)}: texts with commas must be quoted"
                    )
                # A short row lacks its last cells: None, like an empty cell elsewhere.
                yield {**dict.fromkeys(header), **dict(zip(header, cells, strict=False))}
        except csv.Error as error:
            raise DatasetSourceError(
                f"{path} line {reader.line_num} is not valid CSV: {one_line(error)}"
            ) from error


def _parquet(path: Path, column: str | None) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            known = column is not None and column in file.schema_arrow.names
            columns = [column] if known else None
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise DatasetSourceError(
            f"{path} is no readable Parquet file: {one_line(error)}"
        ) from error


READERS: dict[str, Callable[[Path, str | None], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".txt": _txt,
}
