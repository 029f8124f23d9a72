"""Reading JSON lines that may be packed, naming file and line of whatever is wrong with them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from autointerp_core.errors import BadInput

_GZIP = b"\x1f\x8b"


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a ``.jsonl`` file, packed or not, each with the number of its line.

    Raises:
        BadInput: the file cannot be read, is cut off, or a line is no JSON object.
    """
    number = 0
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if packed else raw as handle:
                for number, line in enumerate(handle, 1):
                    if line.strip():
                        yield number, _object(line, path, number)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(
            f"{path} is a damaged or truncated gzip file after line {number:,} ({error}); download "
            "or write it again"
        ) from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except ValueError as error:
        raise BadInput(f"{path}, line {number:,}, is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path}, line {number:,}, holds no object")
    return found


def json_file(path: Path) -> Any:
    """A whole JSON file.

    Raises:
        BadInput: it cannot be read, or is no JSON.
    """
    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}") from error


def check_width(feature: int, d_sae: int, where: str) -> None:
    """Refuse a feature that this SAE cannot have.

    Raises:
        BadInput: it is not below the SAE's width.
    """
    if not 0 <= feature < d_sae:
        raise BadInput(
            f"{where} is about feature {feature:,}; this study's SAE has {d_sae:,} features (0 to "
            f"{d_sae - 1:,}): the file is about another SAE"
        )
