"""The command that writes a report of a study's labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(commands: typer.Typer) -> None:
    """Add this command."""
    commands.command()(report)


def report(
    study: Annotated[str, typer.Option(help="A study's id or folder.")],
    output: Annotated[str, typer.Option(help="The HTML file to write.")] = "report.html",
) -> None:
    """Write scores, controls, judges, evidence and cost of a study's labels as one HTML file."""
    from autointerp_core.report.html_report import write_report
    from autointerp_core.report.tables import scores
    from autointerp_core.store.files import check_writable
    from autointerp_core.store.history import LabelHistory
    from autointerp_core.store.studies import find_study
    from autointerp_core.store.study import Study

    opened = Study(find_study(study))
    path = Path(output).expanduser()
    if path.is_dir():
        path = path / "report.html"
    check_writable(path.parent)
    with LabelHistory.open() as history:
        data = write_report(path, opened, history)
    for row in scores(data).rows:
        print(f"{row[0]}: {row[2]}, floor {row[3]}; {row[7]} features above the floor")
    print(path)
