"""Implementations of a protocol by name, so that adding one touches its own file alone.

Every module of a registry's package is one implementation, which registers itself when it is
imported; a package of somebody else's may register more. Nothing is imported before a name is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from autointerp_core.errors import KnobError, ParameterError

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """What there is of one kind, by name.

    Args:
        what: the kind, for messages: "scorer".
        package: whose modules register themselves.
        order: sorts the names for people, from name and implementation; by default by name.
    """

    def __init__(
        self, what: str, package: str, order: Callable[[str, T], object] | None = None
    ) -> None:
        self.what, self._package, self._order = what, package, order
        self._found: dict[str, T] = {}
        self._read = False

    def register(self, name: str, thing: T) -> None:
        """Make ``thing`` known as ``name``.

        Raises:
            ParameterError: something else has that name.
        """
        if self._found.setdefault(name, thing) is not thing:
            raise ParameterError(f"there are two {self.what}s called {name!r}; rename one")

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order in which they are shown."""
        found = self._all()
        order = self._order
        return tuple(sorted(found, key=lambda n: (order(n, found[n]) if order else 0, n)))

    def named(self, name: str) -> T:
        """The implementation called ``name``.

        Raises:
            ParameterError: there is none.
        """
        found = self._all()
        if name not in found:
            raise ParameterError(
                f"no {self.what} {name!r}; choose from {', '.join(self.names) or 'none'}"
            )
        return found[name]

    def __getitem__(self, name: str) -> T:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, T]:
        if not self._read:
            self._read = True
            for module in iter_modules(import_module(self._package).__path__):
                import_module(f"{self._package}.{module.name}")
        return self._found


def one_of(knob: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a name that is not known, listing those that are.

    Raises:
        KnobError: it is none of them.
    """
    if value not in allowed:
        raise KnobError(f"{{0}} is {value!r}; choose from {', '.join(allowed)}", knob)
