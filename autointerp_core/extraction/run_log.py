"""``run.json`` of a study: when, where and how long it was worked on, and what was asked for.

The only file of a study in which two runs differ. Nothing is lost with it but time.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from autointerp_core.store.files import write_json

FILE_NAME = "run.json"
_REQUESTS = 100
"""Requests known again; the oldest are forgotten."""


class RunLog(NamedTuple):
    runs: list[dict[str, Any]]
    requests: list[str]
    """Keys of requests that were carried out into this study, newest last."""


def read_run_log(study: Path) -> RunLog:
    """The log of a study's folder; empty where there is none that can be read."""
    try:
        raw = json.loads((study / FILE_NAME).read_bytes())
        return RunLog(list(raw["runs"]), [str(key) for key in raw.get("requests", [])])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return RunLog([], [])


def log_run(
    study: Path, *, started: datetime, seconds: float, computed: int, device: str, key: str | None
) -> None:
    """Note a run.

    Args:
        computed: features that needed the model.
        key: of what was asked for, by which it is known again
            (:func:`~autointerp_core.extraction.served.request_key`).

    Raises:
        DiskFull: no space is left.
        OutputError: the folder cannot be written.
    """
    runs, requests = read_run_log(study)
    runs.append(
        {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(seconds, 2),
            "features_computed": computed,
            "host": platform.node(),
            "device": device,
            "pid": os.getpid(),
        }
    )
    if key is not None:
        requests = [*(each for each in requests if each != key), key][-_REQUESTS:]
    write_json(study / FILE_NAME, {"runs": runs, "requests": requests})
