"""The label history: every proposal, score and human decision, kept for good in SQL.

One append-only table of events (see :mod:`.schema`), copied line by line to a backup file
(see :mod:`.history_store`); what is true now is derived from it (see :mod:`.label_state`).
Safe to use from many threads and many processes at once: writers queue on a lock file and on
the database's own write lock; readers never wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from autointerp_core.errors import LabelStoreError
from autointerp_core.store.adopt_events import features_of, missing_rows
from autointerp_core.store.decisions import (
    Decision,
    EditConflict,
    Outcome,
    named,
    resolve,
    topic_of,
)
from autointerp_core.store.event_rows import append, event_of, row_of, store_of
from autointerp_core.store.events import KINDS, LabelEvent, NewEvent
from autointerp_core.store.history_reader import of_features
from autointerp_core.store.history_store import HistoryStore
from autointerp_core.store.label_state import LabelState, Proposal, derive
from autointerp_core.store.schema import now
from autointerp_core.store.text_cleaning import clean_label

__all__ = [
    "KINDS",
    "Decision",
    "EditConflict",
    "LabelEvent",
    "LabelHistory",
    "LabelState",
    "NewEvent",
    "Outcome",
    "Proposal",
    "clean_label",
    "derive",
]


class LabelHistory(HistoryStore):
    """An open label history. Use :meth:`open`; close it, or use it in a ``with``."""

    # ------------------------------------------------------------------ recording

    def record(
        self,
        sae: str,
        feature: int,
        kind: str,
        text: str | None = None,
        *,
        source: str,
        method: str | None = None,
        author: str | None = None,
        reason: str | None = None,
        parent: int | None = None,
        details: Mapping[str, Any] | None = None,
        study: str | None = None,
    ) -> LabelEvent:
        """Record one event. For what a person decides use :meth:`accept` and its like.

        Raises:
            ParameterError: an event that means nothing (unknown kind, proposal without text…).
            LabelStoreError: it could not be saved.
        """
        new = NewEvent(
            sae, feature, kind, text, source, method, author, reason, parent, details, study
        )
        return self.record_many([new])[0]

    def record_many(self, events: Iterable[NewEvent]) -> list[LabelEvent]:
        """Record all of ``events`` in one transaction, or none of them.

        Raises:
            ParameterError: one of them means nothing.
            LabelStoreError: they could not be saved.
        """
        batch = list(events)
        for event in batch:
            event.check()
        if not batch:
            return []
        return self._write(lambda connection: _insert(connection, batch))

    # ------------------------------------------------------------------ events from elsewhere

    def adopt(self, sae: str, events: Sequence[LabelEvent]) -> int:
        """Take in another database's events that are not here yet; returns how many.

        They keep authors and times, and come after what is here; a second time adds nothing.

        Args:
            sae: the fingerprint they are about.
            events: in the order of their ids.

        Raises:
            LabelStoreError: they could not be saved.
        """

        def act(connection: Connection) -> int:
            _, last = store_of(connection)
            return len(append(connection, _missing(connection, sae, events, last)))

        return self._write(act) if events else 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever recorded."""
        return self._last_id() == 0

    def take_over(self, other: LabelHistory) -> int:
        """Every event of another history, ids and all; returns how many.

        Raises:
            LabelStoreError: there are events here already, or they could not be saved.
        """
        rows = other.all_rows()

        def act(connection: Connection) -> int:
            if store_of(connection)[1]:
                raise LabelStoreError(f"{self.place} already holds events")
            return len(append(connection, rows))

        return self._write(act) if rows else 0

    def preview_adoption(
        self, sae: str, events: Sequence[LabelEvent]
    ) -> tuple[dict[int, LabelState], dict[int, LabelState]]:
        """The states of the features concerned, now and after :meth:`adopt`."""
        features = features_of(events)
        with self._reading() as connection:
            here = of_features(connection, sae, features)
            _, last = store_of(connection)
            rows = _missing(connection, sae, events, last)
        new: dict[int, list[LabelEvent]] = defaultdict(list)
        for row in rows:
            new[row["feature"]].append(event_of(row))
        before = {feature: derive(feature, here[sae, feature]) for feature in features}
        after = {
            feature: derive(feature, [*here[sae, feature], *new[feature]]) for feature in features
        }
        return before, after

    # ------------------------------------------------------------------ human decisions

    def decide(self, decisions: Sequence[Decision], author: str) -> list[Outcome]:
        """Record what a person decided, in order and in one transaction: all of it, or nothing.

        Every decision is recorded, also where somebody else decided on the same feature since
        the person last saw it: both events stay, and the outcome names theirs.

        Args:
            decisions: any number, of any features and SAEs.
            author: who decides.

        Raises:
            LabelRejected: a label is empty or has more than 9 words.
            ParameterError: no author, no such event, one without a label text, nothing to undo.
            LabelStoreError: it could not be saved.
        """
        who = named(author)
        for decision in decisions:
            decision.check()
        if not decisions:
            return []
        return self._write(lambda connection: _decide(connection, decisions, who))

    def _one(self, decision: Decision, author: str) -> LabelEvent:
        """Record one decision.

        Raises:
            EditConflict: recorded, but somebody else had decided since ``decision.based_on``.
        """
        (outcome,) = self.decide([decision], author)
        if outcome.theirs is not None:
            raise EditConflict(outcome.event, outcome.theirs)
        if outcome.event is None:
            raise LabelStoreError(f"undo on feature {decision.feature} found a contradiction")
        return outcome.event

    def accept(
        self,
        sae: str,
        feature: int,
        event_id: int,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Make the text of event ``event_id`` the accepted label: :meth:`decide` for one.

        ``expected`` is the feature's last event that the caller had seen
        (``LabelState.last_event``; 0: none); None: don't check.

        Raises:
            EditConflict: recorded, but somebody else had decided since ``expected``.
            ParameterError, LabelStoreError: as in :meth:`decide`.
        """
        what = Decision("accept", sae, feature, expected, event=event_id, reason=reason)
        return self._one(what, author)

    def revert(
        self,
        sae: str,
        feature: int,
        event_id: int,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Make the older text of event ``event_id`` (undone or not) the decision again.

        Raises:
            EditConflict, ParameterError, LabelStoreError: as in :meth:`accept`.
        """
        what = Decision("revert", sae, feature, expected, event=event_id, reason=reason)
        return self._one(what, author)

    def override(
        self,
        sae: str,
        feature: int,
        text: str,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Decide on a text of one's own.

        Raises:
            LabelRejected: empty, or more than 9 words.
            EditConflict, ParameterError, LabelStoreError: as in :meth:`accept`.
        """
        what = Decision("override", sae, feature, expected, text, reason=reason)
        return self._one(what, author)

    def flag(
        self,
        sae: str,
        feature: int,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Mark the feature for a second look. A repeated flag is one more event.

        Raises:
            EditConflict, LabelStoreError: as in :meth:`accept`.
        """
        return self._one(Decision("flag", sae, feature, expected, reason=reason), author)

    def unflag(
        self,
        sae: str,
        feature: int,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Take the flag away.

        Raises:
            EditConflict, LabelStoreError: as in :meth:`accept`.
        """
        return self._one(Decision("unflag", sae, feature, expected, reason=reason), author)

    def note(
        self, sae: str, feature: int, text: str, *, author: str, expected: int | None = None
    ) -> LabelEvent:
        """Replace the feature's note; an empty one removes it.

        Raises:
            EditConflict, LabelStoreError: as in :meth:`accept`.
        """
        return self._one(Decision("note", sae, feature, expected, text), author)

    def undo(
        self,
        sae: str,
        feature: int,
        *,
        author: str,
        expected: int | None = None,
        reason: str | None = None,
    ) -> LabelEvent:
        """Take back the last decision, flag or note that is not undone; returns the undone event.

        With ``expected`` it is the last one *the caller had seen* that is undone, never a newer
        one of somebody else. Repeated, it steps further back. To redo, decide again or
        :meth:`revert` to the undone event.

        Raises:
            EditConflict: somebody else decided since ``expected`` (``mine`` is None where they
                had undone the same decision already).
            ParameterError: nothing to undo.
            LabelStoreError: it could not be saved.
        """
        return self._one(Decision("undo", sae, feature, expected, reason=reason), author)


def _missing(
    connection: Connection, sae: str, events: Sequence[LabelEvent], last: int
) -> list[dict[str, Any]]:
    """Rows of the events that are not in the database yet."""
    here = of_features(connection, sae, features_of(events))
    known = sorted((e for found in here.values() for e in found), key=lambda event: event.id)
    return missing_rows(known, events, last)


def _insert(connection: Connection, batch: Sequence[NewEvent]) -> list[LabelEvent]:
    _, last = store_of(connection)
    time = now()
    return append(connection, [row_of(new, last + n, time) for n, new in enumerate(batch, 1)])


def _decide(connection: Connection, decisions: Sequence[Decision], author: str) -> list[Outcome]:
    """Resolve each decision against what is there and what was decided before it."""
    asked: dict[str, set[int]] = defaultdict(set)
    for decision in decisions:
        asked[decision.sae].add(int(decision.feature))
    events: dict[tuple[str, int], list[LabelEvent]] = {}
    for sae, features in asked.items():
        events |= of_features(connection, sae, features)
    _, last = store_of(connection)
    time = now()
    rows: list[dict[str, Any]] = []
    own: set[int] = set()

    def add(new: NewEvent) -> LabelEvent:
        new.check()
        rows.append(row_of(new, last + len(rows) + 1, time))
        event = event_of(rows[-1])
        own.add(event.id)
        events[new.sae, int(new.feature)].append(event)
        return event

    outcomes = []
    for decision in decisions:
        if decision.proposal is not None:
            add(decision.proposal)
        new, theirs = resolve(decision, events[decision.key], author, own)
        made = add(new) if new is not None else None
        topic = topic_of(made, events[decision.key])
        outcomes.append(Outcome(decision, made, theirs, topic))
    append(connection, rows)
    return outcomes
