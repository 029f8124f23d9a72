"""What stands in a dataset's cell: a text, a conversation, or token ids.

A cell becomes one record of text: the text itself, or JSON. So a row is fingerprinted, kept and
read again in one way, whatever it holds.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from autointerp_core.errors import DatasetSourceError
from autointerp_core.sources.chat import read_conversation
from autointerp_core.store.text_cleaning import whole_characters

Kind = Literal["text", "conversations", "token ids"]
TEXT: Kind = "text"
CHAT: Kind = "conversations"
IDS: Kind = "token ids"

_CHAT_COLUMNS = ("messages", "conversations", "conversation", "chat", "dialog", "dialogue", "turns")
"""Columns in which JSON text is read as the conversation it is."""


def read_cell(cell: Any, tools: Any, where: str, column: str) -> tuple[Kind, str]:
    """Kind and record of a cell; an empty record where it holds nothing.

    Args:
        cell: as it was read.
        tools: what stands in the column ``tools`` of the same row.
        where: ``row 3 of data.jsonl``, for messages.
        column: the cell's column.

    Raises:
        DatasetSourceError: it is none of the kinds.
    """
    if cell is None:
        return TEXT, ""
    if isinstance(cell, str):
        told = _told_in_json(cell) if column.lower() in _CHAT_COLUMNS else None
        if told is None:
            return TEXT, whole_characters(cell)
        cell = told
    if isinstance(cell, list):
        if not cell:
            return TEXT, ""
        if all(isinstance(item, int) and not isinstance(item, bool) for item in cell):
            return IDS, json.dumps(cell)
        if all(isinstance(item, dict) for item in cell):
            return CHAT, _json(read_conversation(cell, tools, where), where)
    elif isinstance(cell, dict):
        return CHAT, _json(read_conversation(cell, tools, where), where)
    raise DatasetSourceError(
        f"{where} has a {type(cell).__name__} in column {column!r}; expected text, a "
        "conversation (a list of messages), or token ids (a list of whole numbers)"
    )


def _told_in_json(text: str) -> list[Any] | dict[str, Any] | None:
    """A conversation written as JSON text, which CSV files have."""
    if not text.lstrip().startswith(("[{", "[ {", "[\n", "{")):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list | dict) and found else None


def _json(value: Any, where: str) -> str:
    try:
        return whole_characters(json.dumps(value, ensure_ascii=False, default=str))
    except (ValueError, RecursionError) as error:
        raise DatasetSourceError(f"{where} cannot be read: it is nested too deeply") from error
