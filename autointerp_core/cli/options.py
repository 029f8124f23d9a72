"""Command-line options made from the fields of a configuration, so that each is written once.

A configuration is a frozen dataclass whose fields are ``Annotated[type, Doc("what it does")]``:
type, default and help of an option are the field's own.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Annotated, Any

import typer
from annotated_doc import Doc

Command = Callable[..., None]


@dataclass(frozen=True)
class Knob:
    """One option: its name in Python, and where its type, default and help are written."""

    name: str
    config: type
    field: str

    def parameter(self, *, required: bool = True) -> inspect.Parameter:
        """The option as a keyword parameter that typer understands.

        Without ``required`` a field without a default may be left out, and is None then.
        """
        found: Field[Any] = {f.name: f for f in fields(self.config)}[self.field]
        hint = typing.get_type_hints(self.config, include_extras=True)[self.field]
        told = "".join(part.documentation for part in _notes(hint) if isinstance(part, Doc))
        kind, default = _plain(hint), _default(found)
        if default is ... and not required:
            kind, default = kind | None, None
        return option(self.name, kind, default, told)


def option(name: str, kind: Any, default: Any, told: str) -> inspect.Parameter:
    """A keyword parameter for typer. ``default`` ``...`` makes it required."""
    flag = f"--{name.replace('_', '-')}"
    given = f"{flag}/--no-{name.replace('_', '-')}" if kind in (bool, bool | None) else flag
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is ... else default,
        annotation=Annotated[kind, typer.Option(given, help=told, show_default=_shown(default))],
    )


def with_options(
    function: Callable[[Mapping[str, Any]], None], parameters: list[inspect.Parameter]
) -> Command:
    """``function`` of a mapping as a command with these options."""

    def command(**values: Any) -> None:
        function(values)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__dict__["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _notes(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()


def _plain(hint: Any) -> Any:
    """The type an option is read as: a scalar or None, text for paths and lists."""
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    choices = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    scalar = next((one for one in (str, bool, int, float) if one in choices), str)
    return scalar | None if types.NoneType in choices else scalar


def _default(found: Field[Any]) -> Any:
    if found.default is MISSING:
        return ...
    # Several names are one text on a command line.
    listed = isinstance(found.default, tuple)
    return (",".join(found.default) or "none") if listed else found.default


def _shown(default: Any) -> bool:
    return default is not ... and default is not None and default != ""
