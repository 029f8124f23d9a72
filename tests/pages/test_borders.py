"""The app's process never imports torch or the like, whatever page it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = """
import importlib, pkgutil, sys
from streamlit.testing.v1 import AppTest
import ui
for module in pkgutil.walk_packages(ui.__path__, "ui."):
    importlib.import_module(module.name)
app = AppTest.from_file("app.py", default_timeout=60).run()
assert not app.exception, app.exception
for page in sys.argv[1:]:
    app.switch_page(page).run()
    assert not app.exception, (page, app.exception)
banned = {"torch", "transformers", "sae_lens", "transformer_lens", "datasets", "sae_dashboard"}
found = banned & set(sys.modules)
assert not found, found
"""


@pytest.mark.slow
def test_app_pages_and_ui_leave_torch_out(study: Path) -> None:
    pages = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "pages").glob("*.py"))
    assert pages
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *pages],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_page_begins_with_the_frame() -> None:
    for path in (ROOT / "pages").glob("*.py"):
        lines = path.read_text().splitlines()
        first = next(i for i, line in enumerate(lines) if line == "shell.setup()")
        assert not [line for line in lines[:first] if line.startswith("st.")], path


def test_nothing_asks_for_unsafe_html() -> None:
    for path in [*(ROOT / "ui").glob("*.py"), *(ROOT / "pages").glob("*.py"), ROOT / "app.py"]:
        text = path.read_text()
        assert "unsafe_allow" not in text, path
        assert "innerHTML" not in text, path
    for path in (ROOT / "ui").glob("*.js"):
        assert "innerHTML" not in path.read_text(), path
