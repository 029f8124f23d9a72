"""Writing files so that a reader, or a kill, never sees half of one."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import orjson

from autointerp_core.errors import DiskFull, OutputError

_FILE_NAME = 64
"""Bytes to leave for the name of a file in a folder, temporary names included."""


def name_beside(path: Path) -> Path:
    """A name in the folder of ``path`` that nothing has: hidden, and ending in ``.tmp``.

    What is made there by ``open`` or ``mkdir`` has the permissions of any new file, which what
    :mod:`tempfile` makes has not.
    """
    name = os.fsdecode(os.fsencode(path.name)[:100])  # a name has at most 255 bytes
    return path.with_name(f".{name}.{uuid.uuid4().hex[:12]}.tmp")


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` and rename it over ``path`` on success.

    Raises:
        DiskFull: no space is left.
        OutputError: the folder cannot be written.
    """
    temporary = name_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        _discard(temporary)
        raise _as_ours(error, path) from error
    except BaseException:
        _discard(temporary)
        raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder, met while writing ``path``, into our errors."""
    try:
        yield
    except OSError as error:
        raise _as_ours(error, path) from error


def check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be made, before hours of work, creating nothing.

    Raises:
        OutputError: a file is in its way, it may not be written, or its name is too long.
    """
    existing = folder.absolute()
    if "\0" in str(folder):
        raise OutputError(f"output folder {str(folder)!r}: a name cannot hold the character NUL")
    # lexists says no, too, of a name that is too long to exist.
    while not os.path.lexists(existing):
        existing = existing.parent
    _check_length(folder, existing)
    if not existing.is_dir():
        raise OutputError(f"output folder {folder}: {existing} is not a folder; give another")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(
            f"output folder {folder}: {existing} is not writable; give a folder you may write to"
        )


def _check_length(folder: Path, existing: Path) -> None:
    where = existing if existing.is_dir() else existing.parent
    most = os.pathconf(where, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    for part in folder.absolute().parts:
        if (size := len(os.fsencode(part))) > most:
            raise OutputError(
                f"output folder {part[:30]}…: its name has {size} bytes, this disk takes {most}; "
                "give a shorter one"
            )
    whole = os.pathconf(where, "PC_PATH_MAX") if hasattr(os, "pathconf") else 4096
    if (size := len(os.fsencode(folder.absolute())) + _FILE_NAME) > whole:
        raise OutputError(
            f"output folder {str(folder)[:30]}…: with the files in it the path would have {size} "
            f"bytes, this system takes {whole}; give a shorter one"
        )


def write_bytes(path: Path, data: bytes) -> None:
    with atomic_file(path) as handle:
        handle.write(data)


def write_json(path: Path, value: Any) -> None:
    """Valid UTF-8 JSON, indented; NaN becomes null (orjson's rule), keys in given order."""
    write_bytes(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _discard(temporary: Path) -> None:
    with suppress(OSError):  # not there, nor its folder: the error that led here is the one to tell
        temporary.unlink()


def _as_ours(error: OSError, path: Path) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"the disk is full: writing {path} failed; free some space and run again "
            "(finished shards are kept)"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return OutputError(
            f"cannot write {path}: {error.strerror}; give a folder that you may write to"
        )
    return error
