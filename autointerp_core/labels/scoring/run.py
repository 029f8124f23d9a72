"""Scoring labels: each judged on text the labeller never saw, and the results recorded.

Every different proposal of a feature is judged on *validate* documents: that ranks them. The
best of them, the newest LLM label, the newest search label and the label that stands now are
judged on *test* documents too: that is what a person is shown, beside what labels of other
features get on the same windows. Each proposal gets one ``scored`` event; a rerun skips what
was asked before, and asks again for judgements that could not be had. A kill loses the features
of one chunk (of a few, where several processes score), never a label.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial

from autointerp_core.labels.embedders import Embedder, make_embedder
from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.labels.scoring.chunks import SHUFFLED, ChunkResult, ChunkScorer, Histories
from autointerp_core.labels.scoring.config import ScoreConfig
from autointerp_core.labels.scoring.judge import Judge
from autointerp_core.labels.scoring.llm_judge import LLMJudge
from autointerp_core.labels.scoring.processes import how_many, score_chunks
from autointerp_core.labels.scoring.report import ScoreReport, ScorerSummary, summarise
from autointerp_core.labels.scoring.scorers import judged
from autointerp_core.labels.scoring.shuffled_labels import OtherLabels, further_labels
from autointerp_core.labels.search.record import search_labeler
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.event_details import ScoreDetails
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.score_values import ScorerResult
from autointerp_core.store.study import Study

__all__ = ["ScoreReport", "ScorerSummary", "score_labels"]

_CHUNK, _CHUNK_JUDGED = 64, 8
"""Features judged and recorded together; fewer where a language model takes its time."""


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
    processes: int | None = None,
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
        processes: that embedding scores alone are shared among; None: one a core where there are
            many features. The scores are the same.

    Raises:
        BadInput: a feature is not in the study, the judge's model cannot be loaded.
        ProviderError: the judge failed for good; scores made so far are recorded.
        MissingDependency: the embedder is not installed.
        AutointerpError: a process of its own failed; scores made so far are recorded.
    """
    config = (config or ScoreConfig()).on(study)
    wanted = sorted({int(feature) for feature in features})
    for feature in wanted:
        study.stats(feature)  # raises
    asks = judge is None and bool(judged(config.window_scorers))
    made = config.make_provider() if asks else None
    asked = made or judge
    try:
        chunks = ChunkScorer(
            study,
            config,
            LLMJudge(asked) if isinstance(asked, LabelProvider) else asked,
            embedder or make_embedder(config.embedder),
            seed,
        )
        started = time.perf_counter()
        report = _Scoring(history, config, chunks).score(wanted, progress, processes)
        report.seconds = time.perf_counter() - started
    finally:
        if made is not None:
            made.close()
    return report


class _Scoring:
    """A run over a list of features."""

    def __init__(self, history: LabelHistory, config: ScoreConfig, chunks: ChunkScorer):
        self.history, self.config, self.chunks = history, config, chunks
        self.study, self.sae = chunks.study, chunks.study.info.sae_fingerprint
        self.report = ScoreReport()
        self._shown: list[Mapping[str, ScorerResult]] = []
        """Test results of the label that stands, of each feature."""

    def score(
        self, features: list[int], progress: ProgressCallback, processes: int | None
    ) -> ScoreReport:
        states = self.history.states(self.sae, features, self.study.id) if features else {}
        labels = {f: state.label for f, state in states.items() if state.label}
        further = further_labels(labels, self.study, self.history, self._search_labels)
        others = OtherLabels(labels, further, SHUFFLED, self.chunks.seed)
        self.report.unlabelled = len(features) - len(labels)
        asked = sorted(labels)
        size = _CHUNK_JUDGED if judged(self.chunks.scorers) else _CHUNK
        started = time.perf_counter()

        def say(done: int, message: str = "") -> None:
            rate = done / (time.perf_counter() - started) if done else None
            left = (len(asked) - done) / rate if rate else None
            progress(Progress("scores", done, len(asked), "features", rate, left, message))

        say(0)
        parts = [asked[at : at + size] for at in range(0, len(asked), size)]
        done = 0
        with closing(self._results(parts, others, processes, say)) as results:
            for part, found in zip(parts, results, strict=False):
                self.history.record_many(found.events)
                self.report.add(found.report)
                self._shown += [ScoreDetails(scores=scores).results() for scores in found.shown]
                if self.report.stopped:
                    break
                done += len(part)
                say(done)
        self._sum_up(labelled=bool(labels))
        judge = self.chunks.tools.judge
        if judge is not None:
            self.report.notices += judge.notices
        self.report.notices = list(dict.fromkeys(self.report.notices))
        return self.report

    def _results(
        self,
        parts: Sequence[Sequence[int]],
        others: OtherLabels,
        processes: int | None,
        say: Callable[[int, str], None],
    ) -> Generator[ChunkResult]:
        """What came of each part, as it is asked for."""
        embedder = self.chunks.tools.known.embedder
        count = processes or how_many(self.chunks.scorers, embedder, sum(map(len, parts)))
        if count > 1 and parts:
            yield from score_chunks(self.chunks, self.config, parts, others, self._read, count)
            return
        done = 0
        for part in parts:
            yield self.chunks.score(self._read(part), others, partial(say, done))
            done += len(part)

    def _read(self, features: Sequence[int]) -> Histories:
        found = self.history.histories(self.sae, features)
        return {feature: found[feature] for feature in features}

    def _sum_up(self, *, labelled: bool) -> None:
        for scorer in self.chunks.scorers:
            results = [found[scorer] for found in self._shown if scorer in found]
            summary = summarise(results)
            if summary is not None:
                self.report.scorers[scorer] = summary
            elif labelled:
                self.report.explain(scorer, [r.reason for r in results if r.reason])

    def _search_labels(self, features: Sequence[int]) -> list[str]:
        made = search_labeler(self.chunks.split).label_all(features)
        return [found.text for found in made if found.text]
