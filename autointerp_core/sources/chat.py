"""Conversations, in the shapes datasets have them, read into one: a list of messages.

Does: OpenAI's ``messages`` (content as text or parts, tool calls), ShareGPT's ``conversations``
(``from`` and ``value``), a message or a list of them one level deeper, columns of fields.
Does not: know any tokenizer; how messages become text is the tokenizer's template's business.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from autointerp_core.errors import DatasetSourceError, ParameterError

ROLES = {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "function_call": "assistant",
    "function": "tool",
    "function_response": "tool",
    "observation": "tool",
    "tool_response": "tool",
    "ipython": "tool",
}
"""Other names of the roles that templates know."""

_LISTS = ("messages", "conversations", "conversation", "turns")
_ROLE = ("role", "from", "author", "speaker")
_CONTENT = ("content", "value", "text")
_TEXT_PARTS = ("text", "input_text", "output_text")


def parse_roles(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """Roles whose messages count, as templates name them, sorted; none: all of them.

    Raises:
        ParameterError: something that is no role's name.
    """
    if given is None:
        return ()
    names = given.split(",") if isinstance(given, str) else list(given)
    found = set()
    for name in names:
        if not isinstance(name, str) or not name.strip().replace("_", "").isalnum():
            raise ParameterError(
                f"{name!r} is no role; give roles separated by commas, such as user,assistant"
            )
        found.add(_role_name(name))
    return tuple(sorted(found))


def read_conversation(cell: Any, tools: Any, where: str) -> dict[str, Any]:
    """``{"messages": [{"role", "content", …}], "tools": […] or None}`` of a cell.

    Args:
        cell: a list of messages, or an object that holds one.
        tools: the tools that could be called, if they stand beside the cell.
        where: ``row 3 of data.jsonl``, for messages.

    Raises:
        DatasetSourceError: it is no conversation, or holds more than text.
    """
    found: Any = cell
    if isinstance(cell, dict):
        tools = cell.get("tools") or tools
        found = next((cell[name] for name in _LISTS if cell.get(name)), None)
        if found is None:
            found = _by_fields(cell)
        if found is None:
            raise DatasetSourceError(
                f"{where} holds an object without messages (its keys: {', '.join(map(str, cell))})"
                '; expected [{"role": "user", "content": "…"}, …]'
            )
    if isinstance(found, dict):
        found = _by_fields(found) or [found]
    messages = [_message(one, f"{where}, message {i}") for i, one in enumerate(found)]
    return {"messages": messages, "tools": _tools(tools, where)}


def _by_fields(cell: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Messages of ``{"role": [...], "content": [...]}``, which older `datasets` write."""
    columns = {key: value for key, value in cell.items() if isinstance(value, list)}
    lengths = {len(value) for value in columns.values()}
    if len(lengths) != 1 or not any(key in columns for key in _ROLE):
        return None
    return [{key: value[i] for key, value in columns.items()} for i in range(next(iter(lengths)))]


def _message(given: Any, where: str) -> dict[str, Any]:
    if isinstance(given, dict) and isinstance(given.get("message"), dict):
        given = given["message"]
    if not isinstance(given, dict):
        raise DatasetSourceError(
            f"{where} is a {type(given).__name__}; expected an object with role and content"
        )
    # Tables give every message every field that any message has.
    fields = {key: value for key, value in given.items() if value is not None}
    role = next((fields.pop(key) for key in _ROLE if key in fields), None)
    if isinstance(role, dict):
        role = role.get("role")
    if not isinstance(role, str) or not role.strip():
        raise DatasetSourceError(
            f"{where} has no role (its keys: {', '.join(map(str, given)) or 'none'}); "
            'expected "role" and "content", or "from" and "value"'
        )
    content = next((fields.pop(key) for key in _CONTENT if key in fields), None)
    if content is None and not fields.get("tool_calls"):
        raise DatasetSourceError(f"{where} ({role}) has no content")
    message = {"role": _role_name(role), "content": _content(content, where), **fields}
    if isinstance(fields.get("tool_calls"), list):
        message["tool_calls"] = [_tool_call(call) for call in fields["tool_calls"]]
    return message


def _content(content: Any, where: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = content.get("parts", [content])
    if not isinstance(content, list):
        raise DatasetSourceError(
            f"{where} has a {type(content).__name__} for its content; expected text"
        )
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        if not isinstance(text, str) or kind not in _TEXT_PARTS:
            what = kind if isinstance(part, dict) else type(part).__name__
            raise DatasetSourceError(
                f"{where} has a part that is no text ({what}); only text can be read: "
                "leave such rows out"
            )
        texts.append(text)
    return "".join(texts)


def _tool_call(call: Any) -> Any:
    """A tool call with its arguments as an object, as templates expect them."""
    if not isinstance(call, dict):
        return call
    call = {key: value for key, value in call.items() if value is not None}
    function = call.get("function")
    if isinstance(function, dict) and isinstance(function.get("arguments"), str):
        try:
            arguments = json.loads(function["arguments"])
        except (ValueError, RecursionError):
            return call  # no JSON: templates get it as it is
        if isinstance(arguments, dict):
            call["function"] = {**function, "arguments": arguments}
    return call


def _tools(tools: Any, where: str) -> list[Any] | None:
    if isinstance(tools, str):
        try:
            tools = json.loads(tools) if tools.strip() else None
        except (ValueError, RecursionError) as error:
            raise DatasetSourceError(
                f"{where} has tools that are no JSON; expected a list"
            ) from error
    if not tools:
        return None
    if not isinstance(tools, list):
        raise DatasetSourceError(f"{where} has tools that are no list; expected a list of objects")
    return tools


def _role_name(role: str) -> str:
    plain = role.strip().lower()
    return ROLES.get(plain, plain)
