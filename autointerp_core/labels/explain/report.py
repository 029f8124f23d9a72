"""What a labelling run did."""

from __future__ import annotations

from dataclasses import dataclass, field

import regex

_AMOUNT = regex.compile(r"(?<!status )(?<!\()\b\d[\d.,]*")
"""A number in a server's words that differs from one prompt to the next; its status does not."""


@dataclass
class GenerationReport:
    """Counts of one run. Features that never fire are counted as ``dead`` and not asked about."""

    made: int = 0
    reused: int = 0
    failed: int = 0
    dead: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None
    """US dollars; None where no price is known."""
    stopped: str | None = None
    """Why the run ended before every feature was asked about (a budget); else None."""
    notices: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    """Why labels failed, and how many did so."""

    def fail(self, reason: str) -> None:
        """Count a label that could not be made; reasons alike but for amounts are one."""
        self.failed += 1
        self._count(reason, 1)

    def add(self, other: GenerationReport) -> None:
        """Count another run over the same features in; ``dead`` features stay the same ones."""
        self.made += other.made
        self.reused += other.reused
        for reason, count in other.reasons.items():
            self._count(reason, count)
        self.failed += other.failed
        self.dead = max(self.dead, other.dead)
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out
        self.seconds += other.seconds
        if other.cost is not None:
            self.cost = (self.cost or 0.0) + other.cost
        self.stopped = self.stopped or other.stopped
        self.notices = list(dict.fromkeys([*self.notices, *other.notices]))

    def _count(self, reason: str, count: int) -> None:
        shape = _AMOUNT.sub("#", reason)
        alike = (known for known in self.reasons if _AMOUNT.sub("#", known) == shape)
        known = next(alike, reason)
        self.reasons[known] = self.reasons.get(known, 0) + count
