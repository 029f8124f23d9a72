"""What a study will roughly cost, from what is known before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autointerp_core.extraction.machine_speed import REFERENCE, MachineSpeed

_CHARACTERS_A_TOKEN = 4.2
_BYTES_A_FIRING = 12
_L0_GUESS = 64
# Seen on the demo model with and without other work on the same two cores: of the rate of bare
# matrix products extraction reaches this share (layers, encoding, writing); a search label takes
# as long as this many of the measured pieces of Python; and starting up takes so many seconds.
_SHARE = 0.6
_LOOPS_A_SEARCH_LABEL = 0.54
_START = 20.0
_PROMPT_TOKENS, _ANSWER_TOKENS = 600, 20
_SLOWER_ANSWERING = 15.0
"""One token after the other instead of all of a prompt at once."""


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
    texts: Sequence[str],
    n_rows: int,
    context: int,
    *,
    features: int | None = None,
    llm: bool = False,
    speed: MachineSpeed = REFERENCE,
) -> Estimate:
    """From the SAE's config and the first records of the dataset.

    Args:
        sae: its ``d_in``, ``d_sae``, ``layer`` and ``k``.
        texts: records from the dataset's start.
        n_rows: how many rows are read.
        context: tokens a sequence, for a dataset of which nothing was seen.
        features: how many are labelled; None: all.
        llm: whether the model writes labels, too.
        speed: the machine's.
    """
    lengths = [len(text) / _CHARACTERS_A_TOKEN + 1 for text in texts] or [context]
    tokens = int(n_rows * sum(lengths) / len(lengths))
    width, layers = int(sae["d_in"]), int(sae["layer"] or 0) + 1
    weights = 12 * width * width * layers
    encoder = 2 * width * int(sae["d_sae"])
    labelled = int(sae["d_sae"]) if features is None else features
    rate = speed.flops * _SHARE
    seconds = _START + tokens * 2 * (weights + encoder) / rate
    seconds += labelled * _LOOPS_A_SEARCH_LABEL * speed.loop_seconds
    if llm:
        whole = weights * int(sae.get("n_layers") or 2 * layers) / layers
        asked = _PROMPT_TOKENS + _SLOWER_ANSWERING * _ANSWER_TOKENS
        seconds += labelled * asked * 2 * whole / rate
    firings = tokens * int(sae["k"] or _L0_GUESS)
    return Estimate(
        tokens=tokens,
        seconds=seconds,
        memory=4.0 * (weights + encoder) + 1.5e9,
        disk=firings * _BYTES_A_FIRING + tokens * 20.0,
        on_gpu=speed.device != "cpu",
    )


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(n_bytes: float) -> str:
    """``120 MB``, ``3.4 GB``."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{max(n_bytes / 1e6, 1):.0f} MB"
