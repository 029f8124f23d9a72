"""A job that only counts: shows that workers start, report, stop and resume here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from autointerp_core.errors import BadInput
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.files import write_bytes


def run_selftest_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Count to ``steps``, ``pause`` seconds apart, resuming from the file ``checkpoint``.

    ``trail`` names a file that gets a line ``name step`` for every step done;
    ``fail_at`` a step at which the work fails as ``failure`` says (``bad_input``,
    ``crash`` or ``exit``).

    Raises:
        BadInput: asked to fail that way.
        RuntimeError: asked to crash.
        SystemExit: asked to exit.
    """
    steps = int(params.get("steps", 3))
    name = str(params.get("name", "selftest"))
    checkpoint = Path(params["checkpoint"]) if params.get("checkpoint") else None
    start = int(checkpoint.read_text()) if checkpoint is not None and checkpoint.exists() else 0
    print(f"counting from {start} to {steps}")
    for step in range(start, steps):
        progress(Progress("count", done=step, total=steps, unit="steps", message=f"step {step}"))
        if step == params.get("fail_at"):
            _fail(str(params.get("failure", "bad_input")))
        time.sleep(float(params.get("pause", 0)))
        if checkpoint is not None:
            write_bytes(checkpoint, str(step + 1).encode())  # a kill must not leave half of it
        if params.get("trail"):
            with open(params["trail"], "a") as trail:
                trail.write(f"{name} {step}\n")
    progress(Progress("count", done=steps, total=steps, unit="steps"))
    return {"counted": steps - start, "resumed_from": start}


def _fail(how: str) -> None:
    if how == "bad_input":
        raise BadInput("the selftest was told\nto fail")
    if how == "exit":
        raise SystemExit(3)
    raise RuntimeError("the selftest was told to crash")
