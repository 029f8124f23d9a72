"""What one row of the label history is: an immutable event about one feature of one SAE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autointerp_core.errors import ParameterError

GENERATED = "generated"
IMPORTED = "imported"
SCORED = "scored"
MEASURED = "measured"
"""Found out about a feature, or about a label, that ranks no labels."""
FAILED = "failed"
ACCEPTED = "accepted"
OVERRIDDEN = "overridden"
REVERTED = "reverted"
UNDONE = "undone"
FLAGGED = "flagged"
UNFLAGGED = "unflagged"
NOTED = "noted"

PROPOSALS = frozenset({GENERATED, IMPORTED})
MACHINE_KINDS = frozenset({GENERATED, SCORED, MEASURED, FAILED})
"""What a machine says of a feature from the documents of one study, and of that study alone."""
UNKNOWN_STUDY = "?"
"""``study`` of an event of an older database that may be from any of several studies."""
TOPIC_OF = {
    ACCEPTED: "label",
    OVERRIDDEN: "label",
    REVERTED: "label",
    FLAGGED: "flag",
    UNFLAGGED: "flag",
    NOTED: "note",
}
"""Human decisions that can be undone, and what each of them decides on."""
DECISIONS = frozenset({ACCEPTED, OVERRIDDEN, REVERTED})
WITH_LABEL_TEXT = PROPOSALS | DECISIONS
KINDS = frozenset(TOPIC_OF) | PROPOSALS | {SCORED, MEASURED, FAILED, UNDONE}


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """One event of the history as it is stored."""

    id: int
    """Grows in the order in which events were committed; never used twice."""
    sae: str
    feature: int
    kind: str
    text: str | None
    source: str
    """``llm:<model>``, ``search``, ``human`` or ``import:<file>``."""
    method: str | None
    author: str | None
    reason: str | None
    time: str
    """UTC, ISO 8601 with microseconds and a ``Z``."""
    parent: int | None
    """The event this one is about: the proposal accepted or scored, the decision undone."""
    details: Mapping[str, Any] = field(default_factory=dict)
    study: str | None = None
    """Id of the study whose documents a machine made it from; None: of no study in particular, as
    what people decide."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be recorded; the store adds id and time."""

    sae: str
    feature: int
    kind: str
    text: str | None = None
    source: str = "human"
    method: str | None = None
    author: str | None = None
    reason: str | None = None
    parent: int | None = None
    details: Mapping[str, Any] | None = None
    study: str | None = None
    """None: what ``details["study"]`` says, if anything."""

    def check(self) -> None:
        """Refuse what the history has no meaning for.

        Raises:
            ParameterError: unknown kind, no SAE, negative feature, or a proposal without text.
        """
        if self.kind not in KINDS:
            raise ParameterError(
                f"{self.kind!r} is no kind of label event; one of: {', '.join(sorted(KINDS))}"
            )
        if not self.sae or not self.source:
            raise ParameterError("a label event needs the SAE's fingerprint and a source")
        if self.feature < 0:
            raise ParameterError(f"feature {self.feature} is negative; features count from 0")
        if self.kind in WITH_LABEL_TEXT and not (self.text and self.text.strip()):
            raise ParameterError(f"a {self.kind!r} event needs a text (feature {self.feature})")
        if self.kind in (SCORED, UNDONE) and self.parent is None:
            raise ParameterError(f"a {self.kind!r} event needs the event it is about as parent")
