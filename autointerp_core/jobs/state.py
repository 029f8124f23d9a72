"""A job's folder: what is read from it and written to it."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import orjson

from autointerp_core.errors import JobError
from autointerp_core.store.files import write_bytes
from autointerp_core.store.text_cleaning import safe_json

Status: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
ACTIVE: frozenset[Status] = frozenset({"queued", "running"})

REQUEST = "request.json"
STATE = "state.json"
LOG = "log.txt"
CANCEL = "cancel"
ALIVE = "alive"
_TAIL_BYTES = 1 << 16
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]")


@dataclass(frozen=True)
class JobState:
    """One job as it stood when it was read."""

    id: str
    kind: str
    title: str
    folder: Path
    status: Status = "queued"
    stage: str = ""
    done: int = 0
    total: int = 0
    """0: unknown."""
    unit: str = ""
    rate: float | None = None
    seconds_left: float | None = None
    message: str = ""
    created: str = ""
    """Times are UTC, ISO 8601."""
    started: str | None = None
    finished: str | None = None
    error: str | None = None
    """One line, where it failed or was interrupted."""
    result: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 1

    @property
    def active(self) -> bool:
        """Queued or running."""
        return self.status in ACTIVE

    def log_tail(self, n: int = 20) -> list[str]:
        """The last ``n`` lines the worker printed, progress bars reduced to their last state."""
        try:
            with open(self.folder / LOG, "rb") as handle:
                handle.seek(max(0, os.fstat(handle.fileno()).st_size - _TAIL_BYTES))
                text = handle.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
        return [_ANSI.sub("", line) for line in lines if line.strip()][-n:] if n > 0 else []


Job = JobState
"""What :func:`~autointerp_core.jobs.submit` hands out."""


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write(folder: Path, name: str, value: Mapping[str, Any]) -> None:
    """Replace one of the folder's JSON files.

    Raises:
        DiskFull: no space is left.
        OutputError: the folder cannot be written.
    """
    write_bytes(folder / name, safe_json(dict(value)))


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """One of the folder's JSON files.

    Raises:
        JobError: absent or damaged.
    """
    try:
        value = orjson.loads((folder / name).read_bytes())
    except (OSError, ValueError) as error:
        raise JobError(f"the job folder {folder} is damaged: {name} cannot be read") from error
    if not isinstance(value, dict):
        raise JobError(f"the job folder {folder} is damaged: {name} holds no object")
    return value


def load(folder: Path) -> JobState:
    """The job in ``folder``, ``interrupted`` where its worker died without a word.

    Raises:
        JobError: the folder is damaged.
    """
    request = read_json(folder, REQUEST)
    values = read_json(folder, STATE)
    while values.get("status") in ACTIVE and not is_alive(folder):
        # The worker may have finished, or a retry begun, between the two looks.
        again = read_json(folder, STATE)
        if again == values:
            values = {
                **values,
                "status": "interrupted",
                "seconds_left": None,
                "error": "the worker process ended without a word (killed, or the machine "
                "was restarted); retry resumes from what it had finished",
            }
            break
        values = again
    known = {f.name for f in fields(JobState)} - {"id", "kind", "title", "folder", "params"}
    return JobState(
        id=folder.name,
        kind=str(request.get("kind", "")),
        title=str(request.get("title", "")),
        folder=folder,
        params=request.get("params", {}),
        **{name: value for name, value in values.items() if name in known},
    )


def open_alive(folder: Path) -> int:
    return os.open(folder / ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def try_lock(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_alive(folder: Path) -> bool:
    """Whether a worker holds the folder (the lock goes with the process, whatever ends it)."""
    try:
        descriptor = os.open(folder / ALIVE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)
