"""What a study will roughly cost, from what is known before it runs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_CHARACTERS_A_TOKEN = 4.2
# Operations a second that extraction was seen to reach: 2 cores, and one data-centre GPU.
_CPU, _GPU = 2e11, 2e13
_BYTES_A_FIRING = 12
_L0_GUESS = 64


@dataclass(frozen=True)
class Estimate:
    """Orders of magnitude, to tell minutes from days."""

    tokens: int
    seconds: float
    memory: float
    disk: float
    on_gpu: bool

    def text(self) -> str:
        """One line of plain text."""
        place = "GPU" if self.on_gpu else "CPU"
        return (
            f"Roughly {self.tokens:,} tokens · {duration(self.seconds)} on this {place} · "
            f"{size(self.memory)} memory · {size(self.disk)} disk"
        )


def estimate(
    sae: Mapping[str, Any],
    rows: Sequence[Mapping[str, str]],
    column: str,
    n_rows: int,
    context: int,
) -> Estimate:
    """From the SAE's config and the first rows of the dataset."""
    lengths = [len(row.get(column, "")) / _CHARACTERS_A_TOKEN + 1 for row in rows] or [context]
    tokens = int(n_rows * sum(lengths) / len(lengths))
    width, layers = int(sae["d_in"]), int(sae["layer"]) + 1
    weights = 12 * width * width * layers
    encoder = 2 * width * int(sae["d_sae"])
    on_gpu = shutil.which("nvidia-smi") is not None
    seconds = tokens * 2 * (weights + encoder) / (_GPU if on_gpu else _CPU)
    firings = tokens * int(sae["k"] or _L0_GUESS)
    return Estimate(
        tokens=tokens,
        seconds=seconds + 20,
        memory=4.0 * (weights + encoder) + 1.5e9,
        disk=firings * _BYTES_A_FIRING + tokens * 20.0,
        on_gpu=on_gpu,
    )


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(n_bytes: float) -> str:
    """``120 MB``, ``3.4 GB``."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{max(n_bytes / 1e6, 1):.0f} MB"
