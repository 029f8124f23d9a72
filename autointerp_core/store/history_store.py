"""The label database together with its backup: opened, kept in step, and rebuilt after a loss."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.engine import URL

from autointerp_core.errors import LabelStoreError
from autointerp_core.home import home
from autointerp_core.store.backup import BACKUP_NAME, Backup
from autointerp_core.store.event_rows import backup_line, insert_rows, store_of
from autointerp_core.store.history_reader import HistoryReader, all_columns
from autointerp_core.store.merge_backups import merged_rows
from autointerp_core.store.schema import (
    SCHEMA_VERSION,
    database_url,
    events_table,
    in_our_words,
    is_prepared,
    make_engine,
    may_write,
    now,
    prepare,
    sqlite_file,
    store_table,
    version_of,
)
from autointerp_core.store.schema_upgrades import name_studies, upgrade

_T = TypeVar("_T")
_E = events_table.c


class HistoryStore(HistoryReader):
    """An open label database and its backup; what may be written to it is said one floor up."""

    def __init__(self, engine: Engine, url: URL, backup: Backup) -> None:
        super().__init__(engine, url)
        self._backup = backup
        self.notice: str | None = None
        """One line for the person, where opening found something worth telling."""

    # ------------------------------------------------------------------ opening

    @classmethod
    def open(
        cls, url: str | Path | None = None, backup: Path | None = None, *, timeout: float = 30.0
    ) -> Self:
        """Open the history, creating it on first use, and bring its backup up to date.

        Args:
            url: a database URL or the path of an SQLite file; by default ``AUTOINTERP_DB``,
                else ``home()/labels.db``.
            backup: by default ``AUTOINTERP_LABELS_BACKUP``, else ``labels-backup.jsonl`` beside
                an SQLite file, in ``home()`` for other databases.
            timeout: seconds to wait for other writers.

        Raises:
            LabelStoreError: locked, read-only, out of reach, another program's file, or a newer
                schema.
            MissingDependency: the database's driver is not installed.
        """
        where = database_url(url)
        copy = Backup(_backup_path(where, backup), timeout)
        history = cls(make_engine(where, timeout), where, copy)
        try:
            with in_our_words(where):
                history._make_ready()
        except BaseException:
            history.close()
            raise
        return history

    def _make_ready(self) -> None:
        if not is_prepared(self._engine, self._url):
            with self._backup.lock():
                is_new = not is_prepared(self._engine, self._url)
                if is_new:
                    prepare(self._engine, self._url)
            if is_new and self._backup.path.exists() and self._backup.path.stat().st_size:
                self.notice = (
                    f"the label database {self.place} is new, but {self._backup.path} holds "
                    "earlier events; to get them back move the new database away and run "
                    "LabelHistory.restore_from_backup()"
                )
        self._bring_up_to_date()
        with self._reading() as connection:
            store, last = store_of(connection)
        if self._backup.last_id(store) == last:
            return
        if not may_write(self._backup.path):
            self.notice = f"the label backup {self._backup.path} cannot be written"
            return
        with self._backup.lock():
            if self._backup.last_id(store) > self._last_id():
                # An older copy of the database was put back: its next events would take
                # ids that the backup already has. Under a new name both are kept.
                self._rename_store()
                self.notice = (
                    f"the label database {self.place} is older than its backup "
                    f"{self._backup.path}, which keeps the later events"
                )
            self._sync()

    def _bring_up_to_date(self) -> None:
        """Upgrade tables of an older version.

        Raises:
            LabelStoreError: they are older, and this user may not write them.
        """
        with self._reading() as connection:
            if version_of(connection) == SCHEMA_VERSION:
                return
        path = sqlite_file(self._url)
        if path is not None and not may_write(path):
            raise LabelStoreError(
                f"the label database {self.place} is of an older version and read-only; make it "
                "writable once, so that it can be upgraded"
            )
        with self._backup.lock(), self._transaction() as connection:
            if version_of(connection) != SCHEMA_VERSION:
                upgrade(connection)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def backup_path(self) -> Path:
        return self._backup.path

    # ------------------------------------------------------------------ backup

    @classmethod
    def restore_from_backup(cls, url: str | Path | None = None, backup: Path | None = None) -> int:
        """Rebuild a database from its backup; returns the number of events.

        The database must be absent or empty: move a damaged one away first. A backup that holds
        the events of several databases (one was lost, and a new one begun) is merged in file
        order: ids are given anew, the old backup is set aside and a new one written.

        Raises:
            LabelStoreError: the database has events, or the backup cannot be read.
        """
        where = database_url(url)
        lines = Backup(_backup_path(where, backup)).read()
        if not lines:
            raise LabelStoreError(f"the label backup {_backup_path(where, backup)} is empty")
        with cls.open(url, backup) as history:
            return history._restore(lines)

    def _restore(self, lines: list[dict[str, Any]]) -> int:
        stores = {str(line["store"]) for line in lines}
        rows = merged_rows(lines)
        with self._backup.lock(), in_our_words(self._url):
            with self._transaction() as connection:
                _, last = store_of(connection)
                if last:
                    raise LabelStoreError(
                        f"{self.place} already holds events; move it away, then restore (what it "
                        "holds is in the backup too)"
                    )
                insert_rows(connection, rows)
                if any("study" not in line for line in lines):  # written before version 2
                    name_studies(connection)
                store = stores.pop() if len(stores) == 1 else uuid.uuid4().hex
                connection.execute(
                    update(store_table).values(store=store, last_id=max(r["id"] for r in rows))
                )
            if stores:
                self._backup.set_aside(f"before-{now()[:19].replace(':', '')}")
            self._sync()
        return len(rows)

    def _rename_store(self) -> None:
        with in_our_words(self._url), self._transaction() as connection:
            connection.execute(update(store_table).values(store=uuid.uuid4().hex))

    def _sync(self) -> None:
        """Add to the backup what the database has and it has not. The caller holds the lock."""
        with self._reading() as connection:
            store, last = store_of(connection)
            after = self._backup.last_id(store)
            if after < last:
                query = all_columns().where(_E.id > after, _E.id <= last).order_by(_E.id)
                self._backup.append(store, map(backup_line, connection.execute(query)))

    # ------------------------------------------------------------------ connections

    def _write(self, act: Callable[[Connection], _T]) -> _T:
        with self._backup.lock():
            self._backup.check_writable()
            with in_our_words(self._url):
                with self._transaction() as connection:
                    result = act(connection)
                self._sync()
        return result

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        connecting = self._engine.connect().execution_options(writing=True)
        with connecting as connection, connection.begin():
            # The lock that serialises writers on databases other than SQLite.
            connection.execute(select(store_table.c.last_id).with_for_update())
            yield connection

    def _last_id(self) -> int:
        with self._engine.connect() as connection:
            return store_of(connection)[1]


def _backup_path(url: URL, given: Path | None) -> Path:
    chosen = given or os.environ.get("AUTOINTERP_LABELS_BACKUP")
    if chosen:
        return Path(chosen).expanduser().resolve()
    database = sqlite_file(url)
    return (database.resolve().parent if database is not None else home()) / BACKUP_NAME
