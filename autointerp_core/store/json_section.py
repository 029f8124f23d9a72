"""JSON objects with named fields: frozen dataclasses that read and write themselves.

Keys are written in the order of the fields. A field that is absent from a file has its
default; one marked :func:`only_if_given` is left out of the file where it has none. Keys that
are not known (a newer version's, say) are kept and written back behind the known ones.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self


def only_if_given() -> Any:
    """An optional field that older files lack: not written where it is None."""
    return field(default=None, metadata={"only_if_given": True})


@dataclass(frozen=True, kw_only=True)
class Section:
    """A JSON object with named fields; the values of fields may be sections, too."""

    more: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Keys that are no field of this version."""

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read an object.

        Raises:
            KeyError: a key that every file must have is missing.
            TypeError: a value is of the wrong kind.
        """
        kind: Any = cls  # a class is hashable; mypy takes the hash of its instances
        known = _sections(kind)
        given: dict[str, Any] = {}
        for name, (section, many) in known.items():
            if name not in raw or (raw[name] is None and name in _optional(kind)):
                continue
            if section is None:
                given[name] = tuple(raw[name]) if many and raw[name] is not None else raw[name]
            elif many:
                given[name] = tuple(section.from_json(entry) for entry in raw[name])
            else:
                given[name] = section.from_json(raw[name])
        missing = _required(kind) - given.keys()
        if missing:
            raise KeyError(sorted(missing)[0])
        return cls(**given, more={key: value for key, value in raw.items() if key not in known})

    def to_json(self) -> dict[str, Any]:
        """The object to write, keys in order."""
        found: dict[str, Any] = {}
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            left_out = value is None and entry.metadata.get("only_if_given")
            if entry.name != "more" and not left_out:
                found[entry.name] = _plain(value)
        return found | dict(self.more)


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


@cache
def _sections(kind: type[Section]) -> dict[str, tuple[type[Section] | None, bool]]:
    """For each field of ``kind``: the section its value is, if any, and whether it is a list."""
    hints = typing.get_type_hints(kind)
    found: dict[str, tuple[type[Section] | None, bool]] = {}
    for entry in dataclasses.fields(kind):
        if entry.name == "more":
            continue
        hint = hints[entry.name]
        inner = next((one for one in (hint, *typing.get_args(hint)) if _is_list(one)), hint)
        many = inner is not hint or _is_list(hint)
        inner = typing.get_args(inner)[0] if many else hint
        choices = typing.get_args(inner) or (inner,)
        section = next(
            (one for one in choices if isinstance(one, type) and issubclass(one, Section)), None
        )
        found[entry.name] = section, many
    return found


@cache
def _optional(kind: type[Section]) -> frozenset[str]:
    """Fields that are None where nothing is known; written as null, some of them."""
    return frozenset(entry.name for entry in dataclasses.fields(kind) if entry.default is None)


def _is_list(hint: Any) -> bool:
    return typing.get_origin(hint) is tuple


@cache
def _required(kind: type[Section]) -> frozenset[str]:
    return frozenset(
        entry.name
        for entry in dataclasses.fields(kind)
        if entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
    )
