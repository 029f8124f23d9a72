"""Lines of a label backup as table rows again, also where several databases wrote to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autointerp_core.store.event_details import PROMPT_HASH
from autointerp_core.store.event_rows import study_of
from autointerp_core.store.schema import events_table
from autointerp_core.store.text_cleaning import safe_json


def merged_rows(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
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
                "study": study_of(
                    line["kind"], line.get("study"), {} if "study" in line else details
                ),
            }
        )
    return rows
