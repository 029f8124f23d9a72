"""Parts of ``benchmarks.scale`` in a process of their own, with the memory they took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path


def on_a_core(name: str, *more: str) -> dict[str, float]:
    """:func:`in_process`, with one thread a process."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return in_process(name, *more, environment=one)


def in_process(
    name: str, *more: str, environment: Mapping[str, str] | None = None
) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scale", "--one", name, *more]
    env = {**os.environ, **(environment or {})}
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.PIPE, text=True, env=env
        )
        peak = 0
        watched = threading.Thread(target=process.communicate)
        watched.start()
        while watched.is_alive():
            peak = max(peak, sum(map(_anonymous, _family(process.pid))))
            watched.join(0.05)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed; run it by hand to see why")
        output.seek(0)
        result: dict[str, float] = json.loads(output.read().splitlines()[-1])
    result["peak_mb"] = peak / 1024
    print(f"  {name} {' '.join(more)}: {result}", file=sys.stderr, flush=True)
    return result


def _family(pid: int) -> Iterator[int]:
    """A process and those below it."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _anonymous(pid: int) -> int:
    """Kilobytes that a process has for itself."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
