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
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from autointerp_core.labels.document_split import TEST, VALIDATE, Split
from autointerp_core.labels.embedders import Embedder, KnownTexts, make_embedder
from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.labels.scoring.config import ScoreConfig
from autointerp_core.labels.scoring.feature_scoring import FeatureScoring
from autointerp_core.labels.scoring.judge import Judge
from autointerp_core.labels.scoring.llm_judge import LLMJudge
from autointerp_core.labels.scoring.recording import ScoreRecorder
from autointerp_core.labels.scoring.report import ScoreReport, ScorerSummary
from autointerp_core.labels.scoring.sample_windows import WindowSampler, WindowSet
from autointerp_core.labels.scoring.scored_proposals import scored_proposals
from autointerp_core.labels.scoring.scorers import (
    SCORERS,
    ScorerRun,
    Tools,
    answer_runs,
    in_order,
    judged,
)
from autointerp_core.labels.scoring.shuffled_labels import OtherLabels, further_labels
from autointerp_core.labels.search.record import search_labeler
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.events import LabelEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

__all__ = ["ScoreReport", "ScorerSummary", "score_labels"]

VERSION = 3
"""Of the questions: raised where the same label would be judged differently. 2: ranked by fit,
with random, neighbour and near windows. 3: fit leaves out the words that a label names."""
SHUFFLED = 5
"""Labels of other features looked for; a scorer is asked about so many of them at most."""
_CHUNK, _CHUNK_JUDGED = 64, 8
"""Features judged and recorded together; fewer where a language model takes its time."""
_TOLD = 20
"""Judgements between two words of progress."""

Say = Callable[[str], None]


def score_labels(
    study: Study,
    features: Sequence[int],
    history: LabelHistory,
    config: ScoreConfig | None = None,
    *,
    judge: Judge | LabelProvider | None = None,
    embedder: Embedder | None = None,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> ScoreReport:
    """Score the labels of features, and record the scores.

    Nothing is loaded but the study's files and, where a scorer asks one, the judge's model.

    Args:
        study: whose documents the labels are judged on.
        features: whose labels; repeats count once.
        history: where labels are, and scores go.
        config: by which scorers, and who judges; by default by embedding, offline.
        judge: judges instead of the config's provider; whoever gives one closes it.
        embedder: embeds instead of the config's.
        seed: of windows, marks and shuffled labels.
        progress: called about once a chunk of features, and as a model's judgements come in.

    Raises:
        BadInput: a feature is not in the study, the judge's model cannot be loaded.
        ProviderError: the judge failed for good; scores made so far are recorded.
        MissingDependency: the embedder is not installed.
    """
    config = (config or ScoreConfig()).on(study)
    wanted = sorted({int(feature) for feature in features})
    for feature in wanted:
        study.stats(feature)  # raises
    asks = judge is None and bool(judged(config.window_scorers))
    made = config.make_provider() if asks else None
    asked = made or judge
    try:
        run = _Scoring(
            study,
            history,
            config,
            LLMJudge(asked) if isinstance(asked, LabelProvider) else asked,
            embedder or make_embedder(config.embedder),
            seed,
        )
        started = time.perf_counter()
        report = run.score(wanted, progress)
        report.seconds = time.perf_counter() - started
    finally:
        if made is not None:
            made.close()
    return report


class _Scoring:
    """What stays the same while the labels of a list of features are scored."""

    def __init__(
        self,
        study: Study,
        history: LabelHistory,
        config: ScoreConfig,
        judge: Judge | None,
        embedder: Embedder,
        seed: int,
    ):
        self.study, self.history, self.seed = study, history, seed
        self.scorers, self.again = in_order(config.scorers), config.again
        self.sae = study.info.sae_fingerprint
        self.tools = Tools(KnownTexts(embedder), judge, fresh=config.again)
        self.split = Split(study)
        self.sampler = WindowSampler(study, self.split, config.score_windows, seed)
        self.report = ScoreReport()
        self.recorder = ScoreRecorder(
            study, history, self.scorers, self._judge_of, self.split.holds_out, self.report
        )
        self.asked_how = {
            "version": VERSION,
            "study": study.id,
            "scorers": {scorer: self._judge_of(scorer) for scorer in self.scorers},
            "per_class": config.score_windows,
            "seed": seed,
        }

    def score(self, features: list[int], progress: ProgressCallback) -> ScoreReport:
        states = self.history.states(self.sae, features, self.study.id) if features else {}
        labels = {f: state.label for f, state in states.items() if state.label}
        further = further_labels(labels, self.study, self.history, self._search_labels)
        others = OtherLabels(labels, further, SHUFFLED, self.seed)
        self.report.unlabelled = len(features) - len(labels)
        asked = sorted(labels)
        size = _CHUNK_JUDGED if judged(self.scorers) else _CHUNK
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
        self.recorder.finish(labelled=bool(labels))
        if self.tools.judge is not None:
            self.report.notices += self.tools.judge.notices
        self.report.notices = list(dict.fromkeys(self.report.notices))
        return self.report

    def _chunk(self, features: list[int], others: OtherLabels, say: Say) -> None:
        histories = self.history.histories(self.sae, features)
        chunk = [self._open(feature, histories[feature]) for feature in features]
        for entry in chunk:
            for one in entry.proposals:
                if one.before is not None:
                    one.values = dict(one.before.validate)
                due = one.due(VALIDATE, self.scorers)
                where = entry.usable(VALIDATE) if due else None
                if where is not None:
                    one.validate = self._runs(one.text, where, due)
        self._ask([run for entry in chunk for one in entry.proposals for run in one.validate], say)
        for entry in chunk:
            for one in entry.proposals:
                if one.validate and all(run.complete for run in one.validate):
                    found = {run.scorer: _as_recorded(run) for run in one.validate}
                    one.values = {**one.values, **found}
        if not self.report.stopped:
            for entry in chunk:
                self._prepare_test(entry, others)
            tests = [one.test for entry in chunk for one in entry.proposals]
            shuffled = [entry.shuffled_runs for entry in chunk]
            self._ask([run for group in (*tests, *shuffled) for run in group], say)
        self.recorder.record(chunk)

    def _open(self, feature: int, events: list[LabelEvent]) -> FeatureScoring:
        # Another study's labels are judged there, on its own documents.
        events = [event for event in events if event.study in (None, self.study.id)]
        found = scored_proposals(feature, events, self.asked_how, again=self.again)
        sampler = self.sampler if self.split.holds_out else None
        return FeatureScoring(feature, events, found, sampler)

    def _prepare_test(self, entry: FeatureScoring, others: OtherLabels) -> None:
        ranked = [(one, self.recorder.ranking(one)) for one in entry.proposals if one.validate]
        state = entry.state_with(ranked)
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
            scorers = [s for s in self.scorers if s in asked and place < SCORERS[s].others]
            for run in self._runs(text, where, scorers):
                run.baseline = True
                entry.shuffled_runs.append(run)

    def _runs(self, text: str, where: WindowSet, scorers: Iterable[str]) -> list[ScorerRun]:
        return [ScorerRun.of(scorer, text, where, self.seed) for scorer in scorers]

    def _ask(self, runs: list[ScorerRun], say: Say) -> None:
        total = sum(len(run.windows) for run in runs if SCORERS[run.scorer].asks_model)
        done = 0

        def told() -> None:
            nonlocal done
            done += 1
            if done % _TOLD == 0 or done == total:
                say(f"{done} of {total} judgements")

        answer_runs(runs, self.tools.telling(told))
        if total and self.tools.judge is not None:
            self.report.stopped = self.tools.judge.stopped
        for run in runs:
            self.report.tokens_in += run.tokens_in
            self.report.tokens_out += run.tokens_out
            self.report.add_missing(run.scorer, run.errors.values())
            if run.cost is not None:
                self.report.cost = (self.report.cost or 0.0) + run.cost

    def _search_labels(self, features: Sequence[int]) -> list[str]:
        made = search_labeler(self.split).label_all(features)
        return [found.text for found in made if found.text]

    def _judge_of(self, scorer: str) -> str:
        return SCORERS[scorer].judge_name(self.tools)


def _as_recorded(run: ScorerRun) -> Any:
    """A value of validate as it is recorded, so that what is best here is best when read again."""
    if run.refused is not None:
        return {"value": None, "reason": run.refused}
    value = run.ranked_by()
    return None if value is None else round(value, 4)
