"""What a person decides about a feature, what comes of it, and whether somebody was faster.

Pure functions of a feature's events: :meth:`.history.LabelHistory.decide` reads those events
and records what :func:`resolve` says, in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from autointerp_core.errors import LabelConflict, ParameterError
from autointerp_core.store.events import (
    ACCEPTED,
    FLAGGED,
    IMPORTED,
    NOTED,
    OVERRIDDEN,
    REVERTED,
    TOPIC_OF,
    UNDONE,
    UNFLAGGED,
    WITH_LABEL_TEXT,
    LabelEvent,
    NewEvent,
)
from autointerp_core.store.text_cleaning import clean_label, clean_note, one_line

Action: TypeAlias = Literal["accept", "override", "revert", "undo", "flag", "unflag", "note"]
_CHOICES = {"accept": ACCEPTED, "revert": REVERTED}
_FLAGS = {"flag": FLAGGED, "unflag": UNFLAGGED}
TOPICS: dict[Action, str] = {
    "accept": "label",
    "override": "label",
    "revert": "label",
    "flag": "flag",
    "unflag": "flag",
    "note": "note",
}
"""What each action decides on; ``undo`` is about whatever it undoes."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing a person decided, and the last event of the feature that they had seen."""

    action: Action
    sae: str
    """Fingerprint of the SAE."""
    feature: int
    based_on: int | None = None
    """Id of the feature's last event the person had seen (``LabelState.last_event``; 0: none).

    None: not known, and then no conflict can be told.
    """
    text: str = ""
    """The label of an ``override``, or the ``note`` (an empty one removes it)."""
    event: int | None = None
    """The event accepted, reverted to or undone; ``undo`` of an imported proposal withdraws it.
    Without one it takes back the last decision, flag or note that the person had seen and that
    still stands."""
    proposal: NewEvent | None = None
    """A text from elsewhere, recorded before the decision, which then accepts it."""
    reason: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """SAE and feature."""
        return self.sae, int(self.feature)

    def check(self) -> None:
        """Refuse what needs no look at the history.

        Raises:
            LabelRejected: the label is empty or has more than 9 words.
            ParameterError: unknown action, negative feature, or nothing named to accept.
        """
        if self.action not in (*TOPICS, "undo"):
            raise ParameterError(
                f"{self.action!r} is no decision; one of: undo, {', '.join(TOPICS)}"
            )
        if self.action == "override":
            clean_label(self.text)
        if self.proposal is not None:
            self.proposal.check()
            if self.action != "accept" or (self.proposal.sae, self.proposal.feature) != self.key:
                raise ParameterError("a proposal can only be accepted, for its own feature")
        elif self.action in _CHOICES and self.event is None:
            raise ParameterError(f"say which event to {self.action} on feature {self.feature}")
        if not self.sae or self.feature < 0:
            raise ParameterError("a decision needs the SAE's fingerprint and a feature from 0 on")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a decision."""

    decision: Decision
    event: LabelEvent | None
    """What was recorded; None where nothing was left to record (undone already)."""
    theirs: LabelEvent | None = None
    """The newest event on the same topic that the person had not seen: somebody was faster.

    Both events are kept; the one recorded last counts.
    """
    topic: str = ""
    """``label``, ``flag`` or ``note``: what the event recorded decides on."""

    @property
    def conflict(self) -> str:
        """One line about it, empty where nobody else changed anything."""
        return str(EditConflict(self.event, self.theirs)) if self.theirs is not None else ""


class EditConflict(LabelConflict):
    """Somebody else decided on this feature since the caller last saw it.

    Both events are in the history. ``mine`` is the one just recorded (None where there was
    nothing left to record: what the caller wanted to undo had been undone already);
    ``theirs`` the newest one the caller had not seen.
    """

    def __init__(self, mine: LabelEvent | None, theirs: LabelEvent) -> None:
        self.mine = mine
        self.theirs = theirs
        what = f"{theirs.kind} {theirs.text!r}" if theirs.text else theirs.kind
        yours = (
            "your change is saved too and counts as the newest; both are in the history"
            if mine is not None
            else "there was nothing left for you to undo"
        )
        super().__init__(
            f"feature {theirs.feature} was changed meanwhile by {theirs.author or 'somebody'} "
            f"({what}, {theirs.time}); {yours}"
        )


def named(author: str) -> str:
    """The author's name on one line.

    Raises:
        ParameterError: it is empty.
    """
    name = one_line(author)
    if not name:
        raise ParameterError("a decision needs the name of its author")
    return name


def resolve(
    decision: Decision, events: Sequence[LabelEvent], author: str, own: Collection[int] = ()
) -> tuple[NewEvent | None, LabelEvent | None]:
    """What to record for ``decision`` (None: nothing is left to), and whom it crosses.

    ``events`` are those of its feature, ids ascending; a proposal that comes with the decision
    is the last of them. ``own`` are events made together with this one: they cross nobody.

    Raises:
        LabelRejected: the label is empty or has more than 9 words.
        ParameterError: no such event, one without a label text, or nothing to undo.
    """
    if decision.action == "undo":
        return _undo(decision, events, author, own)
    new = _new_event(decision, events, author)
    return new, _unseen(events, TOPIC_OF[new.kind], decision.based_on, own)


def _new_event(decision: Decision, events: Sequence[LabelEvent], author: str) -> NewEvent:
    text: str | None = None
    parent: int | None = None
    if decision.action in _CHOICES:
        chosen = _named_event(decision, events)
        if chosen.kind not in WITH_LABEL_TEXT or not chosen.text:
            raise ParameterError(
                f"event {chosen.id} of feature {decision.feature} is {chosen.kind!r}: "
                "it holds no label"
            )
        kind, text, parent = _CHOICES[decision.action], chosen.text, chosen.id
    elif decision.action == "override":
        kind, text = OVERRIDDEN, clean_label(decision.text)
    elif decision.action == "note":
        kind, text = NOTED, clean_note(decision.text)
    else:
        kind = _FLAGS[decision.action]
    return NewEvent(*decision.key, kind, text, author=author, reason=decision.reason, parent=parent)


def _undo(
    decision: Decision, events: Sequence[LabelEvent], author: str, own: Collection[int]
) -> tuple[NewEvent | None, LabelEvent | None]:
    based_on = decision.based_on
    if decision.event is None:
        seen = [e for e in events if based_on is None or e.id <= based_on]
        target = _last_standing(seen)
        if target is None:
            raise ParameterError(f"there is nothing to undo on feature {decision.feature}")
    else:
        target = _named_event(decision, events)
        if target.kind not in TOPIC_OF and target.kind != IMPORTED:
            raise ParameterError(
                f"event {target.id} of feature {decision.feature} is {target.kind!r}: "
                "only decisions, flags, notes and imported proposals can be undone"
            )
        based_on = max(based_on or 0, target.id)
    # Withdrawing a proposal crosses nobody: what was decided since stays.
    topic = TOPIC_OF.get(target.kind)
    theirs = None if topic is None else _unseen(events, topic, based_on, own)
    if any(e.kind == UNDONE and e.parent == target.id for e in events):
        return None, theirs
    new = NewEvent(
        *decision.key,
        UNDONE,
        target.text,
        author=author,
        reason=decision.reason,
        parent=target.id,
    )
    return new, theirs


def _named_event(decision: Decision, events: Sequence[LabelEvent]) -> LabelEvent:
    """The event a decision is about."""
    if decision.proposal is not None:
        return events[-1]
    for event in reversed(events):
        if event.id == decision.event:
            return event
    raise ParameterError(f"feature {decision.feature} has no label event {decision.event}")


def _last_standing(events: Sequence[LabelEvent]) -> LabelEvent | None:
    undone = {e.parent for e in events if e.kind == UNDONE}
    for event in reversed(events):
        if event.kind in TOPIC_OF and event.id not in undone:
            return event
    return None


def _unseen(
    events: Sequence[LabelEvent], topic: str, based_on: int | None, own: Collection[int]
) -> LabelEvent | None:
    """The newest event on the same topic that came after ``based_on``."""
    if based_on is None:
        return None
    kinds = {event.id: event.kind for event in events}
    for event in reversed(events):
        if event.id <= based_on:
            return None
        if event.id in own:
            continue
        about = kinds.get(event.parent or 0, "") if event.kind == UNDONE else event.kind
        if TOPIC_OF.get(about) == topic:
            return event
    return None


def topic_of(event: LabelEvent | None, events: Sequence[LabelEvent]) -> str:
    """What a decision, or the undoing of one, is about; empty for other events."""
    if event is not None and event.kind == UNDONE:
        event = next((e for e in events if e.id == event.parent), None)
    return TOPIC_OF.get(event.kind, "") if event is not None else ""
