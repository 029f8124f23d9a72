"""What a file of another tool says of features: plain labels and scores, each with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class IncomingLabel:
    """A text that somebody proposed for a feature."""

    feature: int
    text: str
    source: str
    """What the event is to say: ``import:…``."""
    where: str
    """File and line, for messages."""
    origin: str | None = None
    """Who said it there, as label events have it, where the file knows: ``llm:<model>`` …"""
    method: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else the file says of it, kept with the event."""


@dataclass(frozen=True)
class IncomingScore:
    """What a scorer found of a text."""

    feature: int
    text: str
    scorer: str
    result: Mapping[str, Any]
    """As a scored event holds it: ``value`` and what else is known."""
    where: str


@dataclass(frozen=True)
class Incoming:
    """All that a file or folder says."""

    labels: tuple[IncomingLabel, ...] = ()
    scores: tuple[IncomingScore, ...] = ()
    notices: tuple[str, ...] = ()
