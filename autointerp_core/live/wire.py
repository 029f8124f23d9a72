"""How the app and the process that holds the live model speak: JSON over the loopback.

A worker leaves a *place* in the home folder: where it listens, and a random key that only who may
read the file knows. Both sides prove that they know it (HMAC) before anything is read; what is
read is JSON, never a pickle.

A question is one message, ``{"ask", "params"}``. Answers are any number of
``{"progress": {"stage", "message", "done", "total"}}``, then ``{"result": …}`` or
``{"error": {"kind", "message"}}``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson

from autointerp_core import errors
from autointerp_core.errors import AutointerpError, LiveError
from autointerp_core.home import CODE_ROOT, home, studies_dir
from autointerp_core.store.files import atomic_file
from autointerp_core.store.text_cleaning import safe_json

HOST = "127.0.0.1"
LARGEST = 256 << 20
"""Bytes of a message at most."""


@dataclass(frozen=True)
class Place:
    """Where a worker listens, and what it was started with."""

    pid: int
    port: int
    key: str
    """Random; whoever connects must know it."""
    code: str
    """The code it runs: see :func:`code_stamp`."""
    batch_tokens: int | None
    """Tokens a forward batch, where that was lowered; None: as the device takes."""


def places_dir() -> Path:
    """The folder of places (not created here)."""
    return home() / "live"


def place_file(study_folder: Path) -> Path:
    """Where the worker of a study leaves its place."""
    folder = study_folder.resolve()
    inside = folder.parent == studies_dir().resolve()
    mark = "" if inside else "-" + hashlib.sha256(str(folder).encode()).hexdigest()[:10]
    return places_dir() / f"{folder.name[:150]}{mark}.json"


def read_place(path: Path) -> Place | None:
    """The place in a file; None where there is none, or a damaged one."""
    try:
        return Place(**orjson.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def write_place(path: Path, place: Place) -> None:
    """Leave a place that nobody but this user can read.

    Raises:
        OutputError, DiskFull: it cannot be written.
    """
    with atomic_file(path) as handle:
        os.fchmod(handle.fileno(), 0o600)
        handle.write(orjson.dumps(asdict(place)))


@cache
def code_stamp() -> str:
    """Changes when this package's code does, so that no worker outlives an update."""
    seen = sorted(
        f"{path}:{found.st_size}:{found.st_mtime_ns}"
        for path in (CODE_ROOT / "autointerp_core").rglob("*.py")
        if (found := path.stat())
    )
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()[:16]


def send(connection: Connection, message: Mapping[str, Any]) -> None:
    """Send one message."""
    connection.send_bytes(safe_json(dict(message)))


def receive(connection: Connection) -> dict[str, Any]:
    """Receive one message.

    Raises:
        EOFError, OSError: the other side is gone.
        LiveError: it is no message of ours.
    """
    try:
        found = orjson.loads(connection.recv_bytes(LARGEST))
    except ValueError as error:
        raise LiveError("the live model's process sent what is no message") from error
    if not isinstance(found, dict):
        raise LiveError("the live model's process sent what is no message")
    return found


def as_message(error: Exception) -> dict[str, str]:
    """An error as it goes over the wire."""
    ours = isinstance(error, AutointerpError)
    kind = type(error).__name__ if ours else "AutointerpError"
    return {"kind": kind, "message": str(error) if ours else f"{type(error).__name__}: {error}"}


def as_error(message: Mapping[str, str]) -> AutointerpError:
    """The error that :func:`as_message` told, as one of this package's tree."""
    kind = getattr(errors, message.get("kind", ""), AutointerpError)
    known = isinstance(kind, type) and issubclass(kind, AutointerpError)
    # What a KnobError takes is no message; its base says the same.
    if not known or kind is errors.KnobError:
        kind = errors.ParameterError if kind is errors.KnobError else AutointerpError
    found: AutointerpError = kind(message.get("message", "the live model failed"))
    return found
