"""The label database: its two tables, how it is opened, and its errors in our words."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from autointerp_core.errors import DiskFull, LabelStoreError, MissingDependency
from autointerp_core.home import home
from autointerp_core.store.text_cleaning import one_line

SCHEMA_VERSION = 2
_DRIVERS = {"psycopg": 'pip install "psycopg[binary]==3.3.9"'}
"""What installs a driver, where its name alone does not say it."""
_CONNECT = 10
_MAKING_TABLES = 7_107_105
"""Any number, as long as every version of this program takes the same."""
_ID = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()
events_table = Table(
    "label_events",
    metadata,
    # Ids are given out by us from `label_store.last_id` while writers are serialised, so
    # that id order is commit order on every database (a sequence does not promise that).
    Column("id", _ID, primary_key=True, autoincrement=False),
    Column("sae", String(128), nullable=False),
    Column("feature", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("text", Text),
    Column("source", Text, nullable=False),
    Column("method", Text),
    Column("author", Text),
    Column("reason", Text),
    Column("time", String(32), nullable=False),
    Column("parent", _ID),
    Column("prompt_hash", Text),
    Column("details", Text),
    Column("study", Text),  # since version 2
    Index("label_events_feature", "sae", "feature"),
    Index("label_events_kind", "sae", "kind"),
    Index("label_events_sae_id", "sae", "id"),
)
store_table = Table(
    "label_store",
    metadata,
    Column("schema_version", Integer, nullable=False),
    Column("store", String(32), nullable=False),
    Column("last_id", _ID, nullable=False),
    Column("created", String(32), nullable=False),
)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def database_url(given: str | Path | None) -> URL:
    """The database meant: ``given``, else ``AUTOINTERP_DB``, else ``home()/labels.db``.

    A path stands for an SQLite file.

    Raises:
        LabelStoreError: not a URL of SQLite or PostgreSQL, or an in-memory database (nothing would
            be kept).
    """
    text = str(given or os.environ.get("AUTOINTERP_DB") or home() / "labels.db")
    if "://" not in text:
        return URL.create("sqlite", database=str(Path(text).expanduser().resolve()))
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise LabelStoreError(
            "the label database's URL cannot be read; expected something like "
            "sqlite:////folder/labels.db or postgresql+psycopg://user@host/name"
        ) from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise LabelStoreError(
            f"labels are kept in SQLite or PostgreSQL, not in {url.get_backend_name()}; give a "
            "file, sqlite:////folder/labels.db or postgresql+psycopg://user@host/name"
        )
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise LabelStoreError("an in-memory label database would keep nothing; give a file")
    return url


def sqlite_file(url: URL) -> Path | None:
    if url.get_backend_name() == "sqlite" and url.database is not None:
        return Path(url.database)
    return None


def make_engine(url: URL, timeout: float) -> Engine:
    """An engine whose writing transactions are serialised (``execution_options(writing=True)``).

    Raises:
        MissingDependency: the database's driver is not installed.
    """
    try:
        if sqlite_file(url) is None:
            # A connection that a restarted server has forgotten is made anew, unnoticed.
            return create_engine(url, pool_pre_ping=True, connect_args=_patience(url))
        engine = create_engine(_openable(url), connect_args={"timeout": timeout})
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"the label database {shown(url)} needs a driver: "
            f"{_DRIVERS.get(error.name or '', f'pip install {error.name}')}"
        ) from error
    except NoSuchModuleError as error:
        raise LabelStoreError(f"{one_line(str(error))}: not a database we can use") from error
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _patience(url: URL) -> dict[str, Any]:
    """Seconds to connect in, for a database whose driver can be told."""
    return {"connect_timeout": _CONNECT} if url.get_backend_name() == "postgresql" else {}


def may_write(path: Path) -> bool:
    """Whether ``path`` could be written (or made) and files be made beside it."""
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    there = path if path.exists() else folder
    return all(os.access(each, os.W_OK, effective_ids=True) for each in (there, folder))


def _openable(url: URL) -> URL:
    """A read-only SQLite file is opened as such: its labels can still be read."""
    path = sqlite_file(url)
    if path is None or not path.exists() or may_write(path):
        return url
    # Without a log of a writer at work, SQLite would want to make one: tell it that the file
    # does not change.
    at_work = path.with_name(path.name + "-wal").exists()
    mode = "mode=ro" if at_work else "mode=ro&immutable=1"
    return URL.create(
        url.drivername, database=f"file:{quote(str(path))}?{mode}", query={"uri": "true"}
    )


def _on_connect(connection: Any, _: Any) -> None:
    # The driver would begin transactions on its own, deferred ones; we begin them ourselves.
    connection.isolation_level = None
    # FULL: an event a person was told is saved is still there after a power cut.
    connection.execute("PRAGMA synchronous=FULL")


def _on_begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def prepare(engine: Engine, url: URL) -> None:
    """Create the tables in an empty database. The caller holds the writers' lock.

    Raises:
        LabelStoreError: some other program's SQLite file, or a newer schema than ours.
    """
    path = sqlite_file(url)
    if path is not None and (not path.exists() or path.stat().st_size == 0):
        path.parent.mkdir(parents=True, exist_ok=True)
        with engine.connect() as connection:
            # Outside any transaction; the mode stays with the file.
            raw = connection.connection.driver_connection
            if not isinstance(raw, sqlite3.Connection):
                raise LabelStoreError(f"the driver of {shown(url)} is not sqlite3")
            connection.rollback()
            raw.execute("PRAGMA journal_mode=WAL")
    with engine.connect().execution_options(writing=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            # Two machines may come first; the lock ends with the transaction.
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MAKING_TABLES})")
        tables = set(inspect(connection).get_table_names())
        if path is not None and tables and store_table.name not in tables:
            raise LabelStoreError(
                f"{path} is an SQLite file of another program (tables: "
                f"{', '.join(sorted(tables)[:5])}); give another file by AUTOINTERP_DB"
            )
        metadata.create_all(connection)
        if connection.execute(select(store_table.c.store)).first() is None:
            connection.execute(
                insert(store_table).values(
                    schema_version=SCHEMA_VERSION,
                    store=uuid.uuid4().hex,
                    last_id=0,
                    created=now(),
                )
            )


def version_of(connection: Connection) -> int:
    """The version of the tables there, which :func:`is_prepared` found."""
    return int(connection.execute(select(store_table.c.schema_version)).scalar_one())


def is_prepared(engine: Engine, url: URL) -> bool:
    """Whether the tables are there, in a version we can read or upgrade.

    Raises:
        LabelStoreError: the schema is newer than this program.
    """
    path = sqlite_file(url)
    if path is not None and not path.exists():
        return False
    with engine.connect() as connection:
        if store_table.name not in inspect(connection).get_table_names():
            return False
        version = connection.execute(select(store_table.c.schema_version)).scalar()
    if version is None:
        return False
    if version > SCHEMA_VERSION:
        raise LabelStoreError(
            f"{shown(url)} was written by a newer version (schema {version}, this one reads "
            f"{SCHEMA_VERSION}); update this program"
        )
    return True


def shown(url: URL) -> str:
    """The database's name in messages, never with its password."""
    path = sqlite_file(url)
    return str(path) if path is not None else url.render_as_string(hide_password=True)


@contextmanager
def in_our_words(url: URL) -> Iterator[None]:
    """Turn the database's errors into one line each.

    Raises:
        LabelStoreError: locked, read-only, not a database, out of reach.
        DiskFull: no space left.
    """
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise _translated(one_line(str(cause)), shown(url)) from error


_OUT_OF_REACH = (
    "connection refused",
    "could not connect",
    "connection failed",
    "connection timeout",
    "timeout expired",
    "could not translate host",
    "failed to resolve host",
    "name or service not known",
    "server closed the connection",
    "terminating connection",
    "consuming input failed",
    "connection is lost",
    "connection is closed",
    "the database system is",
    "connection to server",
)
"""What PostgreSQL's driver says when the server is not there, or no longer."""


def _translated(said: str, name: str) -> LabelStoreError | DiskFull:
    low = said.lower()
    if "locked" in low or "busy" in low:
        return LabelStoreError(
            f"the label database {name} is locked by another program; close it and try again"
        )
    if "readonly" in low or "read-only" in low:
        return LabelStoreError(f"the label database {name} is read-only; nothing was saved")
    if "not a database" in low or "malformed" in low:
        return LabelStoreError(
            f"{name} is damaged or not an SQLite database; move it away, then rebuild it with "
            "LabelHistory.restore_from_backup()"
        )
    if "disk is full" in low or "no space" in low:
        return DiskFull(f"the disk is full: saving to {name} failed; free some space")
    if "password authentication" in low or "no password supplied" in low:
        return LabelStoreError(
            f"the label database {name} refuses this user or password; check AUTOINTERP_DB"
        )
    if "does not exist" in low:
        return LabelStoreError(
            f"the label database {name} is not there: {said[-120:]}; make it first, or correct "
            "AUTOINTERP_DB"
        )
    if any(sign in low for sign in _OUT_OF_REACH):
        return LabelStoreError(
            f"the label database {name} cannot be reached, or went away: {said[:160]}; what was "
            "told as saved is saved, try the rest again"
        )
    if "unable to open" in low:
        return LabelStoreError(f"cannot open the label database {name}; check its folder's rights")
    return LabelStoreError(f"the label database {name} failed: {said}")
