"""Taking in what another tool says: compared with what is there, then recorded as proposals.

Nothing that comes in is ever a decision: texts become ``imported`` proposals, scores ``scored``
events of the study they are imported into. What is known already adds nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autointerp_core.errors import LabelRejected, ParameterError
from autointerp_core.exchange.incoming import Incoming, IncomingLabel, IncomingScore
from autointerp_core.store.event_details import ScoreDetails
from autointerp_core.store.events import IMPORTED, SCORED, WITH_LABEL_TEXT, LabelEvent, NewEvent
from autointerp_core.store.history import LabelHistory, derive
from autointerp_core.store.score_values import value_of
from autointerp_core.store.study import Study
from autointerp_core.store.text_cleaning import (
    MAX_LABEL_CHARACTERS,
    MAX_LABEL_WORDS,
    clean_label,
)

LONG = ("refuse", "shorten")
"""What may be done with a text that is too long for a label."""
_SAME = 6e-5
"""Scores are kept to four digits."""
_AT_ONCE = 5000


@dataclass(frozen=True)
class ImportPlan:
    """What importing would do; nothing is recorded yet."""

    labels: tuple[IncomingLabel, ...]
    """New proposals, cleaned."""
    scores: tuple[IncomingScore, ...]
    """New scores, of the cleaned texts."""
    known_labels: int
    known_scores: int
    refused: tuple[str, ...]
    """What cannot be a label, each with file, line and reason."""
    shortened: tuple[str, ...]
    """Texts over the limit of which the first words are taken; the whole text stays beside."""
    unknown: int
    """Labels of features that the study does not hold."""
    notices: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The plan in words, counts only."""
        found = [
            f"{len(self.labels):,} labels are new here, as proposals"
            if self.labels
            else "no label is new here"
        ]
        if self.scores:
            found.append(f"{len(self.scores):,} scores are new here")
        if self.known_labels or self.known_scores:
            found.append(
                f"{self.known_labels:,} labels and {self.known_scores:,} scores are known already"
            )
        if self.shortened:
            found.append(
                f"{len(self.shortened):,} labels are too long; their first words are taken"
            )
        if self.refused:
            found.append(
                f"{len(self.refused):,} labels are not taken: more than {MAX_LABEL_WORDS} words or "
                f"{MAX_LABEL_CHARACTERS} characters, or empty"
            )
        if self.unknown:
            found.append(f"{self.unknown:,} are of features that this study does not hold")
        return [*found, *self.notices]


def plan_import(
    incoming: Incoming, study: Study, history: LabelHistory, long: str = "refuse"
) -> ImportPlan:
    """What taking in ``incoming`` would record.

    Args:
        long: what to do with a text of more than 9 words: refuse it, or take its first words.

    Raises:
        ParameterError: ``long`` is neither.
    """
    if long not in LONG:
        raise ParameterError(f"{long!r} is no way to treat long labels; one of: {', '.join(LONG)}")
    held = set(study.features.tolist())
    refused, shortened, unknown = [], [], 0
    became: dict[tuple[int, str], str] = {}
    wanted: list[IncomingLabel] = []
    for label in incoming.labels:
        if label.feature not in held:
            unknown += 1
            continue
        try:
            text = clean_label(label.text)
        except LabelRejected as error:
            text = _first_words(label.text) if long == "shorten" else ""
            if not text:
                refused.append(f"{label.where}: feature {label.feature}: {error}")
                continue
            shortened.append(f"{label.where}: feature {label.feature}: {text}")
            label = replace(label, details={**label.details, "whole": label.text})
        became[label.feature, label.text] = text
        wanted.append(replace(label, text=text))
    new, known = _new_labels(wanted, study, history)
    scores = [
        replace(score, text=became[score.feature, score.text])
        for score in incoming.scores
        if (score.feature, score.text) in became
    ]
    fresh = _new_scores(scores, study, history)
    return ImportPlan(
        tuple(new),
        tuple(fresh),
        known,
        len(scores) - len(fresh),
        tuple(refused),
        tuple(shortened),
        unknown,
        incoming.notices,
    )


def _first_words(text: str) -> str:
    """The first words of a text, whole, as many as a label takes; empty where none fits."""
    words = text.split()[:MAX_LABEL_WORDS]
    while words:
        try:
            return clean_label(" ".join(words).rstrip(",;:.-–"))
        except LabelRejected:
            words.pop()
    return ""


def _new_labels(
    labels: Sequence[IncomingLabel], study: Study, history: LabelHistory
) -> tuple[list[IncomingLabel], int]:
    sae = study.info.sae_fingerprint
    known = 0
    new: list[IncomingLabel] = []
    for start in range(0, len(labels), _AT_ONCE):
        part = labels[start : start + _AT_ONCE]
        events = history.histories(sae, {label.feature for label in part})
        for label in part:
            if any(_says(event, label) for event in events[label.feature]):
                known += 1
            else:
                new.append(label)
    unique = {(label.feature, label.text, label.source): label for label in reversed(new)}
    return list(reversed(unique.values())), known


def _says(event: LabelEvent, label: IncomingLabel) -> bool:
    """Whether an event has this text from this source, or from whom the source has it."""
    return (
        event.kind in WITH_LABEL_TEXT
        and event.text == label.text
        and event.source in (label.source, label.origin)
    )


def _new_scores(
    scores: Sequence[IncomingScore], study: Study, history: LabelHistory
) -> list[IncomingScore]:
    sae, out = study.info.sae_fingerprint, []
    for start in range(0, len(scores), _AT_ONCE):
        part = scores[start : start + _AT_ONCE]
        events = history.histories(sae, {score.feature for score in part})
        for score in part:
            state = derive(score.feature, events[score.feature], study.id)
            held = [p for p in (*state.proposals, state.own) if p and p.text == score.text]
            if not any(_same(p.scores.get(score.scorer), score) for p in held):
                out.append(score)
    return out


def _same(held: object, score: IncomingScore) -> bool:
    mine, theirs = value_of(held), value_of(score.result)
    if mine is None or theirs is None:
        return held is not None and mine is theirs
    return abs(mine - theirs) <= _SAME


def apply_import(
    plan: ImportPlan, study: Study, history: LabelHistory, author: str | None = None
) -> tuple[int, int]:
    """Record what is new; returns how many labels and how many scores that was.

    Raises:
        LabelStoreError: it could not be saved; labels are saved before scores.
    """
    info = study.info
    sae = info.sae_fingerprint
    history.record_many(
        NewEvent(
            sae,
            label.feature,
            IMPORTED,
            label.text,
            source=label.source,
            method=label.method,
            author=author,
            reason=str(label.details["whole"])[:4000] if "whole" in label.details else None,
            details=dict(label.details) | {"file": label.where},
        )
        for label in plan.labels
    )
    by_text: dict[tuple[int, str], list[IncomingScore]] = defaultdict(list)
    for score in plan.scores:
        by_text[score.feature, score.text].append(score)
    events = history.histories(sae, {feature for feature, _ in by_text}) if by_text else {}
    found = []
    for (feature, text), scored in by_text.items():
        said = [e for e in events[feature] if e.kind in WITH_LABEL_TEXT and e.text == text]
        if said:
            found.append(_scored(said[-1], scored, study, author))
    history.record_many(found)
    return len(plan.labels), len(plan.scores)


def _scored(
    event: LabelEvent, scored: Sequence[IncomingScore], study: Study, author: str | None
) -> NewEvent:
    details = ScoreDetails(
        scores={score.scorer: dict(score.result) for score in scored}, study=study.id
    ).to_json()
    # What ranked it elsewhere is not known: without these keys an event ranks by its scores alone.
    for name in ("score", "unscored"):
        del details[name]
    return NewEvent(
        event.sae,
        event.feature,
        SCORED,
        source=event.source,
        method="import",
        author=author,
        parent=event.id,
        details={**details, "file": scored[0].where},
        study=study.id,
    )
