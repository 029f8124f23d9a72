"""Reading the label history: states, events, and what was generated before."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Select, case, func, null, or_, select
from sqlalchemy.engine import URL

from autointerp_core.store.event_rows import CHUNK, read_event
from autointerp_core.store.events import DECISIONS, GENERATED, SCORED, UNDONE, LabelEvent
from autointerp_core.store.label_state import EventRow, LabelState, derive, derive_rows
from autointerp_core.store.schema import events_table, in_our_words, shown

_E = events_table.c
_FEW = 500
"""Up to so many features are asked for by name; more are read with everything else."""


class HistoryReader:
    """The questions one can ask a label database. Readers never wait for writers."""

    def __init__(self, engine: Engine, url: URL) -> None:
        self._engine = engine
        self._url = url

    @property
    def place(self) -> str:
        """The database in words, without its password."""
        return shown(self._url)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with in_our_words(self._url), self._engine.connect() as connection:
            yield connection

    def state(self, sae: str, feature: int, study: str | None = None) -> LabelState:
        """What is true of one feature now (an empty state where nothing was recorded)."""
        return derive(feature, self.history(sae, feature), study)

    def states(
        self, sae: str, features: Iterable[int] | None = None, study: str | None = None
    ) -> dict[int, LabelState]:
        """The states of ``features``, or of all features that have events.

        ``study`` is the id of the study in which they are looked at: what machines made from
        another one counts for nothing there. None: all of it counts.

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
            return {feature: derive_rows(feature, rows, study) for feature, rows in grouped.items()}

    def history(self, sae: str, feature: int) -> list[LabelEvent]:
        """Every event of a feature, oldest first."""
        with self._reading() as connection:
            return of_feature(connection, sae, feature)

    def histories(self, sae: str, features: Iterable[int]) -> dict[int, list[LabelEvent]]:
        """:meth:`history` of several features, in few queries; a list for each of them."""
        with self._reading() as connection:
            found = of_features(connection, sae, features)
        return {feature: events for (_, feature), events in found.items()}

    def all_events(self, sae: str | None = None) -> Iterator[LabelEvent]:
        """Every event (of one SAE), oldest first, without holding a transaction open."""
        after = 0
        while True:
            query = all_columns().where(_E.id > after).order_by(_E.id).limit(CHUNK)
            if sae is not None:
                query = query.where(_E.sae == sae)
            with self._reading() as connection:
                events = [read_event(row) for row in connection.execute(query)]
            yield from events
            if len(events) < CHUNK:
                return
            after = events[-1].id

    def all_rows(self) -> list[dict[str, Any]]:
        """Every row of the table, oldest first."""
        with self._reading() as connection:
            query = all_columns().order_by(_E.id)
            return [dict(row._mapping) for row in connection.execute(query)]

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

    def decided(self, sae: str) -> set[int]:
        """The features whose label a person accepted or wrote, and did not take back."""
        undone = select(_E.parent).where(_E.sae == sae, _E.kind == UNDONE)
        query = select(_E.feature).where(
            _E.sae == sae, _E.kind.in_(DECISIONS), _E.id.not_in(undone)
        )
        with self._reading() as connection:
            return set(connection.scalars(query.distinct()))

    def machine_events(
        self,
        sae: str,
        kinds: Iterable[str],
        study: str,
        method: str | None = None,
        *,
        feature: int | None = None,
    ) -> list[LabelEvent]:
        """Events of some kinds that machines made from a study, oldest first.

        Of one ``method`` and of one ``feature`` where these are given.
        """
        query = all_columns().where(_E.sae == sae, _E.kind.in_(tuple(kinds)), _E.study == study)
        if method is not None:
            query = query.where(_E.method == method)
        if feature is not None:
            query = query.where(_E.feature == feature)
        with _no_cycle_search(), self._reading() as connection:
            return [read_event(row) for row in connection.execute(query.order_by(_E.id))]

    def generated_by(
        self, sae: str, source: str, features: Iterable[int], study: str
    ) -> Iterator[LabelEvent]:
        """Labels that a source made of some features from a study, oldest first a feature."""
        wanted = sorted({int(feature) for feature in features})
        query = all_columns().where(_E.sae == sae, _E.kind == GENERATED, _E.source == source)
        query = query.where(or_(_E.study.is_(None), _E.study == study))
        for start in range(0, len(wanted), _FEW):
            few = query.where(_E.feature.in_(wanted[start : start + _FEW]))
            with _no_cycle_search(), self._reading() as connection:
                found = [read_event(row) for row in connection.execute(few.order_by(_E.id))]
            yield from found

    def generated_index(
        self,
        sae: str,
        method: str | None,
        source: str,
        *,
        kind: str = GENERATED,
        study: str | None = None,
    ) -> dict[tuple[int, str], LabelEvent]:
        """Labels made for a question, by feature and prompt hash: the newest, to be used again.

        ``kind`` asks for another kind of event, say ``failed``; ``study`` leaves out what was made
        from another one.
        """
        query = _generated(sae, method, source, kind).where(_E.prompt_hash.is_not(None))
        if study is not None:
            query = query.where(or_(_E.study.is_(None), _E.study == study))
        with _no_cycle_search(), self._reading() as connection:
            return {
                (row.feature, row.prompt_hash): read_event(row)
                for row in connection.execute(query.order_by(_E.id))
            }


def all_columns() -> Select[Any]:
    return select(events_table)


def _generated(sae: str, method: str | None, source: str, kind: str = GENERATED) -> Select[Any]:
    return all_columns().where(
        _E.sae == sae, _E.kind == kind, _E.source == source, _E.method == method
    )


def of_feature(connection: Connection, sae: str, feature: int) -> list[LabelEvent]:
    query = all_columns().where(_E.sae == sae, _E.feature == int(feature)).order_by(_E.id)
    return [read_event(row) for row in connection.execute(query)]


def of_features(
    connection: Connection, sae: str, features: Iterable[int]
) -> dict[tuple[str, int], list[LabelEvent]]:
    """The events of several features of one SAE, oldest first; a list for each of them."""
    wanted = sorted({int(feature) for feature in features})
    found: dict[tuple[str, int], list[LabelEvent]] = {(sae, feature): [] for feature in wanted}
    for start in range(0, len(wanted), _FEW):
        few = _E.feature.in_(wanted[start : start + _FEW])
        query = all_columns().where(_E.sae == sae, few).order_by(_E.id)
        for row in connection.execute(query):
            found[sae, row.feature].append(read_event(row))
    return found


def _state_columns() -> Select[Any]:
    scores = case((_E.kind == SCORED, _E.details), else_=null())
    return select(
        _E.feature,
        _E.id,
        _E.kind,
        _E.text,
        _E.source,
        _E.method,
        _E.reason,
        _E.parent,
        _E.study,
        scores,
    )


def _bare_rows(connection: Connection, query: Select[Any]) -> Iterator[EventRow]:
    """The driver's own tuples: SQLAlchemy's rows would cost as much again as the query."""
    cursor = connection.execute(query).cursor
    while cursor is not None and (rows := cursor.fetchmany(CHUNK)):
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
