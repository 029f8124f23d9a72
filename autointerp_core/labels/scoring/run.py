"""Scoring labels: each judged on text the labeller never saw, and the results recorded.

Every different proposal of a feature is judged on *validate* documents: that ranks them. The
best of them, the newest LLM label, the newest search label and the label that stands now are
judged on *test* documents too: that is what a person is shown, beside what labels of other
features get on the same windows. Each proposal gets one ``scored`` event; a rerun skips what
was asked before, and asks again for judgements that could not be had. A kill loses the features
of one chunk, never a label.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from autointerp_core.errors import OutputError, ParameterError
from autointerp_core.labels.document_split import SMALLEST, TEST, VALIDATE, Split
from autointerp_core.labels.embedders import (
    WORDLLAMA,
    Embedder,
    KnownTexts,
    default_embedder,
    make_embedder,
)
from autointerp_core.labels.options import LabelOptions
from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.labels.scoring.evidence import ProposalRun, new_name, write_evidence
from autointerp_core.labels.scoring.fuzzing import TOO_FEW
from autointerp_core.labels.scoring.judge import Judge, LLMJudge
from autointerp_core.labels.scoring.names import JUDGED, SCORERS, one_of
from autointerp_core.labels.scoring.report import ScoreReport, ScorerSummary, summarise
from autointerp_core.labels.scoring.sample_windows import (
    MIN_ACTIVE,
    PER_CLASS,
    WindowSampler,
    WindowSet,
)
from autointerp_core.labels.scoring.scored_proposals import (
    ScoredProposal,
    scored_proposals,
    together,
)
from autointerp_core.labels.scoring.scorer_runs import (
    EMBEDDING,
    FUZZING,
    ScorerRun,
    embed_runs,
    judge_runs,
)
from autointerp_core.labels.scoring.shuffled_labels import OtherLabels
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.event_details import mean_value
from autointerp_core.store.events import SCORED, LabelEvent, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.label_state import EventRow, LabelState, derive_rows
from autointerp_core.store.study import Study, own_model

__all__ = ["ScoreReport", "ScorerSummary", "run_score_job", "score_labels"]

VERSION = 1
"""Of the questions: raised where the same label would be judged differently."""
SHUFFLED = 5
"""Labels of other features an embedder is asked about; a language model is asked about one."""
_CHUNK, _CHUNK_JUDGED = 64, 8
"""Features judged and recorded together; fewer where a language model takes its time."""

Say = Callable[[str], None]


def score_labels(
    study: Study,
    features: Sequence[int],
    history: LabelHistory,
    *,
    scorers: Sequence[str] = (EMBEDDING,),
    provider: LabelProvider | None = None,
    judge: Judge | None = None,
    embedder: Embedder | None = None,
    per_class: int = PER_CLASS,
    again: bool = False,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> ScoreReport:
    """Score the labels of features, and record the scores.

    Args:
        study: whose documents the labels are judged on.
        features: whose labels; repeats count once.
        history: where labels are, and scores go.
        scorers: some of ``embedding``, ``detection``, ``fuzzing``.
        provider: the language model asked for detection and fuzzing; or give a ``judge``.
        judge: answers detection and fuzzing.
        embedder: for embedding; None: the one that works offline.
        per_class: active windows a feature and part, and as many silent ones.
        again: judge anew what was judged before.
        seed: of windows, marks and shuffled labels.
        progress: called about once a chunk of features, and as a model's judgements come in.

    Raises:
        BadInput: a feature is not in the study, an unknown scorer, nobody to judge.
        ProviderError: the judge failed for good; scores made so far are recorded.
        MissingDependency: the embedder is not installed.
    """
    wanted = sorted({int(feature) for feature in features})
    for feature in wanted:
        study.stats(feature)  # raises
    if judge is None and provider is not None:
        judge = LLMJudge(provider)
    run = _Scoring(study, history, _in_order(scorers), judge, embedder, per_class, again, seed)
    started = time.perf_counter()
    report = run.score(wanted, progress)
    report.seconds = time.perf_counter() - started
    return report


def run_score_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """The app's background job: scores for the labels of some features.

    Args:
        params: ``study`` (folder), ``features``, and optionally ``scorers`` (embedding alone),
            ``per_class``, ``again``, ``embedder`` (a name that :func:`make_embedder` knows),
            and the fields of :class:`LabelOptions` that say who judges: ``provider``,
            ``model_path``, ``base_url``, ``price_in``, ``price_out``, ``budget_dollars``,
            ``budget_tokens``, ``device``, ``dtype``, ``concurrency``.
        progress: as everywhere.

    Returns:
        The report's fields; ``asked`` holds the features.
    """
    study = Study(Path(params["study"]))
    features = [int(feature) for feature in params["features"]]
    given = {**params, "score_windows": params.get("per_class") or params.get("score_windows")}
    options = LabelOptions.from_params(given, model_path=own_model(study), scorers=(EMBEDDING,))
    judge = options.make_provider() if options.judged else None
    try:
        with LabelHistory.open() as history:
            report = score_labels(
                study,
                features,
                history,
                scorers=options.scorers,
                provider=judge,
                embedder=make_embedder(str(params.get("embedder") or WORDLLAMA)),
                per_class=options.score_windows,
                again=bool(params.get("again")),
                progress=progress,
            )
    finally:
        if judge is not None:
            judge.close()
    too_few = {str(feature): count for feature, count in report.too_few.items()}
    return {**asdict(report), "too_few": too_few, "asked": features}


def _in_order(scorers: Sequence[str]) -> tuple[str, ...]:
    if not scorers:
        raise ParameterError(f"no scorer given; choose from {', '.join(SCORERS)}")
    for scorer in scorers:
        one_of("scoring", scorer, SCORERS)
    return tuple(scorer for scorer in SCORERS if scorer in scorers)


class _Feature:
    """A feature in a chunk: its texts, its windows, and the labels of others put to them."""

    def __init__(
        self,
        feature: int,
        events: Sequence[LabelEvent],
        found: list[ScoredProposal],
        sampler: WindowSampler | None,
    ):
        self.feature, self.proposals, self._sampler = feature, found, sampler
        self.baseline: list[ScorerRun] = []
        self._events = events

    def state_with(self, scored: Iterable[tuple[ScoredProposal, Mapping[str, Any]]]) -> LabelState:
        """The state once these details are recorded: what stands then is decided in one place."""
        rows = [EventRow.of(event) for event in self._events]
        for one, details in scored:
            rows.append(
                EventRow(
                    feature=self.feature,
                    id=rows[-1].id + 1,
                    kind=SCORED,
                    text=None,
                    source=one.source,
                    method=None,
                    reason=None,
                    parent=one.event,
                    study=None,
                    details=details,
                )
            )
        return derive_rows(self.feature, rows)

    @cached_property
    def sets(self) -> dict[str, WindowSet]:
        """By part; drawn when first needed, and none where nothing is held out."""
        if self._sampler is None:
            return {}
        parts = self._sampler.sample_parts(self.feature, (VALIDATE, TEST))
        return {found.part: found for found in parts}

    def usable(self, part: str) -> WindowSet | None:
        """The windows of a part, if there are enough."""
        found = self.sets.get(part)
        return found if found is not None and found.problem is None else None

    def shuffled(self, scorer: str) -> float | None:
        """Mean value of other features' labels."""
        values = [t.value() for t in self.baseline if t.scorer == scorer and t.complete]
        had = [value for value in values if value is not None]
        return sum(had) / len(had) if had else None


class _Scoring:
    """What stays the same while the labels of a list of features are scored."""

    def __init__(
        self,
        study: Study,
        history: LabelHistory,
        scorers: tuple[str, ...],
        judge: Judge | None,
        embedder: Embedder | None,
        per_class: int,
        again: bool,
        seed: int,
    ):
        if per_class < MIN_ACTIVE:
            raise ParameterError(f"per_class is {per_class}; give at least {MIN_ACTIVE}")
        self.judged = tuple(scorer for scorer in scorers if scorer in JUDGED)
        if judge is None and self.judged:
            raise ParameterError(
                f"scoring by {', '.join(self.judged)} asks a language model; give a provider"
            )
        self.study, self.history, self.scorers, self.judge = study, history, scorers, judge
        self.sae = study.info.sae_fingerprint
        self.known = KnownTexts(embedder or default_embedder())
        self.again, self.seed = again, seed
        self.split = Split(study)
        self.sampler = WindowSampler(study, self.split, per_class, seed)
        self.report = ScoreReport()
        self.asked_how = {
            "version": VERSION,
            "study": study.id,
            "scorers": {scorer: self._judge_of(scorer) for scorer in scorers},
            "per_class": per_class,
            "seed": seed,
        }
        self.shown: list[Mapping[str, Any]] = []
        """Test scores of the label that stands, of each feature."""

    def score(self, features: list[int], progress: ProgressCallback) -> ScoreReport:
        states = self.history.states(self.sae, features, self.study.id) if features else {}
        labels = {f: state.label for f, state in states.items() if state.label}
        others = OtherLabels(labels, self.split, self.history, SHUFFLED, self.seed)
        self.report.unlabelled = len(features) - len(labels)
        asked = sorted(labels)
        size = _CHUNK_JUDGED if self.judged else _CHUNK
        started = time.perf_counter()

        def say(done: int, message: str = "") -> None:
            rate = done / (time.perf_counter() - started) if done else None
            left = (len(asked) - done) / rate if rate else None
            progress(Progress("scores", done, len(asked), "features", rate, left, message))

        say(0)
        for at in range(0, len(asked), size):
            chunk = asked[at : at + size]
            self._chunk(chunk, others, partial(say, at))
            if self.report.stopped:
                break
            say(at + len(chunk))
        for scorer in self.scorers:
            summary = summarise([found[scorer] for found in self.shown if scorer in found])
            if summary is not None:
                self.report.scorers[scorer] = summary
            elif labels:
                scores = [found[scorer] for found in self.shown if scorer in found]
                self.report.explain(scorer, [s["reason"] for s in scores if s.get("reason")])
        if self.judge is not None:
            self.report.notices += self.judge.notices
        self.report.notices = list(dict.fromkeys(self.report.notices))
        return self.report

    def _chunk(self, features: list[int], others: OtherLabels, say: Say) -> None:
        chunk = [self._open(feature) for feature in features]
        for entry in chunk:
            for one in entry.proposals:
                if one.before is not None:
                    one.values = dict(one.before.get("validate") or {})
                due = one.due(VALIDATE, self.scorers)
                where = entry.usable(VALIDATE) if due else None
                if where is not None:
                    one.validate = self._runs(one.text, where, due)
        self._ask([t for entry in chunk for one in entry.proposals for t in one.validate], say)
        for entry in chunk:
            for one in entry.proposals:
                if one.validate and all(run.complete for run in one.validate):
                    found = {t.scorer: _four_digits(t.value()) for t in one.validate}
                    one.values = {**one.values, **found}
        if not self.report.stopped:
            for entry in chunk:
                self._prepare_test(entry, others)
            tests = [one.test for entry in chunk for one in entry.proposals]
            baselines = [entry.baseline for entry in chunk]
            self._ask([run for group in (*tests, *baselines) for run in group], say)
        self._record(chunk)

    def _open(self, feature: int) -> _Feature:
        # Another study's labels are judged there, on its own documents.
        events = [
            event
            for event in self.history.history(self.sae, feature)
            if event.study in (None, self.study.id)
        ]
        found = scored_proposals(feature, events, self.asked_how, again=self.again)
        return _Feature(feature, events, found, self.sampler if self.split.holds_out else None)

    def _prepare_test(self, entry: _Feature, others: OtherLabels) -> None:
        judged = [(one, self._ranking(one)) for one in entry.proposals if one.validate]
        state = entry.state_with(judged)
        for one in entry.proposals:
            one.shown |= one.text in (state.label, state.label_llm, state.label_search)
        due = {one.event: one.due(TEST, self.scorers) for one in entry.proposals if one.shown}
        where = entry.usable(TEST) if any(due.values()) else None
        if where is None:
            return
        for one in entry.proposals:
            one.test = self._runs(one.text, where, due.get(one.event, []))
        asked = {scorer for found in due.values() for scorer in found}
        own = [one.text for one in entry.proposals]
        for place, text in enumerate(others.of(entry.feature, own, SHUFFLED)):
            scorers = [s for s in self.scorers if s in asked and (place == 0 or s not in JUDGED)]
            entry.baseline += self._runs(text, where, scorers)

    def _ranking(self, one: ScoredProposal) -> dict[str, Any]:
        """What of the details of a scored event decides which label stands."""
        judges = {scorer: self._judge_of(scorer) for scorer in one.values}
        return {"score": one.rank, "validate": one.values, "judges": judges}

    def _runs(self, text: str, where: WindowSet, scorers: Iterable[str]) -> list[ScorerRun]:
        return [ScorerRun.of(scorer, text, where, self.seed) for scorer in scorers]

    def _ask(self, runs: list[ScorerRun], say: Say) -> None:
        embedded = [run for run in runs if run.scorer == EMBEDDING]
        if embedded:
            embed_runs(embedded, self.known)
        asked = [run for run in runs if run.scorer in JUDGED]
        if asked and self.judge is not None:

            def told(done: int, total: int) -> None:
                if done % 20 == 0 or done == total:
                    say(f"{done} of {total} judgements")

            judge_runs(asked, self.judge, fresh=self.again, told=told)
            self.report.stopped = self.judge.stopped
        for run in runs:
            self.report.tokens_in += run.tokens_in
            self.report.tokens_out += run.tokens_out
            self.report.add_missing(run.scorer, run.errors.values())
            if run.cost is not None:
                self.report.cost = (self.report.cost or 0.0) + run.cost

    # ------------------------------------------------------------------ recording

    def _record(self, chunk: list[_Feature]) -> None:
        name = self._keep([found for entry in chunk for found in _evidence(entry)])
        events = []
        for entry in chunk:
            known: dict[int, Mapping[str, Any]] = {}
            new: list[tuple[ScoredProposal, Mapping[str, Any]]] = []
            for one in entry.proposals:
                details = self._details(entry, one, name)
                if details is not None:
                    events.append(self._event(one, details))
                    new.append((one, details))
                    self.report.labels += bool(one.validate or one.test)
                elif one.before is not None:
                    self.report.reused += 1
                known[one.event] = together(one.before or {}, details or {})
            self._count(entry, new, known)
        self.history.record_many(events)

    def _details(self, entry: _Feature, one: ScoredProposal, evidence: str | None) -> Any:
        """What the scored event of a text says; None where there is nothing new to say."""
        runs = [*one.validate, *one.test]
        if any(not run.complete for run in one.validate):
            return None
        tested = bool(one.test) and all(run.complete for run in one.test)
        if one.before is not None and not any(_learnt(one, t) for t in runs if t.complete):
            return None
        reason = self._reason(entry, one)
        if not one.validate and not tested and reason is None:
            return None  # stopped before it was judged
        if not runs and (one.scored_before or one.before is not None):
            return None  # what is known is better than a reason
        given = {t.scorer: self._score(entry, t) for t in one.test if tested}
        before = one.before or {}
        scores = {**(before.get("scores") or {}), **given}
        if tested and mean_value(scores) is None:
            reason = next((s["reason"] for s in scores.values() if s["reason"]), reason)
        costs = [run.cost for run in runs if run.cost is not None]
        return {
            **self._ranking(one),
            "test_score": mean_value(scores),
            "scores": given,
            "study": self.study.id,
            "key": one.key,
            "tested": tested or reason is not None,
            "evidence": evidence if runs else None,
            "unscored": None if mean_value(scores) is not None else reason,
            "documents_active": entry.sets[TEST].documents if entry.sets else None,
            "lacking": {run.scorer: run.missing for run in one.validate},
            "missing": sum(run.missing for run in runs if run.complete),
            "tokens_in": sum(run.tokens_in for run in runs),
            "tokens_out": sum(run.tokens_out for run in runs),
            "seconds": round(sum(run.seconds for run in runs), 4),
            "cost": sum(costs) if costs else None,
        }

    def _score(self, entry: _Feature, run: ScorerRun) -> dict[str, Any]:
        found = run.score(self._judge_of(run.scorer), entry.shuffled(run.scorer))
        if run.scorer == FUZZING and not run.windows:
            found = replace(found, reason=TOO_FEW)
        return found.to_json()

    def _reason(self, entry: _Feature, one: ScoredProposal) -> str | None:
        """Why a text has no test score, whoever judges; None where it could have one."""
        if not self.split.holds_out:
            return (
                f"the study has {self.study.info.n_documents} documents; a score needs at least "
                f"{SMALLEST}, so that some can be held out"
            )
        if one.problem is not None:
            return one.problem
        if entry.sets[TEST].problem is not None:
            return entry.sets[TEST].problem
        # With nothing to rank it by and others shown before it, it stays without a number.
        return None if one.shown else entry.sets[VALIDATE].problem

    def _event(self, one: ScoredProposal, details: dict[str, Any]) -> NewEvent:
        return NewEvent(
            self.sae,
            one.feature,
            SCORED,
            source=one.source,
            method="+".join(self.scorers),
            parent=one.event,
            details=details,
            study=self.study.id,
        )

    def _keep(self, evidence: list[ProposalRun]) -> str | None:
        if not evidence:
            return None
        name = new_name()
        try:
            write_evidence(self.study, name, evidence)
        except OutputError as error:
            self.report.notices.append(f"judged windows are not kept: {error}")
            return None
        return name

    def _count(
        self,
        entry: _Feature,
        new: Iterable[tuple[ScoredProposal, Mapping[str, Any]]],
        known: Mapping[int, Mapping[str, Any]],
    ) -> None:
        """Into the report: the label that stands now, or why it has no score."""
        label = entry.state_with(new).label
        standing = next((one for one in entry.proposals if one.text == label), None)
        if standing is None:  # somebody took the label back while this ran
            return
        scores = known[standing.event].get("scores") or {}
        self.shown.append(scores)
        if mean_value(scores) is not None:
            self.report.features += 1
            return
        reason = known[standing.event].get("unscored") or self._reason(entry, standing)
        documents = known[standing.event].get("documents_active")
        if standing.problem is None and documents is not None and documents < MIN_ACTIVE:
            self.report.too_few[entry.feature] = documents
            reason = f"fires in fewer than {MIN_ACTIVE} test documents"
        if reason is not None:
            self.report.add_unscored(str(reason))

    def _judge_of(self, scorer: str) -> str:
        if scorer in JUDGED and self.judge is not None:
            return self.judge.name
        return self.known.embedder.name


def _four_digits(value: float | None) -> float | None:
    """As it is recorded, so that what is best here is best when it is read again."""
    return None if value is None else round(value, 4)


def _learnt(one: ScoredProposal, run: ScorerRun) -> bool:
    """Whether a run says more than was known: a repeated failure is not recorded again."""
    before = one.lacking(run.part, run.scorer)
    if run.part == TEST and not one.tested:
        before = None
    return before is None or run.missing < before


def _evidence(entry: _Feature) -> Iterable[ProposalRun]:
    """Every run that was finished, but for the embedder's other labels: those cost nothing."""
    for one in entry.proposals:
        for run in (*one.validate, *one.test):
            if run.complete:
                yield ProposalRun(one.event, run)
    tested = next((one.event for one in entry.proposals if one.test), None)
    for run in entry.baseline:
        if tested is not None and run.complete and run.scorer in JUDGED:
            yield ProposalRun(tested, run, shuffled=True)
