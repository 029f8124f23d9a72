"""Writing files so that a reader, or a kill, never sees half of one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

from autointerp_core.errors import DiskFull, OutputError

# The umask can only be read by setting it; once, here, before any thread exists.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` and rename it over ``path`` on success.

    Raises:
        DiskFull: no space is left.
        OutputError: the folder cannot be written.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False
        ) as handle:
            temporary = handle.name
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(temporary, 0o666 & ~_UMASK)
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
    """Refuse an output folder that cannot be made, before hours of work, creating nothing."""
    existing = folder.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        raise OutputError(f"output folder {folder}: {existing} is not a folder; give another")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(
            f"output folder {folder}: {existing} is not writable; give a folder you may write to"
        )


def write_bytes(path: Path, data: bytes) -> None:
    with atomic_file(path) as handle:
        handle.write(data)


def write_json(path: Path, value: Any) -> None:
    """Valid UTF-8 JSON, indented; NaN becomes null (orjson's rule), keys in given order."""
    write_bytes(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _discard(temporary: str) -> None:
    if temporary:
        Path(temporary).unlink(missing_ok=True)


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
