"""The one string that a reply in JSON is about.

Bare, in a fence, after prose or before it, in a list, written as Python writes dictionaries, or
cut off at the token limit.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import regex

from autointerp_core.labels.providers.reply_markup import spoken

LONGEST = 20_000
"""Characters; a longer reply is read as text."""
DEEPEST = 12
"""Levels of lists and objects; what lies deeper is no answer."""

JSON_IN_JSON = 3
"""Times that the string in JSON is itself read as JSON."""

_NAMES = (
    "label",
    "labels",
    "finallabel",
    "featurelabel",
    "shortlabel",
    "bestlabel",
    "answer",
    "finalanswer",
    "name",
    "title",
    "concept",
    "pattern",
    "feature",
    "topic",
    "theme",
    "category",
    "tag",
    "verdict",
    "output",
    "result",
    "response",
    "final",
    "explanation",
    "description",
    "summary",
    "text",
    "content",
    "value",
    *("标签", "標籤", "答案", "ラベル", "라벨", "레이블", "метка", "ответ", "тег"),
    *("etiqueta", "étiquette", "etikett", "bezeichnung", "antwort", "réponse", "respuesta"),
    *("etichetta", "risposta", "rótulo", "resposta", "etykieta", "etiket", "تسمية", "लेबल"),
)
_ASIDE = regex.compile(
    r"think|thought|reason|analys|rationale|explan|note|comment|confiden|evidence|example|justif"
    r"|error|role|model|type|id$|lang|descri",
    regex.IGNORECASE,
)
_FENCE = regex.compile(r"```[\w-]*\s*\n?|~~~[\w-]*\s*\n?")
_LIST = regex.compile(r"\[\s*[\"'{\[]")
_ALONE = regex.compile(r"(?:\A|\n|[:：])[^\S\n]*\Z")
"""What stands before a list that is the answer; one in a sentence is a quotation."""
_STRICT = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class InJson:
    """What a reply that holds JSON says; ``text`` is None where no string in it is the answer."""

    text: str | None


def read_json(reply: str, field: str = "label") -> InJson | None:
    """The answer in a reply's JSON; None where the reply holds no JSON.

    Args:
        reply: what the model wrote, without its thoughts.
        field: the name that the answer was asked for under.
    """
    text = _without_comments(_FENCE.sub("", reply)).strip()
    if regex.match(r'[{\[]\s*\\"', text):
        text = text.replace('\\"', '"')
    if len(text) > LONGEST or not regex.search(r'[{\[]|^"', text):
        return None
    values = _values(text)
    if not values:
        return _cut_off(text, field)
    found = [said for value in values if (said := _pick(value, field, 0)) is not None]
    return InJson(found[-1] if found else None)


def ends_in_json(reply: str) -> bool:
    """Whether a reply ends inside an object: its last word may be half of one."""
    text = _FENCE.sub("", reply).strip()
    begin = regex.search(r"^\{\s*[\"']", text, regex.MULTILINE)
    return begin is not None and len(text) <= LONGEST and not _values(text[begin.start() :])


def answer_text(reply: str | None, field: str = "label") -> str:
    """What is left of a reply without thoughts, markers and JSON; empty where nothing is."""
    said = spoken(reply or "").text
    for _ in range(JSON_IN_JSON):
        found = read_json(said, field)
        if found is None:
            break
        said = spoken(found.text or "").text
    return said


def json_strings(reply: str) -> list[str] | None:
    """Every string in a reply that is JSON; None of one that is not, or only quotes some.

    Args:
        reply: what the model wrote, without its thoughts.
    """
    text = _without_comments(_FENCE.sub("", reply)).strip()
    if len(text) > LONGEST or not regex.search(r"[{\[]", text):
        return None
    found = [said for value in _values(text) for said in _strings(value, 0)]
    # Names, brackets and quotes are the rest of it.
    return found if sum(map(len, found)) * 2 > len(text) else None


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < DEEPEST and isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner, depth + 1)


_STRING_OR_COMMENT = regex.compile(
    r"(?P<string>\"(?:[^\"\\\n]|\\.)*+\")|(?<![:\w])//[^\n]*|/\*.*?\*/|(?<=[,{\[]|^)[^\S\n]*+\#[^\n]*",
    regex.DOTALL | regex.MULTILINE,
)
_STRING_OR_COMMA = regex.compile(r"(?P<string>\"(?:[^\"\\\n]|\\.)*+\")|,(?=\s*[}\]])")


def _without_comments(text: str) -> str:
    """An object without what JSON itself has not: comments, and a comma after the last entry."""
    begin = regex.search(r"^\s*\{", text, regex.MULTILINE)
    if begin is None or len(text) > LONGEST:
        return text
    head, said = text[: begin.start()], text[begin.start() :]
    for pattern in (_STRING_OR_COMMENT, _STRING_OR_COMMA):
        said = pattern.sub(lambda found: found["string"] or "", said)
    return head + said


def _values(text: str) -> list[Any]:
    """Every outermost object, list or sole string, in order."""
    if text.startswith('"'):
        whole = _decoded(text, 0)
        alone = whole is not None and not text[whole[1] :].strip()
        return [whole[0]] if whole and alone and regex.search(r"[\p{L}\p{N}]", whole[0]) else []
    values, at = [], 0
    while (start := regex.search(r"\{|\[", text[at:])) is not None:
        begin = at + start.start()
        at = begin + 1
        if text[begin] == "[" and not (_LIST.match(text, begin) and _ALONE.search(text[:begin])):
            continue
        found = _decoded(text, begin) or _as_python(text, begin)
        if found is not None and found[0] not in ({}, []):
            values.append(found[0])
            at = found[1]
    return values


def _decoded(text: str, begin: int) -> tuple[Any, int] | None:
    try:
        value, end = _STRICT.raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None
    return value, end


def _as_python(text: str, begin: int) -> tuple[Any, int] | None:
    """A dictionary or list in Python's quotes, or with a comma too many."""
    shape = regex.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}|\[[^\[\]]*\]").match(text, begin)
    if shape is None or len(shape[0]) > 2000 or "\\" in shape[0]:
        return None
    try:
        value = ast.literal_eval(shape[0])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    # {'a'} is a set: braces around a word.
    return (value, shape.end()) if isinstance(value, dict | list) else None


def _pick(value: Any, field: str, depth: int) -> str | None:
    """The string that a value is about, or None."""
    if depth > DEEPEST:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list):
        picked = (_pick(item, field, depth + 1) for item in value if not isinstance(item, bool))
        return next((said for said in picked if said is not None), None)
    if isinstance(value, dict):
        return _pick_named(value, field, depth + 1)
    return None


def _pick_named(value: dict[Any, Any], field: str, depth: int) -> str | None:
    if "$schema" in value or (value.get("type") == "object" and "properties" in value):
        return None  # the form that was asked for, repeated
    named = {_plain(str(name)): inner for name, inner in value.items()}
    for wrapper in ("arguments", "parameters"):
        if isinstance(named.get(wrapper), dict):
            return _pick(named[wrapper], field, depth)
    for name in (_plain(field), *_NAMES):
        if name in named:
            said = _pick(named[name], field, depth)
            if said is not None or name == _plain(field):
                return said
    rest = [inner for name, inner in value.items() if not _ASIDE.search(str(name))]
    rest = [inner for inner in rest if isinstance(inner, str | dict | list)]
    return _pick(rest[0], field, depth) if len(rest) == 1 else None


def _plain(name: str) -> str:
    return regex.sub(r"[^\p{L}\p{N}]", "", name).casefold()


def _cut_off(text: str, field: str) -> InJson | None:
    """What was written of the field's string where the end is missing or the quotes are wrong."""
    start = regex.search(
        rf'[{{,]\s*["\']?{regex.escape(field)}["\']?\s*:\s*"((?:[^"\\]|\\.)*+)', text, regex.I
    )
    if start is None:
        name = rf"\{{\s*[\"']?{regex.escape(field)}[\"']?"
        bare = regex.match(rf"{name}\s*[:=]\s*([^\"'{{}}\[\],\n]+)\}}?\s*$", text, regex.I)
        return InJson(bare[1].strip()) if bare is not None else None
    try:
        return InJson(str(json.loads(f'"{start[1]}"', strict=False)))
    except ValueError:
        return InJson(start[1])
