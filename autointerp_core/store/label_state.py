"""The current label of a feature, worked out from its events: one pure function, no clock.

The rules:

* Proposals are ``generated`` and ``imported`` events. A ``scored`` event adds its
  ``details["scores"]`` (measured on test documents, for people) and ``details["validate"]``
  (on other documents, to choose by) to every proposal with the text of the event it names as
  parent; later ones replace earlier ones of the same name.
* A decision is an ``accepted``, ``overridden`` or ``reverted`` event that no ``undone``
  event names as parent. The last one gives label and status. ``undone`` events cannot be
  undone themselves: redoing is deciding again (or reverting to the undone event).
* An ``imported`` proposal that an ``undone`` event names as parent is withdrawn.
* Without a decision the label is the best-scored proposal's (:func:`ranked`), else
  ``label_llm``, else ``label_search``, else the last imported text. Proposals are compared on
  ``validate`` by one scorer, the first of ``score_values.RANKING`` that all of them have a
  number of; equal ones by the next. Numbers of different scorers are never put together.
* No score is ever replaced by a missing one, nor one of a real judge by a scripted one (whose
  answers are canned); a scripted proposal comes after all others, scored or not.
* ``label_llm`` and ``label_search`` are the newest of their kind, unless that one is scored
  and an older one is scored better.
* What a machine proposed, scored or failed to make belongs to the study it was made from. Looked
  at in another study it counts for nothing there, and its proposals stand apart (``foreign``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from sys import intern
from typing import Any, Literal, NamedTuple, TypeAlias

from autointerp_core.store.event_details import ScoreDetails
from autointerp_core.store.events import (
    ACCEPTED,
    FAILED,
    FLAGGED,
    GENERATED,
    IMPORTED,
    NOTED,
    OVERRIDDEN,
    REVERTED,
    SCORED,
    UNDONE,
    UNFLAGGED,
    LabelEvent,
)
from autointerp_core.store.score_values import (
    CHANCE,
    by_rank,
    is_refusal,
    judge_of,
    ranking_value,
    value_of,
)

SCRIPTED = "llm:scripted"
"""Source of canned labels, and judge of canned scores: for trying the program out."""

Status: TypeAlias = Literal["unreviewed", "accepted", "overridden"]


class EventRow(NamedTuple):
    """What of an event the state depends on, in the order in which it is read from the table."""

    feature: int
    id: int
    kind: str
    text: str | None
    source: str
    method: str | None
    reason: str | None
    parent: int | None
    study: str | None
    details: Mapping[str, Any] | None
    """Of ``scored`` events only."""

    @classmethod
    def of(cls, event: LabelEvent) -> EventRow:
        return cls(
            event.feature,
            event.id,
            event.kind,
            event.text,
            event.source,
            event.method,
            event.reason,
            event.parent,
            event.study,
            event.details,
        )


class EvidencePlace(NamedTuple):
    """Where the judged windows behind a score are kept."""

    study: str | None
    file: str
    event: int
    """The event that was scored: the newest with this text at the time."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One text somebody or something proposed for a feature."""

    event_id: int
    text: str
    source: str
    method: str | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    """By scorer, measured on test documents: what a person is shown."""
    score: float | None = None
    """The number that ranks it where nobody chose another scorer; None: not scored."""
    test_score: float | None = None
    """The ranking scorer's of ``scores``; None where there is none."""
    unscored: str | None = None
    """Why there is no test score, where that is known."""
    evidence: Mapping[str, EvidencePlace] = field(default_factory=dict)
    """By scorer, where the judged windows are."""
    validate: Mapping[str, Any] = field(default_factory=dict)
    """By scorer, measured on other documents than ``scores``: what it is ranked by."""
    study: str | None = None
    """Id of the study it was made from, where that is another one (``UNKNOWN_STUDY``: unknown)."""

    def test_by(self, scorer: str) -> float | None:
        """What one scorer gave it on test documents."""
        return value_of(self.scores.get(scorer))


@dataclass(frozen=True, slots=True)
class LabelState:
    """What is true of a feature's label now."""

    feature: int
    label: str | None = None
    status: Status = "unreviewed"
    flagged: bool = False
    label_llm: str | None = None
    label_search: str | None = None
    llm_error: str | None = None
    search_error: str | None = None
    current_event: int | None = None
    """The decision or proposal that ``label`` comes from."""
    last_event: int | None = None
    """What a caller passes as ``expected`` with its next action."""
    note: str | None = None
    proposals: tuple[Proposal, ...] = ()
    """Those made from the study looked at, or from none in particular."""
    num_events: int = 0
    label_source: str | None = None
    """Where the text of ``label`` comes from: an accepted LLM label is still ``llm:…``."""
    own: Proposal | None = None
    """The scores of a label that somebody wrote; None where it is not scored."""
    foreign: tuple[Proposal, ...] = ()
    """Proposals made from other studies of the SAE: they may be accepted, and count for nothing
    until then."""

    @property
    def score(self) -> float | None:
        """What the newest scored proposal with the text of ``label`` is ranked by."""
        for proposal in (*reversed(self.proposals), self.own):
            if proposal is not None and proposal.text == self.label and proposal.score is not None:
                return proposal.score
        return None

    @property
    def test_score(self) -> float | None:
        """The same proposal's score on test documents, by the ranking scorer."""
        found = self.shown()
        return found.test_score if found is not None else None

    def shown(self) -> Proposal | None:
        """The newest proposal with the text of ``label``, a tested one before others."""
        same = [p for p in reversed(self.proposals) if p.text == self.label]
        if self.own is not None:
            same.append(self.own)
        return next((p for p in same if p.test_score is not None), same[0] if same else None)


def derive(feature: int, events: Iterable[LabelEvent], study: str | None = None) -> LabelState:
    """The state after ``events`` (all of one feature, ids ascending), looked at in ``study``.

    What machines made from another study does not count; without a study all of it does.
    """
    return derive_rows(feature, [EventRow.of(event) for event in events], study)


def derive_rows(feature: int, every: list[EventRow], study: str | None = None) -> LabelState:
    """:func:`derive` on bare tuples, for hundreds of thousands of features."""
    rows = every
    foreign: tuple[Proposal, ...] = ()
    if study is not None and any(row.study not in (None, study) for row in every):
        rows = [row for row in every if row.study in (None, study)]
        foreign = _foreign(every, study)
    undone: set[int | None] = set()
    scorings: list[EventRow] = []
    for row in rows:
        if row.kind == UNDONE:
            undone.add(row.parent)
        elif row.kind == SCORED and row.details:
            scorings.append(row)
    scored = _scores_by_text(rows, scorings) if scorings else {}

    proposals: list[Proposal] = []
    llm: EventRow | None = None
    search: EventRow | None = None
    imported: EventRow | None = None
    llm_error: str | None = None
    search_error: str | None = None
    decision: EventRow | None = None
    flagged = False
    note: str | None = None
    for row in rows:
        _, event_id, kind, text, source, method, reason, _, _, _ = row
        if kind == IMPORTED and event_id in undone:
            continue
        if kind in (GENERATED, IMPORTED):
            proposals.append(_proposal(event_id, text or "", source, method, scored))
            if kind == IMPORTED:
                imported = row
            elif source == "search":
                search, search_error = row, None
            elif source.startswith("llm:"):
                llm_error = None
                if source != SCRIPTED or llm is None or llm.source == SCRIPTED:
                    llm = row
        elif kind == FAILED:
            if source == "search":
                search_error = reason or text or "unknown reason"
            elif source.startswith("llm:"):
                llm_error = reason or text or "unknown reason"
        elif event_id in undone:
            continue
        elif kind in (ACCEPTED, OVERRIDDEN, REVERTED):
            decision = row
        elif kind == FLAGGED:
            flagged = True
        elif kind == UNFLAGGED:
            flagged = False
        elif kind == NOTED:
            note = text or None

    ordered = ranked(proposals) if scored else []
    if scored:
        llm = _better(llm, rows, ordered, "llm:")
        search = _better(search, rows, ordered, "search")
    label: str | None = None
    label_source: str | None = None
    current: int | None = None
    status: Status = "unreviewed"
    if decision is not None:
        current, label = decision.id, decision.text
        status, label_source = _standing(decision, every)
    else:
        best = ordered[-1] if ordered else None
        if best is not None and best.source == SCRIPTED:
            best = best if all(p.source == SCRIPTED for p in proposals) else None
        if best is not None:
            current, label, label_source = best.event_id, best.text, best.source
        else:
            canned = llm is not None and llm.source == SCRIPTED
            plain = (search or imported or llm) if canned else (llm or search or imported)
            if plain is not None:
                current, label, label_source = plain.id, plain.text, plain.source
    own = None
    written = label in scored and all(p.text != label for p in proposals)
    if written and current is not None:
        own = _proposal(current, label or "", label_source or "human", None, scored)
    return LabelState(
        feature,
        label,
        status,
        flagged,
        llm.text if llm is not None else None,
        search.text if search is not None else None,
        llm_error,
        search_error,
        current,
        every[-1].id if every else None,
        note,
        tuple(proposals),
        len(every),
        label_source,
        own,
        foreign,
    )


def _foreign(rows: list[EventRow], study: str) -> tuple[Proposal, ...]:
    """Proposals made from other studies, each with the scores of its own; oldest first."""
    found: list[Proposal] = []
    for other in sorted({row.study for row in rows if row.study is not None} - {study}):
        theirs = [row for row in rows if row.study == other]
        scorings = [row for row in theirs if row.kind == SCORED and row.details]
        scored = _scores_by_text(rows, scorings) if scorings else {}
        found += (
            replace(_proposal(row.id, row.text or "", row.source, row.method, scored), study=other)
            for row in theirs
            if row.kind in (GENERATED, IMPORTED)
        )
    return tuple(sorted(found, key=lambda proposal: proposal.event_id))


_SILENT = ScoreDetails(leaves_out=frozenset({"score", "unscored"}))


class _Scored(NamedTuple):
    """What is known of a text's scores, from all scored events together."""

    details: ScoreDetails
    evidence: Mapping[str, EvidencePlace]


def _scores_by_text(rows: list[EventRow], scorings: list[EventRow]) -> dict[str, _Scored]:
    """What scored events say of each text, whichever event with it they name."""
    texts = {row.id: row.text for row in rows if row.text and row.kind != NOTED}
    scored: dict[str, _Scored] = {}
    for row in scorings:
        text = texts.get(row.parent or 0)
        if text is not None and row.parent is not None and row.details:
            new = ScoreDetails.from_json(row.details)
            scored[text] = _merged(scored.get(text), new, row.parent)
    return scored


def _merged(before: _Scored | None, new: ScoreDetails, event: int) -> _Scored:
    """What is known of a text's scores after one more scored event."""
    old = before.details if before is not None else _SILENT
    validate, judges = dict(old.validate), dict(old.judges)
    scores = dict(old.scores)
    evidence = dict(before.evidence) if before is not None else {}
    said_by = {**{name: judge_of(score) for name, score in new.scores.items()}, **new.judges}
    for name, value in new.validate.items():
        if _replaces(validate.get(name), judges.get(name), value, said_by.get(name)):
            validate[name], judges[name] = value, said_by.get(name)
    for name, score in new.scores.items():
        had = scores.get(name)
        if _replaces(had, judge_of(had), score, judge_of(score)):
            scores[name] = score
            evidence.pop(name, None)
            if new.evidence:
                evidence[name] = EvidencePlace(new.study, str(new.evidence), event)
    details = replace(new.after(old), scores=scores, validate=validate, judges=judges)
    return _Scored(details, evidence)


def _replaces(old: Any, old_judge: str | None, new: Any, new_judge: str | None) -> bool:
    if value_of(old) is None or is_refusal(new):
        return True
    if value_of(new) is None:
        return False
    return new_judge != SCRIPTED or old_judge == SCRIPTED


_NO_SCORES: Mapping[str, Any] = {}


def _proposal(
    event_id: int, text: str, source: str, method: str | None, scored: Mapping[str, _Scored]
) -> Proposal:
    source = intern(source)  # the same few strings, half a million times
    found = scored.get(text) if scored else None
    if found is None:
        return Proposal(event_id, text, source, method, _NO_SCORES)
    details = found.details
    test_score = ranking_value(details.scores)
    return Proposal(
        event_id,
        text,
        source,
        method,
        details.scores,
        details.rank,
        test_score,
        details.unscored if test_score is None else None,
        found.evidence,
        details.validate,
    )


def ranked(proposals: Iterable[Proposal], by: str = "") -> list[Proposal]:
    """The scored proposals of one feature, best last: the one order of proposals there is.

    By one scorer: ``by``, else the first of ``score_values.RANKING`` that all of them have a
    number of, so that a proposal whose judge failed, or that fewer scorers were asked about, is
    compared by what the others have too. Where no scorer is common to all, by the one that most
    have; proposals without its number come before those with it. Equal ones are told apart by the
    next common scorer, then the newest is best. A label that a scorer cannot judge is compared at
    chance. Scripted proposals come first, whatever their scores.
    """
    every = [(p, _compared(p)) for p in proposals]
    values = {p.event_id: found for p, found in every if found}
    scored = [p for p, found in every if found]
    real = [p for p in scored if p.source != SCRIPTED] or scored
    held = Counter(name for p in real for name in values[p.event_id])
    common = [name for name in by_rank(held) if held[name] == len(real)]
    names = common or sorted(by_rank(held), key=lambda name: -held[name])[:1]
    if by in held:
        names = [by, *(name for name in names if name != by)]

    def place(proposal: Proposal) -> tuple[bool, list[float], int]:
        found = values[proposal.event_id]
        numbers = [found.get(name, -1.0) for name in names]
        return proposal.source != SCRIPTED, numbers, proposal.event_id

    return sorted(scored, key=place)


def _compared(proposal: Proposal) -> dict[str, float]:
    """By scorer, what a proposal is compared by; of an event without scorers its one number."""
    found = {
        name: CHANCE if value is None else value
        for name, raw in proposal.validate.items()
        if (value := value_of(raw)) is not None or is_refusal(raw)
    }
    return found or ({} if proposal.score is None else {"": proposal.score})


def _better(
    newest: EventRow | None, rows: list[EventRow], ordered: list[Proposal], source: str
) -> EventRow | None:
    """The best-scored proposal of a kind, where its newest one is scored at all."""
    same = [p for p in ordered if p.source.startswith(source)]
    if newest is None or all(p.event_id != newest.id for p in same):
        return newest
    return next(row for row in rows if row.id == same[-1].event_id)


def _standing(decision: EventRow, rows: list[EventRow]) -> tuple[Status, str]:
    """Status and text source of a decision, followed back to where its text was first given."""
    by_id = {row.id: row for row in rows}
    status: Status | None = None
    at = decision
    while at.kind in (ACCEPTED, REVERTED):
        if at.kind == ACCEPTED and status is None:
            status = "accepted"
        before = by_id.get(at.parent) if at.parent is not None else None
        if before is None or before.id >= at.id:  # a parent always comes first; no loops
            break
        at = before
    if status is None:
        status = "overridden" if at.kind == OVERRIDDEN else "accepted"
    return status, at.source
