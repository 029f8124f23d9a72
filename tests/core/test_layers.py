"""The order of layers, and the absence of circles, as pyproject.toml states them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_module_imports_one_that_stands_above_it() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_architecture_page_names_every_package() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    roots = [ROOT / "autointerp_core", ROOT / "ui"]
    packages = [p.parent for root in roots for p in root.rglob("__init__.py")]
    names = [str(package.relative_to(ROOT)) for package in packages]
    assert [name for name in names if f"`{name}`" not in page] == []
