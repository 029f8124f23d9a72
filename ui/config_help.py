"""What a configuration says of its own fields, for the forms that ask for them."""

from __future__ import annotations

import typing
from functools import cache
from typing import Any

from annotated_doc import Doc


def help_of(config: type, name: str) -> str:
    """The help text of a field: what the command line says of its flag."""
    notes = typing.get_args(_hints(config)[name])[1:]
    return "".join(note.documentation for note in notes if isinstance(note, Doc))


@cache
def _hints(config: type) -> dict[str, Any]:
    return typing.get_type_hints(config, include_extras=True)
