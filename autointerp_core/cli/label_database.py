"""Commands about the label database itself: ``labels copy`` and ``labels restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_URL = "URL of a label database (postgresql+psycopg://user@host/name), or path of an SQLite file."


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    labels = typer.Typer(help="Move the label history, or rebuild it from its backup.")
    labels.command()(copy)
    labels.command()(restore)
    commands.add_typer(labels, name="labels")


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help=_URL)],
    target: Annotated[str, typer.Argument(metavar="TO", help=_URL)],
) -> None:
    """Copy every label event from one database to another; a second time adds what is new."""
    from autointerp_core.store.copy_history import copy_history

    print(f"{copy_history(source, target):,} events copied")


def restore(
    database: Annotated[
        str | None, typer.Option(help=f"{_URL} By default AUTOINTERP_DB, else the home folder's.")
    ] = None,
    backup: Annotated[
        str | None, typer.Option(help="The backup file; by default the one beside the database.")
    ] = None,
) -> None:
    """Rebuild an absent or empty label database from labels-backup.jsonl."""
    from autointerp_core.store.history import LabelHistory

    given = Path(backup).expanduser() if backup else None
    print(f"{LabelHistory.restore_from_backup(database, given):,} events restored")
