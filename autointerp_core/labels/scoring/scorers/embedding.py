"""Embedding: likeness of the label to the pieces of the window that are most like it. No model."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp_core.labels.document_split import TEST
from autointerp_core.labels.embedders import KnownTexts, unquoted
from autointerp_core.labels.embedders.likeness import Texts
from autointerp_core.labels.scoring.near_windows import likeness, near_windows
from autointerp_core.labels.scoring.sample_windows import Around, Window, WindowSet
from autointerp_core.labels.scoring.score_statistics import AUROC
from autointerp_core.labels.scoring.scorers import SCORERS, Scorer, ScorerRun, Tools
from autointerp_core.labels.scoring.unseen_patterns import unseen_pattern

EMBEDDING = "embedding"


class EmbeddingScorer(Scorer):
    """Compares vectors of label and window."""

    name = EMBEDDING
    about = "likeness of label and text, no language model"
    measure = AUROC
    others = 5

    def reads(self, label: str) -> str:
        return unquoted(label)

    def cannot_judge(self, label: str) -> str | None:
        pattern = unseen_pattern(label)
        return None if pattern is None else f"it compares meanings; the label names {pattern}"

    def judge_name(self, tools: Tools) -> str:
        return tools.known.embedder.name

    def windows(self, found: WindowSet, seed: int) -> list[tuple[Window, tuple[int, ...] | None]]:
        return [(window, None) for window in (*found.windows, *found.neighbour)]

    def answer(self, runs: Sequence[ScorerRun], tools: Tools) -> None:
        runs = [run for run in runs if run.windows]
        start: dict[int, int] = {}
        """Place of each first window, by its identity: runs share window sets."""
        texts: list[str] = []
        for run in runs:
            if id(run.windows[0]) not in start:
                start[id(run.windows[0])] = len(texts)
                texts += [window.text for window in run.windows]
        every = Texts(texts, tools.known)
        for run in runs:
            first = start[id(run.windows[0])]
            rows = slice(first, first + len(run.windows))
            run.said = every.like([self.reads(run.label)], rows)[0]
            run.answered = len(run.windows)
        for run in runs:
            if run.around is not None and not run.baseline:
                self._look_around(run, run.around, tools.known)

    def _look_around(self, run: ScorerRun, around: Around, known: KnownTexts) -> None:
        """The random silent windows, and on test those of them that are most like the label."""
        said = likeness(self.reads(run.label), around, known)
        run.said_around = said[around.silent]
        if run.part == TEST:
            run.also(*near_windows(run.feature, around, said))


SCORERS.register(EMBEDDING, EmbeddingScorer())
