"""How long-running work reports what it does, and learns that it should stop.

One callable is passed down from whoever started the work (command line, job
worker, test); the work calls it between units. Stopping is cooperative: the
callable raises :class:`~autointerp_core.errors.Cancelled`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report. ``done`` of ``total`` are in ``unit``s; ``total`` 0 means unknown."""

    stage: str
    done: int = 0
    total: int = 0
    unit: str = ""
    rate: float | None = None
    """Units per second over the run so far."""
    seconds_left: float | None = None
    message: str = ""


ProgressCallback = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Report nothing."""
