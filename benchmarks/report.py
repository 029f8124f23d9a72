"""What every ``make`` measurement prints and writes: one table, one JSON, one exit status."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

OUT = Path(__file__).parent / "out"


@dataclass(frozen=True)
class Row:
    """One measured figure. ``limit`` None: reported, not judged."""

    name: str
    value: float
    limit: float | None = None
    op: str = "<="
    n_tokens: int | None = None
    repeats: int = 1
    note: str = ""

    @property
    def ok(self) -> bool:
        if self.limit is None:
            return True
        return self.value <= self.limit if self.op == "<=" else self.value >= self.limit


def machine() -> dict[str, Any]:
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": model,
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def publish(name: str, rows: Sequence[Row]) -> int:
    """Print the table, write ``benchmarks/out/<name>.json``, return the exit status."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        judged = "" if row.limit is None else f"{row.op} {row.limit:g}"
        verdict = "" if row.limit is None else ("ok" if row.ok else "NOT REACHED")
        size = f"{row.n_tokens:,} tokens" if row.n_tokens else ""
        value = f"{row.value:.3f}" if row.value >= 0.01 or row.value == 0 else f"{row.value:.1e}"
        figure = f"{row.name:<{width}}  {value:>10}  {judged:<9} {verdict:<12}"
        print(f"{figure} {size:>15}  {row.note}".rstrip())
    OUT.mkdir(exist_ok=True)
    content = {"machine": machine(), "rows": [asdict(row) | {"ok": row.ok} for row in rows]}
    (OUT / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    return 0 if all(row.ok for row in rows) else 1
