"""Features that a labeller can be shown nothing of: they never fire, or only in held-out text."""

from __future__ import annotations

from autointerp_core.labels.document_split import HELD_OUT, LABEL, Split
from autointerp_core.labels.explain.report import GenerationReport
from autointerp_core.store.events import FAILED, LabelEvent, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.label_state import derive

TOO_FEW = "fires too seldom in the documents shown for examples of that strength"
"""Why there is no example of a quarter of the peaks, where there are fewer than four."""


class NothingToShow:
    """Collects such features, and records once why they have no label.

    Args:
        split: what may be shown.
        history: where it is recorded.
        source: who would have labelled them, as events name it.
        method: how.
        report: counted into.
    """

    def __init__(
        self,
        split: Split,
        history: LabelHistory,
        source: str,
        method: str,
        report: GenerationReport,
    ):
        self._split, self._history, self._report = split, history, report
        self._source, self._method = source, method
        self._without: dict[int, str] = {}

    def add(self, feature: int) -> None:
        """Count a feature without examples that may be shown.

        Raises:
            BadInput: the feature is not in the study.
        """
        if self._split.study.stats(feature).num_examples == 0:
            self._report.dead += 1
            return
        token, _ = self._split.peaks(feature, LABEL)
        reason = TOO_FEW if len(token) else HELD_OUT
        self._report.fail(reason)
        self._without[feature] = reason

    def record(self) -> None:
        """Record those of which the history does not say it yet."""
        if not self._without:
            return
        study = self._split.study
        histories = self._history.histories(study.info.sae_fingerprint, self._without)
        self._history.record_many(
            NewEvent(
                study.info.sae_fingerprint,
                feature,
                FAILED,
                source=self._source,
                method=self._method,
                reason=reason,
                study=study.id,
            )
            for feature, reason in self._without.items()
            if not self._known(histories[feature], reason)
        )
        self._without = {}

    def _known(self, events: list[LabelEvent], reason: str) -> bool:
        mine = [event for event in events if event.study in (None, self._split.study.id)]
        if any(event.kind == FAILED and event.method == self._method and event.reason == reason
               and event.source == self._source for event in mine):  # fmt: skip
            return True
        return bool(mine) and derive(mine[0].feature, mine).llm_error == reason
