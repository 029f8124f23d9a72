"""A label history moved from one database to another, say from a file to PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from autointerp_core.errors import LabelStoreError
from autointerp_core.store.history import LabelHistory


def copy_history(source: str, target: str, backup: Path | None = None) -> int:
    """Add every event of ``source`` to ``target``, each once; returns how many were added.

    An empty target gets the same ids, so that whatever names an event by its id still finds it.
    In one with events of its own they come after these; what it has already is left out, so that
    copying again adds only what is new.

    Args:
        source: URL of a label database, or the path of an SQLite file.
        target: likewise; made where it is not there.
        backup: of the target; by default where that database has it.

    Raises:
        LabelStoreError: the two are one, the source is not there, or one of them fails.
        MissingDependency: a database's driver is not installed.
    """
    if "://" not in source and not Path(source).expanduser().exists():
        raise LabelStoreError(f"there is no label database {source}")
    with LabelHistory.open(source) as there, LabelHistory.open(target, backup) as here:
        if there.place == here.place:
            raise LabelStoreError(f"both are {here.place}; give another database to copy to")
        if here.is_empty:
            return here.take_over(there)
        return sum(here.adopt(sae, list(there.all_events(sae))) for sae in there.saes())
