"""How a page is looked at (tab, window, layout, plot): kept in the address and in the session.

A link shows what its sender saw; who comes back by the navigation finds what was left. The
address is the state: widgets are set from it, and their callbacks change it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ui import session, url


@dataclass
class Looks:
    """What was chosen last in this session, by name."""

    values: dict[str, str] = field(default_factory=dict)


def value(name: str, options: Collection[str], default: str) -> str:
    """What the address says, else what was chosen last, else the default."""
    kept = session.memory(Looks).values
    given = url.params().get(name)
    found = kept.get(name, default) if given is None else given
    found = found if found in options else default
    kept[name] = found
    if given is None and found != default:
        url.put(url.params() | {name: found})
    return found


def choose(name: str, chosen: str | None) -> None:
    """Callback of a widget: what it shows now is in the address."""
    if chosen is not None:
        session.memory(Looks).values[name] = chosen
        url.put(url.params() | {name: chosen})


def widget(name: str, key: str, options: Collection[str], default: str) -> str:
    """Set a widget that holds one of the options from the address, before it is shown."""
    found = value(name, options, default)
    session.set_widget(key, found)
    return found


def switch(name: str, key: str, *, default: bool = False) -> bool:
    """Set a widget that is on or off from the address, before it is shown."""
    found = value(name, ("0", "1"), str(int(default))) == "1"
    session.set_widget(key, found)
    return found


def chosen_in(name: str, key: str) -> None:
    """Callback: take the value of the widget ``key``."""
    found = session.widget(key)
    choose(name, str(int(found)) if isinstance(found, bool) else found)
