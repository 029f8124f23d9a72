"""Files of texts, read row by row: JSON lines, JSON lists, CSV, Parquet, plain text.

All but Parquet may be compressed (``texts.jsonl.gz``, ``.zst``, ``.bz2``, ``.xz``). Nothing here
holds more than a few rows (or one Parquet batch) at a time, whatever the file's size.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TextIO, TypeAlias

from autointerp_core.errors import DatasetSourceError, MissingDependency
from autointerp_core.remote import RemotePath
from autointerp_core.sources.hub import one_line

Row = dict[str, Any]
AnyPath: TypeAlias = Path | RemotePath

TEXT_COLUMN = "text"
"""The one column of a plain text file."""

_CHUNK = 1 << 16
_BATCH_ROWS = 256
_PARQUET_BLOCK = 1 << 20
"""Bytes fetched at once of a Parquet file elsewhere, beyond what is asked for."""
# csv's own limit is 131,072 characters a field, shorter than many a document.
_CSV_FIELD_LIMIT = 2**31 - 1
# An error nearer to the end than this may only mean that the buffer ends there.
_MARGIN = 32


def read_rows(path: AnyPath, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """The rows of a file, in order; only some ``columns`` of them where the format allows that.

    Raises:
        DatasetSourceError: unknown suffix, unreadable, or malformed (with the line number).
        MissingDependency: ``.zst`` without the package that reads it.
    """
    name = suffix_of(path)
    reader = READERS.get(name)
    if reader is None or (reader is _parquet and path.suffix.lower() in COMPRESSIONS):
        suffix = "".join(path.suffixes[-2:]) if path.suffix in COMPRESSIONS else path.suffix
        raise DatasetSourceError(
            f"cannot read {path.name}: unsupported suffix {suffix or '(none)'!r}; "
            f"supported are {', '.join(READERS)} (a document a line in .txt), all but .parquet "
            f"also compressed ({', '.join(COMPRESSIONS)}), folders of such files, and folders "
            "written by save_to_disk"
        )
    try:
        yield from reader(path, columns)
    except UnicodeDecodeError as error:
        raise DatasetSourceError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); convert it first"
        ) from error
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if not isinstance(path, Path):
            raise  # said in the words of its storage
        reason = error.strerror or error
        if not error.errno and path.suffix.lower() in COMPRESSIONS:  # bz2 says no more than that
            raise _damaged(path, error) from error
        raise DatasetSourceError(f"cannot read {path}: {reason}") from error


def suffix_of(path: AnyPath) -> str:
    """The suffix that says how a file is read, in lower case: that before ``.gz``, if any."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _damaged(path: AnyPath, error: Exception) -> DatasetSourceError:
    return DatasetSourceError(
        f"{path} is no whole {path.suffix} file: {one_line(error)}; make or download it again"
    )


def _open_text(path: AnyPath, newline: str | None = None) -> TextIO:
    # utf-8-sig drops a BOM; surrogates, which are no UTF-8, are let through and replaced later.
    opener = COMPRESSIONS.get(path.suffix.lower())
    raw = opener(path) if opener else path.open("rb")
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogatepass", newline=newline)


def _content(path: AnyPath, block: int = _CHUNK << 7) -> Any:
    """What a decompressor reads: a local file by its name, another one opened."""
    return path if isinstance(path, Path) else path.open("rb", block)


def _gzip(path: AnyPath) -> gzip.GzipFile:
    if isinstance(path, Path):
        return gzip.GzipFile(path, "rb")
    return gzip.GzipFile(fileobj=_content(path), mode="rb")


def _bz2(path: AnyPath) -> bz2.BZ2File:
    return bz2.BZ2File(_content(path))


def _xz(path: AnyPath) -> lzma.LZMAFile:
    return lzma.LZMAFile(_content(path))


def _zst(path: AnyPath) -> IO[bytes]:
    try:
        import zstandard
    except ImportError as error:
        raise MissingDependency(
            f"{path.name} needs the package that reads .zst files: pip install zstandard"
        ) from error
    return io.BufferedReader(_Zstd(path, zstandard.ZstdDecompressor, zstandard.ZstdError))


class _Zstd(io.RawIOBase):
    """A .zst file's content. Fails, as the other formats do, where the file ends too early."""

    def __init__(self, path: AnyPath, decompressor: Callable[[], Any], error: type[Exception]):
        self._file = path.open("rb")
        self._decompressor, self._error = decompressor, error
        self._frame = decompressor().decompressobj()
        self._begun = False
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            data = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:  # several frames in one file are one text
                self._frame, self._begun = self._decompressor().decompressobj(), False
            data = data or self._file.read(_CHUNK)
            if not data:
                if self._begun:
                    raise EOFError("it ends in the middle")
                return 0
            self._begun = True
            try:
                self._ready = self._frame.decompress(data)
            except self._error as error:
                raise EOFError(str(error)) from error
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


COMPRESSIONS: dict[str, Callable[[Any], Any]] = {
    ".gz": _gzip,
    ".zst": _zst,
    ".bz2": _bz2,
    ".xz": _xz,
}
"""Openers of compressed files, by suffix."""


def _txt(path: AnyPath, _: Sequence[str] | None) -> Iterator[Row]:
    with _open_text(path) as handle:
        for line in handle:
            yield {TEXT_COLUMN: line.rstrip("\n")}


def _jsonl(path: AnyPath, _: Sequence[str] | None) -> Iterator[Row]:
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


def _json(path: AnyPath, columns: Sequence[str] | None) -> Iterator[Row]:
    with _open_text(path) as handle:
        while (first := handle.read(1)).isspace():
            pass
        if first == "[":
            yield from _json_list(handle, path)
            return
    yield from _jsonl(path, columns)


def _json_list(handle: TextIO, path: AnyPath) -> Iterator[Row]:
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


def _csv(path: AnyPath, columns: Sequence[str] | None) -> Iterator[Row]:
    csv.field_size_limit(_CSV_FIELD_LIMIT)
    with _open_text(path, newline="") as handle:
        reader = csv.reader(handle)
        try:
            header = next(reader, None)
            if header is None:
                return
            for name in columns or ():
                if header.count(name) > 1:
                    places = [str(i) for i, found in enumerate(header, 1) if found == name]
                    raise DatasetSourceError(
                        f"{path} names the column {name!r} more than once (columns "
                        f"{', '.join(places)}): rename all but the one you mean"
                    )
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


def _parquet(path: AnyPath, columns: Sequence[str] | None) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Of a file elsewhere only the columns and row groups that are used are fetched.
        with pq.ParquetFile(_content(path, _PARQUET_BLOCK)) as file:
            names = file.schema_arrow.names
            known = [name for name in columns or () if name in names] or None
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=known):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise DatasetSourceError(
            f"{path} is no readable Parquet file: {one_line(error)}"
        ) from error


READERS: dict[str, Callable[[AnyPath, Sequence[str] | None], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".txt": _txt,
}
"""Readers of files, by suffix."""

RAGGED = (".jsonl", ".json")
"""Formats whose rows need not all have the same columns."""
