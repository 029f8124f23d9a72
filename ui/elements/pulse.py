"""Tells within seconds that the server does not answer any more, in words."""

from __future__ import annotations

from ui.elements.component import register

_PULSE = register("pulse")


def show() -> None:
    """Ask the server now and then whether it is there; the browser does."""
    _PULSE(key="pulse", data={}, width=1)
