"""Commands that put studies beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from autointerp_core.cli.terminal import TERMINAL
from autointerp_core.progress import Progress


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    commands.command()(compare)


def compare(
    a: Annotated[str, typer.Argument(help="A study's id or folder.")],
    b: Annotated[str, typer.Argument(help="Another study of the same SAE, or of the same model.")],
    top: Annotated[int, typer.Option(help="Features to list; 0: all.", min=0)] = 20,
    by: Annotated[
        Literal["decoder", "firings"], typer.Option(help="How features of two SAEs are matched.")
    ] = "decoder",
    form: Annotated[
        Literal["json", "table"], typer.Option("--format", help="What is printed.")
    ] = "json",
    output: Annotated[str | None, typer.Option(help="A file for the JSON, too.")] = None,
) -> None:
    """Compare two studies: densities of one SAE's features, or which feature of two SAEs is which.

    Of one SAE: how much denser each feature is in B, with an interval over documents. Of two SAEs
    at one hook point: partners by decoder direction or by firings on the same tokens.
    """
    from autointerp_core.explore.compare import report
    from autointerp_core.store.files import write_json
    from autointerp_core.store.history import LabelHistory
    from autointerp_core.store.studies import find_study
    from autointerp_core.store.study import Study

    one, two = (Study(find_study(each)) for each in (a, b))
    with LabelHistory.open() as history:
        found = report.compare(one, two, history, TERMINAL.report, top=top, by=by)
    TERMINAL.report(Progress("done"))
    if output is not None:
        write_json(Path(output), found)
    print(
        report.as_table(found)
        if form == "table"
        else json.dumps(found, indent=2, ensure_ascii=False)
    )
