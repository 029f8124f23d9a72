"""What label events carry in their ``details``: one definition, for who writes and who reads.

``to_json`` gives what is stored; its keys and their order are a file format. ``from_json`` takes
whatever is there, as events may be old or another program's: what is missing, or is no number,
is None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autointerp_core.store.score_values import ScorerResult, count, number, ranking_value, rounded

PROMPT_HASH = "prompt_hash"
"""The one key that the database knows: labels are found again by it."""
FAILED_BY_PROVIDER, FAILED_BY_ANSWER = "provider", "answer"
"""``failure`` of an answer that could not be had, which a later run asks for again; and of one
without a label in it, which it does not."""


@dataclass(frozen=True, kw_only=True)
class GenerationDetails:
    """How a label was made, or not made: what every way of making one records."""

    prompt_hash: str | None = None
    """Of the question, so that the same one is not asked twice."""
    documents: str | None = None
    """Which documents the labeller was shown: ``label`` (the label part) or ``all``."""
    failure: str | None = None
    """Of a ``failed`` event; None where nothing is known of it."""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None
    """US dollars; None where no price is known."""

    @classmethod
    def from_json(cls, details: Mapping[str, Any]) -> GenerationDetails:
        """What of an event's details every way of making labels has."""
        return GenerationDetails(
            prompt_hash=details.get(PROMPT_HASH),
            documents=details.get("documents"),
            failure=details.get("failure"),
            tokens_in=int(number(details.get("tokens_in")) or 0),
            tokens_out=int(number(details.get("tokens_out")) or 0),
            seconds=number(details.get("seconds")) or 0.0,
            cost=number(details.get("cost")),
        )


@dataclass(frozen=True, kw_only=True)
class AnswerDetails(GenerationDetails):
    """Of a label that a language model wrote, or failed to write."""

    attempts: int = 0
    examples: int = 0
    """Examples in the prompt that was answered."""
    raw: Sequence[str] = ()
    """The answers as they came, one an attempt."""

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            PROMPT_HASH: self.prompt_hash,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "seconds": round(self.seconds, 4),
            "cost": self.cost,
            "attempts": self.attempts,
            "examples": self.examples,
            "raw": list(self.raw),
        }
        if self.failure is not None:
            found["failure"] = self.failure
        return {**found, "documents": self.documents}


@dataclass(frozen=True, kw_only=True)
class RankingDetails(GenerationDetails):
    """Of a label chosen among phrases by their likelihood."""

    phrases: Mapping[str, float] = field(default_factory=dict)
    """Log-likelihood gained by the examples, a phrase."""

    def to_json(self) -> dict[str, Any]:
        failure = {} if self.failure is None else {"failure": self.failure}
        return {
            PROMPT_HASH: self.prompt_hash,
            "documents": self.documents,
            **failure,
            "phrases": {phrase: round(gain, 3) for phrase, gain in self.phrases.items()},
            "seconds": round(self.seconds, 4),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost": self.cost,
        }


@dataclass(frozen=True, kw_only=True)
class SearchEvidence:
    """What a search label rests on. Only ``firings`` is known where nothing was compared."""

    firings: int
    method: str | None = None
    kind: str | None = None
    recall: float | None = None
    """Share of the feature's activation that the words alone explain."""
    precision: float | None = None
    """Share of the words' occurrences in which the feature fires."""
    auroc: float | None = None
    context: Mapping[str, float] = field(default_factory=dict)
    """Context words, and the share of windows that hold each."""
    form: str | None = None
    """The label as a semantic regex: field, lexeme, symbol, context."""

    def to_json(self) -> dict[str, Any]:
        if self.method is None:
            return {"firings": self.firings}
        return {
            "method": self.method,
            "firings": self.firings,
            "kind": self.kind,
            "recall": rounded(self.recall, 3),
            "precision": rounded(self.precision, 3),
            "auroc": rounded(self.auroc, 3),
            "context": {word: round(share, 3) for word, share in self.context.items()},
            **({} if self.form is None else {"form": self.form}),
        }


@dataclass(frozen=True, kw_only=True)
class SearchDetails(GenerationDetails):
    """Of a label made by counting."""

    study: str | None = None
    evidence: SearchEvidence

    def to_json(self) -> dict[str, Any]:
        return {
            "study": self.study,
            "documents": self.documents,
            PROMPT_HASH: self.prompt_hash,
            **self.evidence.to_json(),
        }


_LEFT_OUT = frozenset({"score", "unscored"})


@dataclass(frozen=True, kw_only=True)
class ScoreDetails:
    """Of a ``scored`` event: what every scorer said of one text."""

    score: float | None = None
    """The ranking scorer's of ``validate`` when it was recorded; of older events their mean."""
    validate: Mapping[str, Any] = field(default_factory=dict)
    """Value by scorer on *validate* documents: what proposals are compared by."""
    judges: Mapping[str, str | None] = field(default_factory=dict)
    """Who judged, by scorer."""
    test_score: float | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    """By scorer on *test* documents, for people: a :class:`ScorerResult` as JSON, or a number."""
    study: str | None = None
    key: str | None = None
    """A hash of what was asked, so that the same is not asked twice."""
    tested: bool = False
    """Whether test documents were tried, if in vain."""
    evidence: str | None = None
    """Name of the file of judged windows."""
    unscored: str | None = None
    """Why there is no test score."""
    documents_active: int | None = None
    """Test documents in which the feature fires."""
    lacking: Mapping[str, int] = field(default_factory=dict)
    """Judgements on validate that were asked for and not had, by scorer."""
    missing: int = 0
    """The same on validate and test together."""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None
    leaves_out: frozenset[str] = frozenset()
    """Which of ``score`` and ``unscored`` the event says nothing of, not even null."""

    def to_json(self) -> dict[str, Any]:
        return {
            "score": self.score,
            "validate": dict(self.validate),
            "judges": dict(self.judges),
            "test_score": self.test_score,
            "scores": dict(self.scores),
            "study": self.study,
            "key": self.key,
            "tested": self.tested,
            "evidence": self.evidence,
            "unscored": self.unscored,
            "documents_active": self.documents_active,
            "lacking": dict(self.lacking),
            "missing": self.missing,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "seconds": round(self.seconds, 4),
            "cost": self.cost,
        }

    @classmethod
    def from_json(cls, details: Mapping[str, Any]) -> ScoreDetails:
        found = details.get
        return cls(
            score=number(found("score")),
            validate=_mapping(found("validate")),
            judges=_mapping(found("judges")),
            test_score=number(found("test_score")),
            scores=_mapping(found("scores")),
            study=found("study"),
            key=found("key"),
            tested=bool(found("tested")),
            evidence=found("evidence"),
            unscored=found("unscored"),
            documents_active=count(found("documents_active")),
            lacking=_mapping(found("lacking")),
            missing=count(found("missing")) or 0,
            tokens_in=count(found("tokens_in")) or 0,
            tokens_out=count(found("tokens_out")) or 0,
            seconds=number(found("seconds")) or 0.0,
            cost=number(found("cost")),
            leaves_out=_LEFT_OUT - details.keys(),
        )

    @property
    def rank(self) -> float | None:
        """What the proposal is ranked by: never a number measured on test documents.

        The ranking scorer's of ``validate``, else ``score``; only an event that has neither (from
        elsewhere) ranks by that of its ``scores``.
        """
        if self.validate:
            return ranking_value(self.validate)
        return ranking_value(self.scores) if "score" in self.leaves_out else self.score

    @property
    def has_number(self) -> bool:
        """Whether anything in it is a score."""
        return ranking_value(self.scores) is not None or ranking_value(self.validate) is not None

    def joined(self, new: ScoreDetails) -> ScoreDetails:
        """Two events of one question as one: of each scorer, what came last."""
        return replace(
            new,
            scores={**self.scores, **new.scores},
            validate={**self.validate, **new.validate},
            lacking={**self.lacking, **new.lacking},
            tested=self.tested or new.tested,
        )

    def after(self, before: ScoreDetails) -> ScoreDetails:
        """With what an earlier event said of ``score`` and ``unscored``, where this is silent."""
        if not self.leaves_out:
            return self
        return replace(
            self,
            score=before.score if "score" in self.leaves_out else self.score,
            unscored=before.unscored if "unscored" in self.leaves_out else self.unscored,
            leaves_out=self.leaves_out & before.leaves_out,
        )

    def result(self, scorer: str) -> ScorerResult | None:
        """What a scorer found on test documents; None where it was not asked."""
        raw = self.scores.get(scorer)
        return None if raw is None else ScorerResult.from_json(scorer, raw)

    def results(self) -> dict[str, ScorerResult]:
        """:meth:`result` of every scorer."""
        return {name: ScorerResult.from_json(name, raw) for name, raw in self.scores.items()}


@dataclass(frozen=True, kw_only=True)
class MeasuredDetails:
    """Of a ``measured`` event: what a measure found of a feature, or of one of its labels."""

    results: Mapping[str, ScorerResult]
    """By name."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What the results rest on: each measure's own."""
    label: str | None = None
    """The label that was measured; None where the feature was."""
    study: str | None = None
    key: str | None = None
    """A hash of what was asked, so that the same is not asked twice."""
    missing: int = 0
    """Answers that could not be had."""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "results": {name: result.to_json() for name, result in self.results.items()},
            "more": dict(self.more),
            "label": self.label,
            "study": self.study,
            "key": self.key,
            "missing": self.missing,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "seconds": round(self.seconds, 4),
            "cost": self.cost,
        }

    @classmethod
    def from_json(cls, details: Mapping[str, Any]) -> MeasuredDetails:
        found = details.get
        results = _mapping(found("results"))
        return cls(
            results={name: ScorerResult.from_json(name, raw) for name, raw in results.items()},
            more=_mapping(found("more")),
            label=found("label"),
            study=found("study"),
            key=found("key"),
            missing=count(found("missing")) or 0,
            tokens_in=count(found("tokens_in")) or 0,
            tokens_out=count(found("tokens_out")) or 0,
            seconds=number(found("seconds")) or 0.0,
            cost=number(found("cost")),
        )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
