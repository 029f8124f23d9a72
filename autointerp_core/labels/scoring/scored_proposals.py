"""The texts that compete for a feature's label, and what is known of their scores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import orjson

from autointerp_core.labels.document_split import LABEL, TEST, VALIDATE
from autointerp_core.labels.scoring.control_results import CARRIED
from autointerp_core.labels.scoring.scorers import SCORERS, ScorerRun
from autointerp_core.store.event_details import GenerationDetails, ScoreDetails
from autointerp_core.store.events import GENERATED, PROPOSALS, SCORED, LabelEvent
from autointerp_core.store.label_state import derive
from autointerp_core.store.score_values import ranking_value

SEEN_ALL = (
    "made from all documents, so that none is left to test it on; make the label anew with "
    "documents held out"
)


@dataclass
class ScoredProposal:
    """One text of a feature on its way to a score; ``event`` is the newest with this text."""

    feature: int
    event: int
    text: str
    source: str
    shown: bool
    """Whether a person is shown it, so that it is judged on test whatever its rank."""
    problem: str | None
    """Why it cannot be scored at all."""
    key: str
    """A hash of what is asked."""
    before: ScoreDetails | None
    """Details of the events of exactly this question, together; None: not asked before."""
    scored_before: bool
    """Whether anything ever gave it a number."""
    validate: list[ScorerRun] = field(default_factory=list)
    test: list[ScorerRun] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    """By scorer, on validate: a number, None, or why the scorer cannot judge it."""

    @property
    def rank(self) -> float | None:
        """The ranking scorer's of ``values``."""
        return ranking_value(self.values)

    @property
    def tested(self) -> bool:
        return self.before is not None and self.before.tested

    def lacking(self, part: str, scorer: str) -> int | None:
        """Judgements that were asked for before and not had; None: not asked, or not known."""
        if self.before is None:
            return None
        if part == VALIDATE:
            if scorer in self.before.lacking:
                return self.before.lacking[scorer]
            if not self.before.validate:
                return 0  # there were no windows
            # An event from before this was counted: only what has no value can be told.
            unknown = self.before.validate.get(scorer) is None and self.before.missing
            return None if unknown else 0
        result = self.before.result(scorer)
        if result is None:
            return None if self.before.scores else 0
        return result.n_missing

    def due(self, part: str, scorers: Iterable[str]) -> list[str]:
        """The scorers to ask in this part: those not asked, and those with missing answers."""
        if self.problem is not None:
            return []
        if part == TEST and not self.tested:
            return list(scorers)
        return [scorer for scorer in scorers if self.lacking(part, scorer) != 0]


def scored_proposals(
    feature: int, events: Sequence[LabelEvent], asked_how: Mapping[str, Any], *, again: bool = False
) -> list[ScoredProposal]:
    """The different texts of a feature, from all its events; oldest first.

    The proposals, and the text that a person decided on where it was not proposed.

    Args:
        feature: the feature.
        events: of this feature, ids ascending.
        asked_how: what of the question is the same for every label.
        again: forget what was asked before.
    """
    state = derive(feature, events)
    newest: dict[str, LabelEvent] = {}
    for event in events:
        if event.kind in PROPOSALS and event.text:
            newest[event.text] = event
    for event in events:
        if event.id == state.current_event and event.text:
            newest.setdefault(event.text, event)
    ordered = sorted(newest.values(), key=lambda event: event.id)
    llm = [event.text for event in ordered if event.source.startswith("llm:")]
    search = [event.text for event in ordered if event.source == "search"]
    carried = [event.text for event in ordered if event.source.startswith(CARRIED)]
    shown = {state.label, *llm[-1:], *search[-1:], *carried[-1:]}
    text_of = {event.id: event.text for event in events}
    scored = [(e, ScoreDetails.from_json(e.details)) for e in events if e.kind == SCORED]
    found = []
    for event in ordered:
        text = str(event.text)
        key = _key(text, asked_how)
        same = [details for e, details in scored if text_of.get(e.parent or 0) == text]
        asked = [details for e, details in scored if e.parent == event.id and details.key == key]
        found.append(
            ScoredProposal(
                feature,
                event.id,
                text,
                event.source,
                shown=text in shown,
                problem=_problem(event),
                key=key,
                before=reduce(ScoreDetails.joined, asked) if asked and not again else None,
                scored_before=any(details.has_number for details in same),
            )
        )
    return found


def _key(text: str, asked_how: Mapping[str, Any]) -> str:
    """Of labels that a scorer reads as they stand, the key is that of before others were known."""
    asked = {name: SCORERS[name] for name in asked_how["scorers"]}
    refused = {n: why for n, each in asked.items() if (why := each.cannot_judge(text)) is not None}
    read = {n: said for n, each in asked.items() if (said := each.reads(text)) != text}
    question = {**asked_how, "text": text} | ({"reads": read | refused} if read or refused else {})
    raw = orjson.dumps(question, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(raw).hexdigest()


def _problem(event: LabelEvent) -> str | None:
    """A machine's label must say that it is from the label part alone; people may see all."""
    if event.kind != GENERATED:
        return None
    return None if GenerationDetails.from_json(event.details).documents == LABEL else SEEN_ALL
