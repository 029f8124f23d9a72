"""What tests of the label history share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson

from autointerp_core.home import CODE_ROOT
from autointerp_core.store.history import LabelHistory

SAE = "sha256:abc"


def proposed(history: LabelHistory, text: str = "net loss", feature: int = 3) -> int:
    return history.record(SAE, feature, "generated", text, source="llm:m", method="plain").id


def backup_lines(path: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def run(code: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=CODE_ROOT,
        capture_output=True,
        text=True,
        check=check,
    )
