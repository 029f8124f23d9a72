"""The label history's second copy: a JSON line an event, beside the database.

Order of writing: the database commits first, then the backup is brought up to
date *from the database*, up to its last event. So a writer killed in between
leaves a backup that trails, never one that knows more; and whoever opens the
database or writes next, in any process, adds what is missing. A line cut off by
the kill is removed then, as the database still has its event.

Each line names the database it belongs to (``store``, drawn at creation), so that
a database made anew beside an old backup appends to it and spoils nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from filelock import FileLock, Timeout

from autointerp_core.errors import DiskFull, LabelStoreError
from autointerp_core.store.text_cleaning import safe_json

BACKUP_NAME = "labels-backup.jsonl"
_BLOCK = 1 << 16


class Backup:
    """One backup file and the lock that serialises its writers."""

    def __init__(self, path: Path, timeout: float = 30.0) -> None:
        self.path = path
        self._timeout = timeout
        self._lock_path = path.with_name(path.name + ".lock")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the writers' lock (threads and processes of this machine).

        The lock has a file of its own: the backup itself may be renamed.

        Raises:
            LabelStoreError: the folder is not writable, or another process holds the lock
                beyond the timeout.
        """
        # An object a hold: threads of one process queue as processes do.
        held = FileLock(self._lock_path, self._timeout, poll_interval=0.002)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            held.acquire()
        except Timeout as error:
            raise LabelStoreError(
                f"another process has kept {self._lock_path} locked for "
                f"{self._timeout:g} s; nothing was saved, try again"
            ) from error
        except OSError as error:
            raise self._failed(error, "nothing was saved") from error
        try:
            yield
        finally:
            held.release()

    def check_writable(self) -> None:
        """Fail before an event is recorded rather than after.

        Raises:
            LabelStoreError: the backup cannot be written.
        """
        try:
            with open(self.path, "ab"):
                return
        except OSError as error:
            raise self._failed(error, "nothing was saved") from error

    def last_id(self, store: str) -> int:
        """The last event of database ``store`` that has a complete line (0: none)."""
        if not self.path.exists():
            return 0
        mark = _mark(store)
        with open(self.path, "rb") as handle:
            for line in _lines_backwards(handle):
                if line.startswith(mark):
                    return int(orjson.loads(line)["id"])
        return 0

    def append(self, store: str, events: Iterable[Mapping[str, Any]]) -> None:
        """Append complete lines, durable when this returns. The caller holds the lock.

        Raises:
            LabelStoreError: the file cannot be written (the database has the events already;
                the next write or opening adds them here).
            DiskFull: likewise.
        """
        try:
            is_new = not self.path.exists() or self.path.stat().st_size == 0
            with open(self.path, "w+b" if is_new else "r+b") as handle:
                _cut_torn_line(handle)
                handle.writelines(safe_json({"store": store, **event}) + b"\n" for event in events)
                handle.flush()
                os.fsync(handle.fileno())
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise self._failed(error, "the database has it, the next save repeats it") from error

    def read(self) -> list[dict[str, Any]]:
        """Every event; a last line that was cut off is left out.

        Raises:
            LabelStoreError: no such file, or a damaged line before the last.
        """
        try:
            lines = self.path.read_bytes().split(b"\n")
        except OSError as error:
            raise LabelStoreError(
                f"cannot read the label backup {self.path}: {error.strerror}"
            ) from error
        found: list[dict[str, Any]] = []
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                found.append(_parsed(line))
            except (ValueError, KeyError) as error:
                if number == len(lines):  # no newline after it: cut off while being written
                    break
                raise LabelStoreError(
                    f"line {number} of the label backup {self.path} is damaged; "
                    "repair or remove that line, then try again"
                ) from error
        return found

    def set_aside(self, suffix: str) -> Path:
        """Rename the backup, so that a fresh one begins. The caller holds the lock."""
        target = self.path.with_name(f"{self.path.stem}.{suffix}{self.path.suffix}")
        os.replace(self.path, target)
        return target

    def _failed(self, error: OSError, consequence: str) -> LabelStoreError | DiskFull:
        text = f"the label backup {self.path} cannot be written: {error.strerror}; {consequence}"
        return DiskFull(text) if error.errno == 28 else LabelStoreError(text)


def _parsed(line: bytes) -> dict[str, Any]:
    event = orjson.loads(line)
    if not isinstance(event, dict) or not isinstance(event["id"], int) or not event["store"]:
        raise ValueError("no event")
    return event


def _mark(store: str) -> bytes:
    return b'{"store":"' + store.encode() + b'"'


def _cut_torn_line(handle: BinaryIO) -> None:
    """Leave ``handle`` at the end of the last complete line, and the file ending there."""
    end = handle.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK)
        handle.seek(start)
        at = handle.read(end - start).rfind(b"\n")
        if at >= 0:
            end = start + at + 1
            break
        end = start
    handle.truncate(end)
    handle.seek(end)


def _lines_backwards(handle: BinaryIO) -> Iterator[bytes]:
    """Complete lines, last first, without reading the whole file."""
    at = handle.seek(0, os.SEEK_END)
    rest = b""
    torn = True  # what follows the last newline
    while at > 0:
        start = max(0, at - _BLOCK)
        handle.seek(start)
        lines = (handle.read(at - start) + rest).split(b"\n")
        at, rest = start, lines[0]
        for line in reversed(lines[1:]):
            if torn:
                torn = False
            else:
                yield line
    if not torn:
        yield rest


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
