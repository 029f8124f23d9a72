"""What came of a chunk of features: the judged windows kept, an event a text, and the report.

Nothing here writes to the label database: whoever scores records the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autointerp_core.errors import OutputError
from autointerp_core.labels.document_split import SMALLEST, TEST, VALIDATE
from autointerp_core.labels.scoring.evidence import ProposalRun, new_name, write_evidence
from autointerp_core.labels.scoring.feature_scoring import FeatureScoring
from autointerp_core.labels.scoring.report import ScoreReport
from autointerp_core.labels.scoring.sample_windows import MIN_ACTIVE
from autointerp_core.labels.scoring.scored_proposals import ScoredProposal
from autointerp_core.labels.scoring.scorers import SCORERS, ScorerRun
from autointerp_core.store.event_details import ScoreDetails
from autointerp_core.store.events import SCORED, NewEvent
from autointerp_core.store.score_values import ScorerResult, ranking_value
from autointerp_core.store.study import Study


class ScoreRecorder:
    """Says what is to be recorded of scores, and counts them.

    Args:
        study: whose windows were judged.
        scorers: that were asked.
        judge_of: who judged for a scorer, as it is recorded.
        holds_out: whether the study keeps documents back at all.
        report: counted into.
    """

    def __init__(
        self,
        study: Study,
        scorers: Sequence[str],
        judge_of: Callable[[str], str],
        holds_out: bool,
        report: ScoreReport,
    ):
        self._study, self._scorers = study, scorers
        self._judge_of, self._holds_out, self._report = judge_of, holds_out, report
        self.shown: list[dict[str, Any]] = []
        """Test results of the label that stands, of each feature, as they are recorded."""

    def events(self, chunk: Sequence[FeatureScoring]) -> list[NewEvent]:
        """What is new about the texts of some features; the judged windows are written."""
        name = self._keep([found for entry in chunk for found in _finished(entry)])
        events = []
        for entry in chunk:
            known: dict[int, ScoreDetails] = {}
            new: list[tuple[ScoredProposal, ScoreDetails]] = []
            for one in entry.proposals:
                details = self._details(entry, one, name)
                before = one.before or ScoreDetails()
                if details is not None:
                    events.append(self._event(one, details))
                    new.append((one, details))
                    self._report.labels += bool(one.validate or one.test)
                elif one.before is not None:
                    self._report.reused += 1
                known[one.event] = before if details is None else before.joined(details)
            self._count(entry, new, known)
        return events

    def ranking(self, one: ScoredProposal) -> ScoreDetails:
        """What of the details of a scored event decides which label stands."""
        judges = {scorer: self._judge_of(scorer) for scorer in one.values}
        return ScoreDetails(score=one.rank, validate=one.values, judges=judges)

    def _details(
        self, entry: FeatureScoring, one: ScoredProposal, evidence: str | None
    ) -> ScoreDetails | None:
        """What the scored event of a text says; None where there is nothing new to say."""
        runs = [*one.validate, *one.test]
        if any(not run.complete for run in one.validate):
            return None
        tested = bool(one.test) and all(run.complete for run in one.test)
        if one.before is not None and not any(_learnt(one, run) for run in runs if run.complete):
            return None
        reason = self._reason(entry, one)
        if not one.validate and not tested and reason is None:
            return None  # stopped before it was judged
        if not runs and (one.scored_before or one.before is not None):
            return None  # what is known is better than a reason
        given = {run.scorer: self._result(entry, run).to_json() for run in one.test if tested}
        scores = {**(one.before.scores if one.before is not None else {}), **given}
        test_score = ranking_value(scores)
        if tested and test_score is None:
            results = ScoreDetails(scores=scores).results().values()
            reason = next((result.reason for result in results if result.reason), reason)
        costs = [run.cost for run in runs if run.cost is not None]
        return replace(
            self.ranking(one),
            test_score=test_score,
            scores=given,
            study=self._study.id,
            key=one.key,
            tested=tested or reason is not None,
            evidence=evidence if runs else None,
            unscored=None if test_score is not None else reason,
            documents_active=entry.sets[TEST].documents if entry.sets else None,
            lacking={run.scorer: run.missing for run in one.validate},
            missing=sum(run.missing for run in runs if run.complete),
            tokens_in=sum(run.tokens_in for run in runs),
            tokens_out=sum(run.tokens_out for run in runs),
            seconds=sum(run.seconds for run in runs),
            cost=sum(costs) if costs else None,
        )

    def _result(self, entry: FeatureScoring, run: ScorerRun) -> ScorerResult:
        found = run.score(self._judge_of(run.scorer), entry.shuffled(run.scorer))
        reason = run.refused or SCORERS[run.scorer].no_windows
        return found if run.windows else replace(found, reason=reason)

    def _reason(self, entry: FeatureScoring, one: ScoredProposal) -> str | None:
        """Why a text has no test score, whoever judges; None where it could have one."""
        if not self._holds_out:
            return (
                f"the study has {self._study.info.n_documents} documents; a score needs at least "
                f"{SMALLEST}, so that some can be held out"
            )
        if one.problem is not None:
            return one.problem
        if entry.sets[TEST].problem is not None:
            return entry.sets[TEST].problem
        # With nothing to rank it by and others shown before it, it stays without a number.
        return None if one.shown else entry.sets[VALIDATE].problem

    def _event(self, one: ScoredProposal, details: ScoreDetails) -> NewEvent:
        return NewEvent(
            self._study.info.sae_fingerprint,
            one.feature,
            SCORED,
            source=one.source,
            method="+".join(self._scorers),
            parent=one.event,
            details=details.to_json(),
            study=self._study.id,
        )

    def _keep(self, runs: list[ProposalRun]) -> str | None:
        if not runs:
            return None
        name = new_name()
        try:
            write_evidence(self._study, name, runs)
        except OutputError as error:
            self._report.notices.append(f"judged windows are not kept: {error}")
            return None
        return name

    def _count(
        self,
        entry: FeatureScoring,
        new: Iterable[tuple[ScoredProposal, ScoreDetails]],
        known: Mapping[int, ScoreDetails],
    ) -> None:
        """Into the report: the label that stands now, or why it has no score."""
        label = entry.state_with(new).label
        standing = next((one for one in entry.proposals if one.text == label), None)
        if standing is None:  # somebody took the label back while this ran
            return
        details = known[standing.event]
        self.shown.append(dict(details.scores))
        if ranking_value(details.scores) is not None:
            self._report.features += 1
            return
        reason = details.unscored or self._reason(entry, standing)
        documents = details.documents_active
        if standing.problem is None and documents is not None and documents < MIN_ACTIVE:
            self._report.too_few[entry.feature] = documents
            reason = f"fires in fewer than {MIN_ACTIVE} test documents"
        if reason is not None:
            self._report.add_unscored(str(reason))


def _learnt(one: ScoredProposal, run: ScorerRun) -> bool:
    """Whether a run says more than was known: a repeated failure is not recorded again."""
    before = one.lacking(run.part, run.scorer)
    if run.part == TEST and not one.tested:
        before = None
    return before is None or run.missing < before


def _finished(entry: FeatureScoring) -> Iterable[ProposalRun]:
    """Every run that was finished; of other features' labels only those that took a model."""
    for one in entry.proposals:
        for run in (*one.validate, *one.test):
            if run.complete:
                yield ProposalRun(one.event, run)
    tested = next((one.event for one in entry.proposals if one.test), None)
    for run in entry.shuffled_runs:
        if tested is not None and run.complete and SCORERS[run.scorer].asks_model:
            yield ProposalRun(tested, run, shuffled=True)
