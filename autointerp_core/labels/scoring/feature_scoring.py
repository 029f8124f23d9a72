"""One feature while its labels are scored: its texts, its windows, the labels of others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from autointerp_core.labels.document_split import TEST, VALIDATE
from autointerp_core.labels.scoring.sample_windows import WindowSampler, WindowSet
from autointerp_core.labels.scoring.scored_proposals import ScoredProposal
from autointerp_core.labels.scoring.scorers import ScorerRun
from autointerp_core.store.event_details import ScoreDetails
from autointerp_core.store.events import SCORED, LabelEvent
from autointerp_core.store.label_state import EventRow, LabelState, derive_rows


class FeatureScoring:
    """A feature in a chunk of a run.

    Args:
        feature: the feature.
        events: all of its events, ids ascending.
        proposals: its texts.
        sampler: draws its windows; None where nothing is held out.
    """

    def __init__(
        self,
        feature: int,
        events: Sequence[LabelEvent],
        proposals: list[ScoredProposal],
        sampler: WindowSampler | None,
    ):
        self.feature, self.proposals, self._sampler = feature, proposals, sampler
        self.shuffled_runs: list[ScorerRun] = []
        """Labels of other features, put to its windows."""
        self._events = events

    def state_with(self, scored: Iterable[tuple[ScoredProposal, ScoreDetails]]) -> LabelState:
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
                    details=details.to_json(),
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
        runs = [run for run in self.shuffled_runs if run.scorer == scorer and run.complete]
        had = [value for run in runs if (value := run.value()) is not None]
        return sum(had) / len(had) if had else None
