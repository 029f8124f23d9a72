"""Processes of this package's own that share some work: a module each, started with ``-m``.

Plain processes, not a pool of :mod:`multiprocessing`: nothing of the program that asked is run
again in them, whatever that program is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from autointerp_core.errors import AutointerpError

_MOST = 16


def cores() -> int:
    """How many processes are worth starting here."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return min(found, _MOST)


@contextmanager
def children(
    module: str, job: Path, count: int, *, asking: bool = False
) -> Iterator[Sequence[subprocess.Popen[str]]]:
    """``count`` processes that get ``job``, their number and ``count``; ended however this ends.

    Their standard output is theirs to write lines to, and where they are ``asking``, their
    standard input is for the answers. What they print on standard error is told where they fail.
    """
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    # One thread each: they are as many as there are cores.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module, str(job), str(number), str(count)],
            env={**os.environ, **threads, "PYTHONPATH": path},
            stdin=subprocess.PIPE if asking else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    try:
        yield started
    finally:
        for child in started:
            if child.poll() is None:
                child.kill()
            child.communicate()


def check_ended(child: subprocess.Popen[str], doing: str) -> None:
    """Wait for a process that said all it has to say.

    Raises:
        AutointerpError: it failed.
    """
    _, told = child.communicate()
    if child.returncode:
        ended = f"it was killed (signal {-child.returncode}); what was recorded stays, run it again"
        status = ended if child.returncode < 0 else f"status {child.returncode}"
        said = told.strip().splitlines()[-1:] or [status]
        raise AutointerpError(f"{doing} failed in a process of its own: {said[0]}")
