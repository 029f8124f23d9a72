"""The scorers there are, by name, and how a person names some of them."""

from __future__ import annotations

from autointerp_core.errors import ParameterError

NONE = "none"
SCORERS = ("embedding", "detection", "fuzzing")
JUDGED = ("detection", "fuzzing")
"""Scorers that ask a language model."""


def parse_scoring(text: str) -> tuple[str, ...]:
    """``"embedding,fuzzing"``, ``"all"`` or ``"none"`` as scorers, in the usual order.

    Raises:
        ParameterError: there is no such scorer.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if parts == ["all"]:
        return SCORERS
    if parts in ([], [NONE]):
        return ()
    for part in parts:
        one_of("scoring", part, SCORERS if len(parts) > 1 else (*SCORERS, "all", NONE))
    return tuple(scorer for scorer in SCORERS if scorer in parts)


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a name that is not known, listing those that are."""
    if value not in allowed:
        raise ParameterError(f"{name} is {value!r}; choose from {', '.join(allowed)}")
