"""What an SAE, a model or a dataset is, before anything is run; asked of another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import streamlit as st

from autointerp_core.errors import BadInput
from autointerp_core.extraction.machine_speed import REFERENCE, MachineSpeed, known
from autointerp_core.store.text_cleaning import one_line

_SECONDS = 90
ROWS = 40
"""So many rows of a dataset are looked at; fewer records mean that it has no more."""
_ROOT = Path(__file__).resolve().parents[2]
_PATH = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
"""Where the other process finds ``ui``; it runs in the same folder as the app, so that relative
paths mean the same there."""


def sae(path: str, sae_id: str, model: str) -> dict[str, Any]:
    """An SAE's config, checked against ``model`` where one is given.

    Raises:
        BadInput: not found, not supported, or it does not fit the model.
    """
    return _ask(json.dumps({"what": "sae", "path": path, "id": sae_id, "model": model}))


def dataset(path: str) -> dict[str, Any]:
    """A dataset's ``columns``; by column the first ``records`` or what is ``wrong`` with it; and
    the ``likeliest`` to hold text.

    Raises:
        BadInput: not found or malformed.
    """
    return _ask(json.dumps({"what": "dataset", "path": path, "rows": ROWS}))


def engine(params: dict[str, Any]) -> None:
    """See that an engine can run here, and that a Ray cluster elsewhere answers.

    Args:
        params: ``engine``, ``workers``, ``ray_address`` and ``keep``, as of ``run_labeling``.

    Raises:
        BadInput: it cannot; with the command that installs what is missing.
    """
    _ask(json.dumps({"what": "engine", "params": params}))


def speed() -> MachineSpeed:
    """How fast this machine is: measured once, kept in the home folder."""
    found = known()
    if found is not None:
        return found
    try:
        return MachineSpeed(**_ask(json.dumps({"what": "speed"})))
    except BadInput:
        return REFERENCE  # an estimate all the same


def _ask(request: str) -> dict[str, Any]:
    answer = _answer(request)
    if "error" in answer:
        raise BadInput(str(answer["error"]))
    found: dict[str, Any] = answer["found"]
    return found


@st.cache_data(ttl=300, max_entries=64, show_spinner="Looking …")
def _answer(request: str) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ui.studies.probe_worker", request],
            env={**os.environ, "PYTHONPATH": _PATH},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {_SECONDS} s; is the network there?"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        return {"error": f"looking failed: {one_line(last)}"}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer
