"""``python -m benchmarks.exchange``: exports of 16,384 features.

Every format writes a synthetic study of 16,384 features × 20 examples in a process of its own: how
long, how much memory against a quarter of the features, and, after a SIGKILL in the middle and the
same command again, whether the folder is the same to the byte.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from autointerp_core.exchange.run_names import MANIFEST
from autointerp_core.store.history import LabelHistory, NewEvent
from benchmarks.report import Row, publish
from benchmarks.synthetic import write_study

FEATURES = 16_384
FORMATS = ("neuronpedia", "neuronpedia-upload", "delphi", "circuit-tracer", "dataset")
SAE = "synthetic-sae"
MEMORY_GROWTH = 1.15
"""Peak memory of all features against a quarter of them: the tables of statistics and the list of
files grow, examples and labels do not."""
_RUN = """
import resource, sys
from autointerp_core.cli import main
status = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


def main() -> int:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        os.environ["AUTOINTERP_HOME"] = str(home)
        os.environ.pop("AUTOINTERP_DB", None)
        _study(home, "all", FEATURES)
        _study(home, "quarter", FEATURES // 4)
        for name in FORMATS:
            rows += _measured(name, home)
    return publish("exchange", rows)


def _study(home: Path, name: str, features: int) -> None:
    write_study(home / "studies" / name, features, 20, fingerprint=f"{SAE}-{name}")
    with LabelHistory.open() as history:
        history.record_many(
            NewEvent(f"{SAE}-{name}", f, "generated", f"label of {f}", source="llm:x/tiny",
                     method="peaks", study=name)
            for f in range(features)
        )  # fmt: skip


def _command(name: str, study: str, out: Path) -> list[str]:
    return [sys.executable, "-c", _RUN, "export", "--study", study, "--format", name,
            "--output-dir", str(out)]  # fmt: skip


def _measured(name: str, home: Path) -> list[Row]:
    peaks, seconds = {}, 0.0
    for study in ("quarter", "all"):
        started = time.perf_counter()
        done = subprocess.run(
            _command(name, study, home / "out" / name / study),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        peaks[study] = int(done.stderr.rsplit("peak ", 1)[1]) / 1024
    cut = home / "out" / name / "cut"
    process = subprocess.Popen(_command(name, "all", cut), stderr=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    while not (cut / MANIFEST).exists() and process.poll() is None:
        time.sleep(0.005)
    time.sleep(0.3)
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(_command(name, "all", cut), capture_output=True, check=True)
    same = _digest(cut) == _digest(home / "out" / name / "all")
    size = sum(p.stat().st_size for p in (home / "out" / name / "all").rglob("*") if p.is_file())
    return [
        Row(f"seconds_{name}", seconds, note=f"{FEATURES:,} features, {size / 1e6:,.0f} MB"),
        Row(f"memory_mb_{name}", peaks["all"], note=f"{peaks['quarter']:,.0f} MB for a quarter"),
        Row(f"memory_growth_{name}", peaks["all"] / peaks["quarter"], MEMORY_GROWTH),
        Row(f"same_after_kill_{name}", float(same and killed), 1.0, ">="),
    ]


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(".autointerp-") and path.suffix != ".tmp":
            found.update(str(path.relative_to(folder)).encode() + b"\0")
            found.update(path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
