"""Label events as rows of the database and as lines of its backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select, update

from autointerp_core.store.event_details import PROMPT_HASH
from autointerp_core.store.events import MACHINE_KINDS, LabelEvent, NewEvent
from autointerp_core.store.schema import events_table, store_table
from autointerp_core.store.text_cleaning import safe_json, safe_text

CHUNK = 10_000
"""Rows read or written at a time."""


def store_of(connection: Connection) -> tuple[str, int]:
    """The database's own name, and the id of its last event (0: none)."""
    row = connection.execute(select(store_table.c.store, store_table.c.last_id)).one()
    return row.store, row.last_id


def append(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[LabelEvent]:
    """Insert rows whose ids follow the last one. The transaction's owner serialises writers."""
    if not rows:
        return []
    connection.execute(update(store_table).values(last_id=rows[-1]["id"]))
    insert_rows(connection, rows)
    return [event_of(row) for row in rows]


def insert_rows(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), CHUNK):
        connection.execute(insert(events_table), list(rows[start : start + CHUNK]))


def row_of(new: NewEvent, event_id: int, time: str) -> dict[str, Any]:
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
        "study": study_of(new.kind, new.study, details),
    }


def study_of(kind: str, study: str | None, details: Mapping[str, Any]) -> str | None:
    """The study a machine's event was made from: as said, else as its details name it."""
    named = details.get("study") if kind in MACHINE_KINDS else None
    return study or (str(named) if named else None)


def _safe(text: str | None) -> str | None:
    return None if text is None else safe_text(text)


def event_of(row: Mapping[str, Any]) -> LabelEvent:
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
        row["study"],
    )


def read_event(row: Row[Any]) -> LabelEvent:
    return event_of(dict(row._mapping))


def backup_line(row: Row[Any]) -> dict[str, Any]:
    line = dict(row._mapping)
    del line["prompt_hash"]  # it is in details
    line["details"] = orjson.loads(line["details"]) if line["details"] else None
    return line
