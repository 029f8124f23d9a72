"""What labels, scores and measures took: requests of models in tokens, seconds and money."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autointerp_core.store.event_details import GenerationDetails, MeasuredDetails, ScoreDetails
from autointerp_core.store.events import FAILED, GENERATED, MEASURED, SCORED, LabelEvent


@dataclass
class CostLine:
    """One kind of work."""

    what: str
    by: str
    count: int = 0
    """Labels made, labels scored, or subjects measured."""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    dollars: float | None = None
    """Of those whose price is known; None where none is."""

    @property
    def seconds_each(self) -> float:
        return self.seconds / self.count if self.count else 0.0

    @property
    def tokens_each(self) -> float:
        return (self.tokens_in + self.tokens_out) / self.count if self.count else 0.0

    @property
    def dollars_each(self) -> float | None:
        return None if self.dollars is None or not self.count else self.dollars / self.count

    def add(self, found: GenerationDetails | ScoreDetails | MeasuredDetails) -> None:
        self.count += 1
        self.tokens_in += found.tokens_in
        self.tokens_out += found.tokens_out
        self.seconds += found.seconds
        if found.cost is not None:
            self.dollars = (self.dollars or 0.0) + found.cost


def cost_lines(events: Iterable[LabelEvent]) -> list[CostLine]:
    """A line a kind of work and who did it, in the order in which they first happened.

    The labels of other features that scores are compared with are not in it: they belong to no
    label.
    """
    lines: dict[tuple[str, str], CostLine] = {}
    for event in events:
        details: GenerationDetails | ScoreDetails | MeasuredDetails
        if event.kind in (GENERATED, FAILED):
            what = "labels made" if event.kind == GENERATED else "labels failed"
            what = f"{what}: {event.method or event.source}"
            by, details = event.source, GenerationDetails.from_json(event.details)
        elif event.kind == SCORED:
            details = ScoreDetails.from_json(event.details)
            judges = sorted({str(judge) for judge in details.judges.values() if judge})
            what, by = f"labels scored: {event.method or ''}", ", ".join(judges)
        elif event.kind == MEASURED:
            details = MeasuredDetails.from_json(event.details)
            what, by = f"measured: {event.method or ''}", event.source
        else:
            continue
        lines.setdefault((what, by), CostLine(what, by)).add(details)
    return list(lines.values())
