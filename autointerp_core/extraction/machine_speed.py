"""How fast this machine is, measured once in a process of its own and kept in the home folder.

Two rates, because extraction is matrix products and counting for search labels is plain Python.
The app reads them; only :func:`measure` imports torch.
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from autointerp_core.home import home
from autointerp_core.store.files import write_json

FILE = "machine.json"
_SECONDS = 1.0
_LOOPS = 300_000


@dataclass(frozen=True)
class MachineSpeed:
    """Of one host; ``device`` is where extraction runs unless asked otherwise."""

    host: str
    device: str
    flops: float
    """Operations a second in float32 matrix products of the size that extraction does."""
    loop_seconds: float
    """Seconds for a fixed piece of plain Python."""


REFERENCE = MachineSpeed("", "cpu", flops=2e11, loop_seconds=0.05)
"""Two cores, for where nothing was measured yet."""


def known() -> MachineSpeed | None:
    """What was measured on this machine, None where nothing was (or another home's machine)."""
    try:
        found = MachineSpeed(**json.loads(_path().read_bytes()))
        return found if found.host == platform.node() and found.flops > 0 else None
    except (OSError, ValueError, TypeError):
        return None


def measure() -> MachineSpeed:
    """Measure, which takes about two seconds, and keep it.

    Raises:
        OutputError: the home folder cannot be written.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = torch.randn(1024, 1024, device=device), torch.randn(1024, 2048, device=device)
    float((left @ right).sum())  # the first product waits for libraries to load
    begun, products = time.perf_counter(), 0
    while time.perf_counter() - begun < _SECONDS:
        float((left @ right).sum())
        products += 1
    flops = products * 2 * 1024 * 1024 * 2048 / (time.perf_counter() - begun)
    begun = time.perf_counter()
    sum(hash(str(number)) & 1 for number in range(_LOOPS))
    found = MachineSpeed(platform.node(), device, flops, time.perf_counter() - begun)
    write_json(_path(), asdict(found))
    return found


def _path() -> Path:
    return home() / FILE
