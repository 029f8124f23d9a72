"""Measuring features and labels (see :mod:`.measures`), and the results recorded.

Each result is one ``measured`` event: of a label its parent is the label's event, of a feature it
has none. Nothing that was measured in exactly this way is measured again, unless asked for.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from autointerp_core.errors import ParameterError
from autointerp_core.labels.document_split import SMALLEST, Split
from autointerp_core.labels.embedders import Embedder, KnownTexts, make_embedder
from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.labels.scoring.choice_judge import ChoiceJudge
from autointerp_core.labels.scoring.config import ScoreConfig
from autointerp_core.labels.scoring.judge import Judge
from autointerp_core.labels.scoring.measures import MEASURES, Measured, MeasureTools, Subject
from autointerp_core.labels.scoring.report import ScoreReport, summarise
from autointerp_core.labels.scoring.run import score_labels
from autointerp_core.labels.scoring.study_model import StudyModel
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.event_details import MeasuredDetails
from autointerp_core.store.events import MEASURED, LabelEvent, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.label_state import LabelState
from autointerp_core.store.score_values import ScorerResult
from autointerp_core.store.study import Study

VERSION = 1
"""Of the questions: raised where the same subject would be measured differently."""
_RECORDED = 8
"""Results recorded together: what a kill loses at most."""


def score_and_measure(
    study: Study,
    features: Sequence[int],
    history: LabelHistory,
    config: ScoreConfig | None = None,
    *,
    judge: Judge | LabelProvider | None = None,
    choice_judge: ChoiceJudge | None = None,
    embedder: Embedder | None = None,
    open_model: Callable[[], StudyModel] | None = None,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> ScoreReport:
    """Score labels by the scorers asked for, then measure by the measures asked for.

    Args:
        judge: as for :func:`~autointerp_core.labels.scoring.run.score_labels`; a provider writes
            and chooses for measures, too.
        choice_judge: chooses instead of it.
        open_model: loads the study's model and SAE, for measures that encode text.

    Raises:
        ParameterError: a measure needs the model and the SAE, and they are not at hand.
        BadInput, ProviderError, MissingDependency: as ``score_labels``.
    """
    config = (config or ScoreConfig()).on(study)
    _check(config, open_model)
    wanted = sorted({int(feature) for feature in features})
    for feature in wanted:
        study.stats(feature)  # raises
    # One provider for all of it, so that a budget bounds the whole.
    made = config.make_provider() if judge is None and _asks(config, choice_judge) else None
    judge = judge or made
    try:
        report = ScoreReport()
        if config.window_scorers:
            report = score_labels(
                study,
                wanted,
                history,
                config,
                judge=judge,
                embedder=embedder,
                seed=seed,
                progress=progress,
            )
        if config.measures and not report.stopped:
            tools = MeasureTools(
                study,
                Split(study),
                KnownTexts(embedder or make_embedder(config.embedder)),
                judge if isinstance(judge, LabelProvider) else None,
                choice_judge,
                open_model,
                seed,
                config.again,
            )
            started = time.perf_counter()
            _Measuring(study, history, tools, report, progress).all(config.measures, wanted)
            report.seconds += time.perf_counter() - started
            if not config.window_scorers:
                counts = [summary.features for summary in report.scorers.values()]
                report.features = max(counts, default=0)
    finally:
        if made is not None:
            made.close()
    if made is not None:
        report.notices += [n for n in made.notices if n not in report.notices]
    return report


def _asks(config: ScoreConfig, choice_judge: ChoiceJudge | None) -> bool:
    """Whether a provider is asked anything that ``choice_judge`` does not answer."""
    spared = {name for name in config.measures if not MEASURES[name].of_label}
    return bool(set(config.judged) - (spared if choice_judge is not None else set()))


def _check(config: ScoreConfig, open_model: Callable[[], StudyModel] | None) -> None:
    encoding = [name for name in config.measures if MEASURES[name].encodes]
    if encoding and open_model is None:
        raise ParameterError(
            f"{' and '.join(encoding)} needs the study's own model and SAE, and they are not at "
            "hand here; run it where they are, or leave it out"
        )


class _Measuring:
    """What stays the same while features of one study are measured."""

    def __init__(
        self,
        study: Study,
        history: LabelHistory,
        tools: MeasureTools,
        report: ScoreReport,
        progress: ProgressCallback,
    ):
        self._study, self._history, self._tools = study, history, tools
        self._report, self._progress = report, progress
        self._sae = study.info.sae_fingerprint

    def all(self, names: Sequence[str], features: list[int]) -> None:
        """Measure by each of the measures, until a budget is used up."""
        for name in names:
            self.measure(name, features)
            if self._report.stopped:
                return

    def measure(self, name: str, features: list[int]) -> None:
        """Measure features (their standing labels, where a measure is of labels)."""
        measure, study = MEASURES[name], self._study
        if not self._tools.split.holds_out:
            self._report.without[name] = (
                f"no score, the study has {study.info.n_documents} documents; it needs at least "
                f"{SMALLEST}, so that some can be held out"
            )
            return
        by = measure.by(self._tools)
        subjects = self._subjects(features, of_label=measure.of_label)
        before = self._history.machine_events(self._sae, (MEASURED,), study.id, name)
        key_of = {s: self._key(name, by, s) for s in subjects}
        known = {event.details.get("key"): event for event in before}
        todo = subjects
        if not self._tools.fresh:
            todo = [s for s in subjects if not _whole(known.get(key_of[s]))]
        found = [
            MeasuredDetails.from_json(known[key_of[s]].details).results
            for s in subjects
            if s not in todo
        ]
        self._report.reused += len(found)
        waiting: list[NewEvent] = []
        started = time.perf_counter()
        self._say(name, 0, len(todo), started)
        for done, one in enumerate(measure.measure(todo, self._tools), 1):
            found.append(one.results)
            self._count(name, one)
            waiting.append(self._event(name, by, key_of[one.subject], one))
            if len(waiting) == _RECORDED:
                self._history.record_many(waiting)
                waiting = []
                self._say(name, done, len(todo), started)
        self._history.record_many(waiting)
        self._stop()
        self._sum_up(measure.results, found)

    def _subjects(self, features: list[int], *, of_label: bool) -> list[Subject]:
        table = self._study.table.set_index("feature")["num_examples"]
        live = [feature for feature in features if int(table.loc[feature]) > 0]
        if not of_label:
            return [Subject(feature) for feature in live]
        states = self._history.states(self._sae, live, self._study.id) if live else {}
        return [
            Subject(feature, state.label, _event_of(state))
            for feature, state in sorted(states.items())
            if state.label
        ]

    def _event(self, name: str, by: str, key: str, one: Measured) -> NewEvent:
        details = MeasuredDetails(
            results=one.results,
            more=one.more,
            label=one.subject.label,
            study=self._study.id,
            key=key,
            missing=one.missing,
            tokens_in=one.tokens_in,
            tokens_out=one.tokens_out,
            seconds=one.seconds,
            cost=one.cost,
        )
        return NewEvent(
            self._sae,
            one.subject.feature,
            MEASURED,
            source=by or name,
            method=name,
            parent=one.subject.event,
            details=details.to_json(),
            study=self._study.id,
        )

    def _key(self, name: str, by: str, subject: Subject) -> str:
        asked: dict[str, Any] = {
            "version": VERSION,
            "study": self._study.id,
            "measure": name,
            "by": by,
            "seed": self._tools.seed,
            "feature": subject.feature,
            "label": subject.label,
        }
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def _count(self, name: str, one: Measured) -> None:
        report = self._report
        report.tokens_in += one.tokens_in
        report.tokens_out += one.tokens_out
        report.add_missing(name, ["an answer could not be had"] * one.missing)
        if one.cost is not None:
            report.cost = (report.cost or 0.0) + one.cost

    def _stop(self) -> None:
        asked = [self._tools.judge, self._tools.provider]
        ended = [who.stopped for who in asked if who is not None and who.stopped]
        if ended:
            self._report.stopped = ended[0]

    def _sum_up(self, names: Sequence[str], found: Sequence[Any]) -> None:
        for name in names:
            results: list[ScorerResult] = [one[name] for one in found if name in one]
            summary = summarise(results)
            if summary is not None:
                self._report.scorers[name] = summary
            elif results or not found:
                self._report.explain(name, [r.reason for r in results if r.reason])

    def _say(self, name: str, done: int, total: int, started: float) -> None:
        rate = done / (time.perf_counter() - started) if done else None
        left = (total - done) / rate if rate else None
        self._progress(Progress("scores", done, total, "features", rate, left, name))


def _event_of(state: LabelState) -> int | None:
    """The event of the label that stands: the newest proposal with its text, else the decision."""
    shown = state.shown()
    return shown.event_id if shown is not None else state.current_event


def _whole(event: LabelEvent | None) -> bool:
    """Whether it was measured before, without a missing answer."""
    return event is not None and not MeasuredDetails.from_json(event.details).missing
