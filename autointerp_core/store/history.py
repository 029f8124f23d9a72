"""The label history: every proposal, score and human decision, kept for good in SQL.

One append-only table (see :mod:`.schema`), copied line by line to a backup file (see
:mod:`.backup`); what is true now is derived from it (see :mod:`.label_state`). Safe to use
from many threads and many processes at once: writers queue on a lock file and on the
database's own write lock; readers never wait.
"""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson
from sqlalchemy import Connection, Engine, Row, Select, case, func, insert, null, select, update
from sqlalchemy.engine import URL

from autointerp_core.errors import LabelConflict, LabelStoreError, ParameterError
from autointerp_core.home import home
from autointerp_core.store.backup import BACKUP_NAME, Backup
from autointerp_core.store.event_details import PROMPT_HASH
from autointerp_core.store.events import (
    ACCEPTED,
    FLAGGED,
    GENERATED,
    KINDS,
    NOTED,
    OVERRIDDEN,
    REVERTED,
    SCORED,
    TOPIC_OF,
    UNDONE,
    UNFLAGGED,
    WITH_LABEL_TEXT,
    LabelEvent,
    NewEvent,
)
from autointerp_core.store.label_state import EventRow, LabelState, Proposal, derive, derive_rows
from autointerp_core.store.schema import (
    database_url,
    events_table,
    in_our_words,
    is_prepared,
    make_engine,
    may_write,
    now,
    prepare,
    shown,
    sqlite_file,
    store_table,
)
from autointerp_core.store.text_cleaning import (
    clean_label,
    clean_note,
    one_line,
    safe_json,
    safe_text,
)

__all__ = [
    "KINDS",
    "EditConflict",
    "LabelEvent",
    "LabelHistory",
    "LabelState",
    "NewEvent",
    "Proposal",
    "clean_label",
    "derive",
]

_T = TypeVar("_T")
_E = events_table.c
_CHUNK = 10_000
_FEW = 500
"""Up to so many features are asked for by name; more are read with everything else."""


class EditConflict(LabelConflict):
    """Somebody else decided on this feature since the caller last saw it.

    Both events are in the history. ``mine`` is the one just recorded (None where there was
    nothing left to record: what the caller wanted to undo had been undone already);
    ``theirs`` the newest one the caller had not seen.
    """

    def __init__(self, mine: LabelEvent | None, theirs: LabelEvent) -> None:
        self.mine = mine
        self.theirs = theirs
        what = f"{theirs.kind} {theirs.text!r}" if theirs.text else theirs.kind
        yours = (
            "your change is saved too and counts as the newest; both are in the history"
            if mine is not None
            else "there was nothing left for you to undo"
        )
        super().__init__(
            f"feature {theirs.feature} was changed meanwhile by {theirs.author or 'somebody'} "
            f"({what}, {theirs.time}); {yours}"
        )


class LabelHistory:
    """An open label history. Use :meth:`open`; close it, or use it in a ``with``."""

    def __init__(self, engine: Engine, url: URL, backup: Backup) -> None:
        self._engine = engine
        self._url = url
        self._backup = backup
        self.notice: str | None = None
        """One line for the person, where opening found something worth telling."""

    # ------------------------------------------------------------------ opening

    @classmethod
    def open(
        cls, url: str | Path | None = None, backup: Path | None = None, *, timeout: float = 30.0
    ) -> LabelHistory:
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
        with self._reading() as connection:
            store, last = _store(connection)
        if self._backup.last_id(store) == last:
            return
        if not may_write(self._backup.path):
            self.notice = f"the label backup {self._backup.path} cannot be written"
            return
        with self._backup.lock():
            if self._backup.last_id(store) > _last_in(self._engine):
                # An older copy of the database was put back: its next events would take
                # ids that the backup already has. Under a new name both are kept.
                self._rename_store()
                self.notice = (
                    f"the label database {self.place} is older than its backup "
                    f"{self._backup.path}, which keeps the later events"
                )
            self._sync()

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
    def place(self) -> str:
        """The database in words, without its password."""
        return shown(self._url)

    @property
    def backup_path(self) -> Path:
        return self._backup.path

    # ------------------------------------------------------------------ recording

    def record(
        self,
        sae: str,
        feature: int,
        kind: str,
        text: str | None = None,
        *,
        source: str,
        method: str | None = None,
        author: str | None = None,
        reason: str | None = None,
        parent: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> LabelEvent:
        """Record one event. For what a person decides use :meth:`accept` and its like.

        Raises:
            ParameterError: an event that means nothing (unknown kind, proposal without text…).
            LabelStoreError: it could not be saved.
        """
        new = NewEvent(sae, feature, kind, text, source, method, author, reason, parent, details)
        return self.record_many([new])[0]

    def record_many(self, events: Iterable[NewEvent]) -> list[LabelEvent]:
        """Record all of ``events`` in one transaction, or none of them.

        Raises:
            ParameterError: one of them means nothing.
            LabelStoreError: they could not be saved.
        """
        batch = list(events)
        for event in batch:
            event.check()
        if not batch:
            return []
        return self._write(lambda connection: _insert(connection, batch))

    # ------------------------------------------------------------------ human decisions

    def accept(
        self,
        sae: str,
        feature: int,
        event_id: int,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Make the text of event ``event_id`` the accepted label.

        Args:
            sae: fingerprint of the SAE.
            feature: index of the feature.
            event_id: a proposal, or an earlier decision, of this feature.
            author: who decides.
            expected: the feature's last event that the caller had seen
                (``LabelState.last_event``; 0: none); None: don't check.
            reason: why, if said.

        Raises:
            EditConflict: recorded, but somebody else had decided since ``expected``.
            ParameterError: no such event, or one without a label text.
            LabelStoreError: it could not be saved.
        """
        return self._choose(ACCEPTED, sae, feature, event_id, author, expected, reason)

    def revert(
        self,
        sae: str,
        feature: int,
        event_id: int,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Make the older text of event ``event_id`` (undone or not) the decision again.

        Raises:
            EditConflict, ParameterError, LabelStoreError: as in :meth:`accept`.
        """
        return self._choose(REVERTED, sae, feature, event_id, author, expected, reason)

    def override(
        self,
        sae: str,
        feature: int,
        text: str,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Decide on a text of one's own.

        Raises:
            LabelRejected: empty, or more than 9 words.
            EditConflict, ParameterError, LabelStoreError: as in :meth:`accept`.
        """
        label = clean_label(text)
        return self._decide(
            NewEvent(sae, feature, OVERRIDDEN, label, author=_named(author), reason=reason),
            expected,
        )

    def flag(
        self,
        sae: str,
        feature: int,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Mark the feature for a second look. A repeated flag is one more event.

        Raises:
            EditConflict, LabelStoreError: as in :meth:`accept`.
        """
        new = NewEvent(sae, feature, FLAGGED, author=_named(author), reason=reason)
        return self._decide(new, expected)

    def unflag(
        self,
        sae: str,
        feature: int,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Take the flag away.

        Raises:
            EditConflict, LabelStoreError: as in :meth:`accept`.
        """
        new = NewEvent(sae, feature, UNFLAGGED, author=_named(author), reason=reason)
        return self._decide(new, expected)

    def note(
        self, sae: str, feature: int, text: str, *, author: str, expected: int | None = None
    ) -> LabelEvent:
        """Replace the feature's note; an empty one removes it.

        Raises:
            EditConflict, LabelStoreError: as in :meth:`accept`.
        """
        new = NewEvent(sae, feature, NOTED, clean_note(text), author=_named(author))
        return self._decide(new, expected)

    def undo(
        self,
        sae: str,
        feature: int,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Take back the last decision, flag or note that is not undone; returns the undone event.

        With ``expected`` it is the last one *the caller had seen* that is undone, never a newer
        one of somebody else. Repeated, it steps further back. To redo, decide again or
        :meth:`revert` to the undone event.

        Raises:
            EditConflict: somebody else decided since ``expected`` (``mine`` is None where they
                had undone the same decision already).
            ParameterError: nothing to undo.
            LabelStoreError: it could not be saved.
        """
        who = _named(author)

        def act(connection: Connection) -> tuple[LabelEvent | None, LabelEvent | None]:
            events = _of_feature(connection, sae, feature)
            seen = [e for e in events if expected is None or e.id <= expected]
            target = _last_standing(seen)
            if target is None:
                raise ParameterError(f"there is nothing to undo on feature {feature}")
            theirs = _unseen(events, TOPIC_OF[target.kind], expected)
            if any(e.kind == UNDONE and e.parent == target.id for e in events):
                return None, theirs
            new = NewEvent(
                sae, feature, UNDONE, target.text, author=who, reason=reason, parent=target.id
            )
            return _insert(connection, [new])[0], theirs

        mine, theirs = self._write(act)
        if theirs is not None:
            raise EditConflict(mine, theirs)
        if mine is None:
            raise LabelStoreError(f"undo on feature {feature} found a contradiction; reload")
        return mine

    def _choose(
        self,
        kind: str,
        sae: str,
        feature: int,
        event_id: int,
        author: str,
        expected: int | None,
        reason: str | None,
    ) -> LabelEvent:
        who = _named(author)
        with self._reading() as connection:
            row = connection.execute(_all_columns().where(_E.id == int(event_id))).first()
        chosen = _event(row) if row is not None else None
        if chosen is None or chosen.sae != sae or chosen.feature != feature:
            raise ParameterError(f"feature {feature} has no label event {event_id}")
        if chosen.kind not in WITH_LABEL_TEXT or not chosen.text:
            raise ParameterError(
                f"event {event_id} of feature {feature} is {chosen.kind!r}: it holds no label"
            )
        return self._decide(
            NewEvent(sae, feature, kind, chosen.text, author=who, reason=reason, parent=chosen.id),
            expected,
        )

    def _decide(self, new: NewEvent, expected: int | None) -> LabelEvent:
        new.check()

        def act(connection: Connection) -> tuple[LabelEvent, LabelEvent | None]:
            theirs = None
            if expected is not None:
                events = _of_feature(connection, new.sae, new.feature)
                theirs = _unseen(events, TOPIC_OF[new.kind], expected)
            return _insert(connection, [new])[0], theirs

        mine, theirs = self._write(act)
        if theirs is not None:
            raise EditConflict(mine, theirs)
        return mine

    # ------------------------------------------------------------------ reading

    def state(self, sae: str, feature: int) -> LabelState:
        """What is true of one feature now (an empty state where nothing was recorded)."""
        return derive(feature, self.history(sae, feature))

    def states(self, sae: str, features: Iterable[int] | None = None) -> dict[int, LabelState]:
        """The states of ``features``, or of all features that have events.

        Features asked for by name are always in the answer. All 262,144 features of a large
        SAE take about two seconds; keep the answer, and refresh it by :meth:`changed_since`.
        """
        wanted = None if features is None else sorted({int(feature) for feature in features})
        query = _state_columns().where(_E.sae == sae).order_by(_E.id)
        if wanted is not None and len(wanted) <= _FEW:
            query = query.where(_E.feature.in_(wanted))
        with _no_cycle_search():
            grouped: dict[int, list[EventRow]] = {feature: [] for feature in wanted or ()}
            with self._reading() as connection:
                for row in _bare_rows(connection, query):
                    rows = grouped.get(row[0])
                    if rows is None:
                        if wanted is not None:
                            continue
                        rows = grouped[row[0]] = []
                    rows.append(row)
            return {feature: derive_rows(feature, rows) for feature, rows in grouped.items()}

    def history(self, sae: str, feature: int) -> list[LabelEvent]:
        """Every event of a feature, oldest first."""
        with self._reading() as connection:
            return _of_feature(connection, sae, feature)

    def all_events(self, sae: str | None = None) -> Iterator[LabelEvent]:
        """Every event (of one SAE), oldest first, without holding a transaction open."""
        after = 0
        while True:
            query = _all_columns().where(_E.id > after).order_by(_E.id).limit(_CHUNK)
            if sae is not None:
                query = query.where(_E.sae == sae)
            with self._reading() as connection:
                events = [_event(row) for row in connection.execute(query)]
            yield from events
            if len(events) < _CHUNK:
                return
            after = events[-1].id

    def saes(self) -> list[str]:
        """The fingerprints of all SAEs that have events."""
        with self._reading() as connection:
            return list(connection.scalars(select(_E.sae).distinct().order_by(_E.sae)))

    def last_event_id(self, sae: str) -> int:
        """The newest event of an SAE; 0 where there is none. Ask *before* reading states."""
        with self._reading() as connection:
            return connection.scalar(select(func.max(_E.id)).where(_E.sae == sae)) or 0

    def changed_since(self, sae: str, event_id: int) -> set[int]:
        """The features that have events newer than ``event_id``."""
        query = select(_E.feature).where(_E.sae == sae, _E.id > event_id).distinct()
        with self._reading() as connection:
            return set(connection.scalars(query))

    def find_generated(
        self, sae: str, feature: int, method: str | None, source: str, prompt_hash: str
    ) -> LabelEvent | None:
        """The newest label made for exactly this question, to be used again."""
        query = (
            _generated(sae, method, source)
            .where(_E.feature == int(feature), _E.prompt_hash == prompt_hash)
            .order_by(_E.id.desc())
            .limit(1)
        )
        with self._reading() as connection:
            row = connection.execute(query).first()
        return _event(row) if row is not None else None

    def generated_index(
        self, sae: str, method: str | None, source: str, *, kind: str = GENERATED
    ) -> dict[tuple[int, str], LabelEvent]:
        """:meth:`find_generated` for all features at once: (feature, prompt hash) → newest.

        ``kind`` asks for another kind of event, say ``failed``.
        """
        query = _generated(sae, method, source, kind).where(_E.prompt_hash.is_not(None))
        with _no_cycle_search(), self._reading() as connection:
            return {
                (row.feature, row.prompt_hash): _event(row)
                for row in connection.execute(query.order_by(_E.id))
            }

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
        rows = _merged(lines)
        with self._backup.lock(), in_our_words(self._url):
            with self._transaction() as connection:
                _, last = _store(connection)
                if last:
                    raise LabelStoreError(
                        f"{self.place} already holds events; move it away, then restore (what it "
                        "holds is in the backup too)"
                    )
                for start in range(0, len(rows), _CHUNK):
                    connection.execute(insert(events_table), rows[start : start + _CHUNK])
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
            store, last = _store(connection)
            after = self._backup.last_id(store)
            if after < last:
                query = _all_columns().where(_E.id > after, _E.id <= last).order_by(_E.id)
                self._backup.append(store, map(_backup_line, connection.execute(query)))

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

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with in_our_words(self._url), self._engine.connect() as connection:
            yield connection


def _backup_path(url: URL, given: Path | None) -> Path:
    chosen = given or os.environ.get("AUTOINTERP_LABELS_BACKUP")
    if chosen:
        return Path(chosen).expanduser().resolve()
    database = sqlite_file(url)
    return (database.resolve().parent if database is not None else home()) / BACKUP_NAME


def _named(author: str) -> str:
    name = one_line(author)
    if not name:
        raise ParameterError("a decision needs the name of its author")
    return name


def _last_standing(events: Sequence[LabelEvent]) -> LabelEvent | None:
    undone = {e.parent for e in events if e.kind == UNDONE}
    for event in reversed(events):
        if event.kind in TOPIC_OF and event.id not in undone:
            return event
    return None


def _unseen(events: Sequence[LabelEvent], topic: str, expected: int | None) -> LabelEvent | None:
    """The newest event on the same topic that came after ``expected``."""
    if expected is None:
        return None
    kinds = {event.id: event.kind for event in events}
    for event in reversed(events):
        if event.id <= expected:
            return None
        about = kinds.get(event.parent or 0, "") if event.kind == UNDONE else event.kind
        if TOPIC_OF.get(about) == topic:
            return event
    return None


def _store(connection: Connection) -> tuple[str, int]:
    row = connection.execute(select(store_table.c.store, store_table.c.last_id)).one()
    return row.store, row.last_id


def _last_in(engine: Engine) -> int:
    with engine.connect() as connection:
        return _store(connection)[1]


def _insert(connection: Connection, batch: Sequence[NewEvent]) -> list[LabelEvent]:
    connection.execute(update(store_table).values(last_id=store_table.c.last_id + len(batch)))
    _, last = _store(connection)
    time = now()
    rows = [
        _row(new, event_id, time) for event_id, new in enumerate(batch, start=last - len(batch) + 1)
    ]
    for start in range(0, len(rows), _CHUNK):
        connection.execute(insert(events_table), rows[start : start + _CHUNK])
    return [_event_of(row) for row in rows]


def _row(new: NewEvent, event_id: int, time: str) -> dict[str, Any]:
    details = new.details or {}
    prompt_hash = details.get(PROMPT_HASH)
    return {
        "id": event_id,
        "sae": new.sae,
        "feature": int(new.feature),
        "kind": new.kind,
        "text": _safe(new.text),
        "source": safe_text(new.source),
        "method": _safe(new.method),
        "author": _safe(new.author),
        "reason": _safe(new.reason),
        "time": time,
        "parent": None if new.parent is None else int(new.parent),
        "prompt_hash": str(prompt_hash) if prompt_hash is not None else None,
        "details": safe_json(details).decode() if details else None,
    }


def _safe(text: str | None) -> str | None:
    return None if text is None else safe_text(text)


def _event_of(row: Mapping[str, Any]) -> LabelEvent:
    details = row["details"]
    return LabelEvent(
        row["id"],
        row["sae"],
        row["feature"],
        row["kind"],
        row["text"],
        row["source"],
        row["method"],
        row["author"],
        row["reason"],
        row["time"],
        row["parent"],
        orjson.loads(details) if details else {},
    )


def _event(row: Row[Any]) -> LabelEvent:
    return _event_of(dict(row._mapping))


def _backup_line(row: Row[Any]) -> dict[str, Any]:
    line = dict(row._mapping)
    del line["prompt_hash"]  # it is in details
    line["details"] = orjson.loads(line["details"]) if line["details"] else None
    return line


def _merged(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Backup lines as table rows. Ids stay where all lines are of one database."""
    anew = len({line["store"] for line in lines}) > 1
    ids: dict[tuple[str, int], int] = {}
    contents: dict[bytes, tuple[str, int]] = {}
    rows: list[dict[str, Any]] = []
    for line in lines:
        key = (line["store"], line["id"])
        if key in ids:
            continue
        if anew:
            # A database put back from an older copy repeats its events under a new name.
            content = {k: v for k, v in line.items() if k not in ("store", "id", "parent")}
            first = contents.setdefault(safe_json(content), key)
            if first[0] != key[0]:
                ids[key] = ids[first]
                continue
        ids[key] = len(rows) + 1 if anew else line["id"]
        parent = line.get("parent")
        details = line.get("details") or {}
        prompt_hash = details.get(PROMPT_HASH)
        rows.append(
            {
                **{column.name: line.get(column.name) for column in events_table.c},
                "id": ids[key],
                "parent": None if parent is None else ids.get((line["store"], parent), parent),
                "prompt_hash": str(prompt_hash) if prompt_hash is not None else None,
                "details": safe_json(details).decode() if details else None,
            }
        )
    return rows


def _all_columns() -> Select[Any]:
    return select(events_table)


def _generated(sae: str, method: str | None, source: str, kind: str = GENERATED) -> Select[Any]:
    return _all_columns().where(
        _E.sae == sae, _E.kind == kind, _E.source == source, _E.method == method
    )


def _of_feature(connection: Connection, sae: str, feature: int) -> list[LabelEvent]:
    query = _all_columns().where(_E.sae == sae, _E.feature == int(feature)).order_by(_E.id)
    return [_event(row) for row in connection.execute(query)]


def _state_columns() -> Select[Any]:
    scores = case((_E.kind == SCORED, _E.details), else_=null())
    return select(
        _E.feature, _E.id, _E.kind, _E.text, _E.source, _E.method, _E.reason, _E.parent, scores
    )


def _bare_rows(connection: Connection, query: Select[Any]) -> Iterator[EventRow]:
    """The driver's own tuples: SQLAlchemy's rows would cost as much again as the query."""
    cursor = connection.execute(query).cursor
    while cursor is not None and (rows := cursor.fetchmany(_CHUNK)):
        for row in rows:
            details = None if row[-1] is None else orjson.loads(row[-1])
            yield EventRow._make((*row[:-1], details))


@contextmanager
def _no_cycle_search() -> Iterator[None]:
    """Building a million small objects sets off the cycle collector again and again, in vain."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
