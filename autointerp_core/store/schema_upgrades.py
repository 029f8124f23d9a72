"""Older databases brought to today's schema, one version at a time, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import orjson
from sqlalchemy import Connection, bindparam, select, text, update

from autointerp_core.store.event_rows import CHUNK, study_of
from autointerp_core.store.events import FAILED, GENERATED, UNKNOWN_STUDY
from autointerp_core.store.schema import SCHEMA_VERSION, events_table, store_table, version_of

_E = events_table.c


def upgrade(connection: Connection) -> None:
    """Bring the tables to :data:`.schema.SCHEMA_VERSION`. The caller holds the writers' lock."""
    for older in range(version_of(connection), SCHEMA_VERSION):
        _STEPS[older](connection)
    connection.execute(update(store_table).values(schema_version=SCHEMA_VERSION))


def _add_study(connection: Connection) -> None:
    """Version 2: which study a machine's event was made from, in a column of its own.

    Search labels and scores named it in their details already. Labels of language models did not;
    they were made in the same runs, so where all that is known of an SAE is from one study, theirs
    is that one. Where it is from several, it cannot be known.
    """
    connection.execute(text("ALTER TABLE label_events ADD COLUMN study TEXT"))
    name_studies(connection)


def name_studies(connection: Connection) -> None:
    """Put into the column what events from before it can be known to be from."""
    named: dict[str, set[str]] = defaultdict(set)
    found: list[dict[str, object]] = []
    query = select(_E.id, _E.sae, _E.kind, _E.details).where(_E.details.like('%"study"%'))
    for row in connection.execute(query):
        study = study_of(row.kind, None, orjson.loads(row.details))
        if study is not None:
            named[row.sae].add(study)
            found.append({"event": row.id, "made_from": study})
    change = update(events_table).where(_E.id == bindparam("event"))
    change = change.values(study=bindparam("made_from"))
    for start in range(0, len(found), CHUNK):
        connection.execute(change, found[start : start + CHUNK])
    for sae, studies in named.items():
        only = next(iter(studies)) if len(studies) == 1 else UNKNOWN_STUDY
        unnamed = _E.sae == sae, _E.study.is_(None), _E.kind.in_([GENERATED, FAILED])
        connection.execute(update(events_table).where(*unnamed).values(study=only))


_STEPS: Mapping[int, Callable[[Connection], None]] = {1: _add_study}
