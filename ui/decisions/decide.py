"""What a person decides about features, saved to the history from button callbacks.

A decision made before its author is known waits in the session until the name is given.
What came of it (a refusal, a conflict) is kept for the page to show in its place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from autointerp_core.errors import AutointerpError, LabelRejected
from autointerp_core.store.decisions import TOPICS, Action, Decision, Outcome
from ui import readers, session, url

_DONE: dict[Action, str] = {
    "accept": "Accepted",
    "override": "Saved",
    "revert": "Reverted",
    "flag": "Flagged",
    "unflag": "Flag removed",
    "note": "Note saved",
    "undo": "Undone",
}
_MOST_NAMED = 5
_DRAFTS_KEPT = 50
Kind: TypeAlias = Literal["saved", "rejected", "conflict", "failed"]


@dataclass(frozen=True)
class Told:
    """What to tell about the last decision on a feature, and where."""

    sae: str
    feature: int
    kind: Kind
    message: str
    text: str = ""


@dataclass(frozen=True)
class Request:
    """Decisions made by one press: all of them saved, or none."""

    decisions: tuple[Decision, ...]
    study: str = ""
    then: int | None = None
    """The feature to go to once it is saved."""
    bulk: str = ""
    """What it does to many features, in a word or two; empty where it is about one."""
    skipped: int = 0
    """How many of those selected had nothing to decide."""
    draft: tuple[str, int] = ("", 0)
    """The draft whose text this is, and the press that sent it."""


@dataclass(frozen=True)
class Made:
    """A decision of this session that was saved, and can be undone as one step."""

    sae: str
    events: tuple[tuple[int, int], ...]
    """Feature and event."""
    at: float
    bulk: str = ""


@dataclass
class Decided:
    """What the session remembers of its decisions."""

    waiting: list[Request] = field(default_factory=list)
    told: Told | None = None
    told_bulk: str = ""
    made: list[Made] = field(default_factory=list)
    own: dict[tuple[str, int, str], int] = field(default_factory=dict)
    """The newest event of this session by SAE, feature and topic: nobody else's, so seen."""
    done: set[Decision] = field(default_factory=set)
    """What was saved: the same decision on the same screen again is a key pressed twice."""
    drafts: dict[str, int] = field(default_factory=dict)
    """Drafts that were saved, by the press that sent them."""


def memory() -> Decided:
    """This session's decisions."""
    return session.memory(Decided)


def make(request: Request, author: str) -> None:
    """Save what was decided, or keep it until there is an author."""
    with session.held():
        _make(request, author)


def _make(request: Request, author: str) -> None:
    kept = memory()
    if not request.decisions:
        kept.told_bulk = _bulk_line(request, [])
        return
    first = request.decisions[0]
    if not request.bulk and first in kept.done:
        return
    if not author:
        if request not in kept.waiting:
            kept.waiting.append(request)
        return
    try:
        outcomes = readers.history().decide([_seen(d) for d in request.decisions], author)
    except AutointerpError as error:
        if request.bulk:
            kept.told_bulk = f"Nothing was saved: {error}"
        else:
            kind: Kind = "rejected" if isinstance(error, LabelRejected) else "failed"
            tell(first.sae, first.feature, kind, str(error), first.text)
        return
    _note(request, outcomes)
    move_on(request.study, first.feature, request.then)


def move_on(study: str, feature: int, then: int | None) -> None:
    """Go from ``feature`` to ``then``; a page that has gone elsewhere since stays there."""
    if then is not None and url.study() == study and url.feature() in (None, feature):
        url.put(url.params() | {"feature": str(then)})


def waiting() -> bool:
    """Whether something waits for its author's name."""
    return bool(memory().waiting)


def resume(author: str) -> None:
    """Save what waited for an author, in the order in which it was decided."""
    with session.held():
        kept = memory()
        requests, kept.waiting = kept.waiting, []
        for request in requests:
            make(request, author)


def forget() -> None:
    """Nobody gave a name: what waited for it is not saved, and the page says so."""
    kept = memory()
    for request in kept.waiting:
        if request.bulk:
            kept.told_bulk = "Nothing was saved: no name was given."
        else:
            first = request.decisions[0]
            tell(first.sae, first.feature, "failed", "no name was given", first.text)
    kept.waiting.clear()


def saved_draft(draft: str, press: int) -> None:
    """Note that the text of a draft is safe, so that the browser may forget it."""
    drafts = memory().drafts
    drafts.pop(draft, None)
    drafts[draft] = press
    while len(drafts) > _DRAFTS_KEPT:
        del drafts[next(iter(drafts))]


def told(sae: str, feature: int) -> Told | None:
    """What came of the last decision, as long as its feature is the one looked at."""
    found = memory().told
    return found if found is not None and (found.sae, found.feature) == (sae, feature) else None


def last_told(sae: str) -> Told | None:
    """What came of the last decision, on whatever feature of this SAE."""
    found = memory().told
    return found if found is not None and found.sae == sae else None


def made(sae: str, *, bulk: bool = False) -> list[Made]:
    """This session's decisions on an SAE that were not undone, oldest first."""
    return [one for one in memory().made if one.sae == sae and bool(one.bulk) == bulk]


def undo(last: Made, author: str) -> None:
    """Take back one step of this session, whatever of it still stands; nothing of others."""
    decisions = tuple(
        Decision("undo", last.sae, feature, event=event) for feature, event in last.events
    )
    bulk = "taken back" if last.bulk else ""
    with session.held():
        if last not in memory().made:
            return  # two clicks are one undo
        memory().made.remove(last)
        make(Request(decisions, url.study(), bulk=bulk), author)


def tell(sae: str, feature: int, kind: Kind, message: str, text: str = "") -> None:
    """Say something in the place where decisions are told."""
    memory().told = Told(sae, feature, kind, message, text)


def _seen(decision: Decision) -> Decision:
    """The session's own decisions count as seen, also where the page was not drawn since."""
    if decision.based_on is None:
        return decision
    topic = TOPICS.get(decision.action)
    # Undo is about the last thing done, whatever its topic: a flag set a moment ago, too.
    topics = set(TOPICS.values()) if topic is None else {topic}
    own = max(memory().own.get((*decision.key, each), 0) for each in topics)
    return replace(decision, based_on=max(decision.based_on, own))


def _note(request: Request, outcomes: list[Outcome]) -> None:
    kept = memory()
    events = []
    for outcome in outcomes:
        decision, event = outcome.decision, outcome.event
        if event is None:
            continue
        kept.own[*decision.key, outcome.topic] = event.id
        if decision.action != "undo":
            events.append((event.feature, event.id))
    if request.draft[0]:
        saved_draft(*request.draft)
    decision = request.decisions[0]
    if not request.bulk:
        kept.done.add(decision)
    if events:
        kept.made.append(Made(decision.sae, tuple(events), time.time(), request.bulk))
    if request.bulk:
        kept.told_bulk = _bulk_line(request, outcomes)
        return
    message = _DONE[decision.action]
    if decision.action == "override" and outcomes[0].event is not None:
        message = f"Saved “{outcomes[0].event.text}”"
    conflict = outcomes[0].conflict
    kept.told = Told(
        decision.sae, decision.feature, "conflict" if conflict else "saved", conflict or message
    )


def _bulk_line(request: Request, outcomes: Sequence[Outcome]) -> str:
    """How many were saved, and whose decisions of the meantime they cross."""
    saved = sum(outcome.event is not None for outcome in outcomes)
    line = f"{saved:,} feature{'' if saved == 1 else 's'} {request.bulk}"
    if request.skipped:
        line += f"; {request.skipped:,} stay as they were"
    crossed = [outcome for outcome in outcomes if outcome.theirs is not None]
    if not crossed:
        return f"{line}."
    who = sorted({o.theirs.author or "somebody" for o in crossed if o.theirs is not None})
    named = ", ".join(f"{o.decision.feature}" for o in crossed[:_MOST_NAMED])
    more = f" and {len(crossed) - _MOST_NAMED:,} more" if len(crossed) > _MOST_NAMED else ""
    counts = (
        "what was decided since stays"
        if request.decisions[0].action == "undo"
        else "both decisions are in the history, yours is the newest"
    )
    return (
        f"{line}. Changed meanwhile by {', '.join(who)}: feature{'s' if len(crossed) > 1 else ''} "
        f"{named}{more}; {counts}."
    )
