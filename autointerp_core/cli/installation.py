"""Commands about the installation: the app, the demo, and whether everything works."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from autointerp_core.cli.terminal import TERMINAL
from autointerp_core.errors import MissingDependency
from autointerp_core.home import CODE_ROOT, IS_CHECKOUT
from autointerp_core.progress import Progress


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    commands.command(context_settings={"ignore_unknown_options": True})(app)
    commands.command()(demo)
    commands.command()(doctor)


def app(
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 8501,
    streamlit_options: Annotated[
        list[str] | None, typer.Argument(help="Further options of `streamlit run`.")
    ] = None,
) -> None:
    """Serve the app on this machine."""
    command = [sys.executable, "-m", "streamlit", "run", str(app_script())]
    done = subprocess.run(
        [*command, "--server.port", str(port), *(streamlit_options or [])], check=False
    )
    raise typer.Exit(done.returncode)


def app_script() -> Path:
    """``app.py`` of the checkout, or of the installed package.

    Raises:
        MissingDependency: Streamlit, or the app itself, is not installed.
    """
    if find_spec("streamlit") is None:
        raise MissingDependency("the app needs Streamlit; run: pip install streamlit")
    if IS_CHECKOUT:
        return CODE_ROOT / "app.py"
    script = CODE_ROOT / "autointerp_app" / "app.py"
    if not script.is_file():
        raise MissingDependency(
            f"the app is not beside the package in {CODE_ROOT}; install it again: "
            "pip install --force-reinstall --no-deps autointerp-explorer"
        )
    return script


def demo(
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Do nothing where the demo study exists.")
    ] = False,
) -> None:
    """Build the demo study (bundled model, SAE and text)."""
    from autointerp_core.pipeline import build_demo, built_demo

    if if_missing and (study := built_demo()):
        print(f"demo study {study} is there")
        return
    result = build_demo(TERMINAL.report)
    TERMINAL.report(Progress("done"))
    print(result["study_path"])


def doctor() -> None:
    """Say whether this installation works: packages, device, hub, home folder."""
    from autointerp_core.doctor import run_checks

    failed = 0
    for check in run_checks():
        print(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}", flush=True)
        failed += not check.ok
    if failed:
        raise typer.Exit(1)
