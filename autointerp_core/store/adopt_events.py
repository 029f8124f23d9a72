"""Events of another database taken into this one: each once, with its own author and time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from autointerp_core.store.event_rows import row_of
from autointerp_core.store.events import LabelEvent, NewEvent
from autointerp_core.store.text_cleaning import safe_json


def identities(events: Sequence[LabelEvent]) -> list[tuple[bytes, int]]:
    """What each event is, whatever ids it and its parent have: a hash, and which of equals it is.

    ``events`` come in the order of their ids, so a parent comes before what is about it.
    """
    known: dict[int, bytes] = {}
    seen: Counter[bytes] = Counter()
    found = []
    for event in events:
        content = [
            event.sae, event.feature, event.kind, event.text, event.source, event.method,
            event.author, event.reason, event.time, dict(event.details), event.study,
        ]  # fmt: skip
        parent = known.get(event.parent or 0, str(event.parent).encode() if event.parent else b"")
        digest = hashlib.sha256(safe_json(content) + parent).digest()
        known[event.id] = digest
        found.append((digest, seen[digest]))
        seen[digest] += 1
    return found


def missing_rows(
    here: Sequence[LabelEvent], there: Sequence[LabelEvent], last_id: int
) -> list[dict[str, Any]]:
    """Rows for those events of ``there`` that are not ``here``, with ids after ``last_id``.

    Both are of the same features, in the order of their ids.
    """
    place = {identity: event.id for identity, event in zip(identities(here), here, strict=True)}
    ids: dict[int, int] = {}
    rows: list[dict[str, Any]] = []
    for identity, event in zip(identities(there), there, strict=True):
        if identity in place:
            ids[event.id] = place[identity]
            continue
        ids[event.id] = last_id + len(rows) + 1
        parent = None if event.parent is None else ids.get(event.parent, event.parent)
        new = NewEvent(
            event.sae, event.feature, event.kind, event.text, event.source, event.method,
            event.author, event.reason, parent, event.details, event.study,
        )  # fmt: skip
        rows.append(row_of(new, ids[event.id], event.time))
    return rows


def features_of(events: Iterable[LabelEvent]) -> set[int]:
    """The features that events are about."""
    return {event.feature for event in events}
