"""Some features at a time: their texts put to windows, what came of it, nothing recorded yet.

Knows no label database: whoever asks gives the features' histories, and gets the events. So a
chunk can be scored in this process or in another one, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from autointerp_core.labels.document_split import TEST, VALIDATE, Split
from autointerp_core.labels.embedders import Embedder, KnownTexts
from autointerp_core.labels.scoring.config import ScoreConfig
from autointerp_core.labels.scoring.feature_scoring import FeatureScoring
from autointerp_core.labels.scoring.judge import Judge
from autointerp_core.labels.scoring.recording import ScoreRecorder
from autointerp_core.labels.scoring.report import ScoreReport
from autointerp_core.labels.scoring.sample_windows import WindowSampler, WindowSet
from autointerp_core.labels.scoring.scored_proposals import scored_proposals
from autointerp_core.labels.scoring.scorers import (
    SCORERS,
    ScorerRun,
    Tools,
    answer_runs,
    in_order,
)
from autointerp_core.labels.scoring.shuffled_labels import OtherLabels
from autointerp_core.store.events import LabelEvent, NewEvent
from autointerp_core.store.study import Study

VERSION = 2
"""Of the questions: raised where the same label would be judged differently. 2: ranked by fit,
with random, neighbour and near windows."""
SHUFFLED = 5
"""Labels of other features looked for; a scorer is asked about so many of them at most."""
_TOLD = 20
"""Judgements between two words of progress."""

Say = Callable[[str], None]
Histories = Mapping[int, Sequence[LabelEvent]]


@dataclass
class ChunkResult:
    """What came of a chunk."""

    events: list[NewEvent] = field(default_factory=list)
    """To be recorded."""
    report: ScoreReport = field(default_factory=ScoreReport)
    shown: list[dict[str, Any]] = field(default_factory=list)
    """Test results of the label that stands, of each feature, as they are recorded."""

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        events = [asdict(event) for event in self.events]
        return {"events": events, "report": self.report.to_json(), "shown": self.shown}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` gave."""
        events = [NewEvent(**event) for event in raw["events"]]
        return cls(events, ScoreReport.from_json(raw["report"]), raw["shown"])


class ChunkScorer:
    """What stays the same while the labels of a list of features are scored.

    Args:
        study: whose documents they are judged on.
        config: by which scorers, and on how much.
        judge: judges for the scorers that ask a model.
        embedder: embeds for those that compare vectors.
        seed: of windows, marks and shuffled labels.
    """

    def __init__(
        self,
        study: Study,
        config: ScoreConfig,
        judge: Judge | None,
        embedder: Embedder,
        seed: int,
    ):
        self.study, self.seed = study, seed
        self.scorers, self.again = in_order(config.scorers), config.again
        self.harder = config.harder_windows
        self.tools = Tools(KnownTexts(embedder), judge, fresh=config.again)
        self.split = Split(study)
        self.sampler = WindowSampler(study, self.split, config.score_windows, seed)
        self.asked_how = {
            "version": VERSION,
            "study": study.id,
            "scorers": {scorer: self._judge_of(scorer) for scorer in self.scorers},
            "per_class": config.score_windows,
            "seed": seed,
        }
        if self.harder:
            self.asked_how["harder_windows"] = True

    def score(self, histories: Histories, others: OtherLabels, say: Say) -> ChunkResult:
        """Score the labels of some features.

        Args:
            histories: all events of each feature, ids ascending.
            others: labels of other features, to compare with.
            say: told how far a model's judgements are.
        """
        report = ScoreReport()
        recorder = ScoreRecorder(
            self.study, self.scorers, self._judge_of, self.split.holds_out, report
        )
        chunk = [self._open(feature, events) for feature, events in histories.items()]
        for entry in chunk:
            for one in entry.proposals:
                if one.before is not None:
                    one.values = dict(one.before.validate)
                due = one.due(VALIDATE, self.scorers)
                where = entry.usable(VALIDATE) if due else None
                if where is not None:
                    one.validate = self._runs(one.text, where, due)
        runs = [run for entry in chunk for one in entry.proposals for run in one.validate]
        self._ask(runs, report, say)
        for entry in chunk:
            for one in entry.proposals:
                if one.validate and all(run.complete for run in one.validate):
                    found = {run.scorer: _as_recorded(run) for run in one.validate}
                    one.values = {**one.values, **found}
        if not report.stopped:
            for entry in chunk:
                self._prepare_test(entry, others, recorder)
            tests = [one.test for entry in chunk for one in entry.proposals]
            shuffled = [entry.shuffled_runs for entry in chunk]
            self._ask([run for group in (*tests, *shuffled) for run in group], report, say)
        return ChunkResult(recorder.events(chunk), report, recorder.shown)

    def _open(self, feature: int, events: Sequence[LabelEvent]) -> FeatureScoring:
        # Another study's labels are judged there, on its own documents.
        events = [event for event in events if event.study in (None, self.study.id)]
        found = scored_proposals(feature, events, self.asked_how, again=self.again)
        sampler = self.sampler if self.split.holds_out else None
        return FeatureScoring(feature, events, found, sampler)

    def _prepare_test(
        self, entry: FeatureScoring, others: OtherLabels, recorder: ScoreRecorder
    ) -> None:
        ranked = [(one, recorder.ranking(one)) for one in entry.proposals if one.validate]
        state = entry.state_with(ranked)
        for one in entry.proposals:
            one.shown |= one.text in (state.label, state.label_llm, state.label_search)
        due = {one.event: one.due(TEST, self.scorers) for one in entry.proposals if one.shown}
        where = entry.usable(TEST) if any(due.values()) else None
        if where is None:
            return
        for one in entry.proposals:
            one.test = self._runs(one.text, where, due.get(one.event, []))
            if self.harder:
                for run in (run for run in one.test if run.refused is None):
                    more = SCORERS[run.scorer].harder_windows(run.label, where, self.tools)
                    run.widen(more)
        asked = {scorer for found in due.values() for scorer in found}
        own = [one.text for one in entry.proposals]
        for place, text in enumerate(others.of(entry.feature, own, SHUFFLED)):
            scorers = [s for s in self.scorers if s in asked and place < SCORERS[s].others]
            for run in self._runs(text, where, scorers):
                run.baseline = True
                entry.shuffled_runs.append(run)

    def _runs(self, text: str, where: WindowSet, scorers: Iterable[str]) -> list[ScorerRun]:
        return [ScorerRun.of(scorer, text, where, self.seed) for scorer in scorers]

    def _ask(self, runs: list[ScorerRun], report: ScoreReport, say: Say) -> None:
        total = sum(len(run.windows) for run in runs if SCORERS[run.scorer].asks_model)
        done = 0

        def told() -> None:
            nonlocal done
            done += 1
            if done % _TOLD == 0 or done == total:
                say(f"{done} of {total} judgements")

        answer_runs(runs, self.tools.telling(told))
        if total and self.tools.judge is not None:
            report.stopped = self.tools.judge.stopped
        for run in runs:
            report.tokens_in += run.tokens_in
            report.tokens_out += run.tokens_out
            report.add_missing(run.scorer, run.errors.values())
            if run.cost is not None:
                report.cost = (report.cost or 0.0) + run.cost

    def _judge_of(self, scorer: str) -> str:
        return SCORERS[scorer].judge_name(self.tools)


def _as_recorded(run: ScorerRun) -> Any:
    """A value of validate as it is recorded, so that what is best here is best when read again."""
    if run.refused is not None:
        return {"value": None, "reason": run.refused}
    value = run.ranked_by()
    return None if value is None else round(value, 4)
