"""Embedding: cosine of the label with the piece of the window that is most like it. No model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp_core.labels.embedders import unquoted
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

    def answer(self, runs: Sequence[ScorerRun], tools: Tools) -> None:
        known = tools.known
        runs = [run for run in runs if run.windows]
        pieces_of = known.embedder.pieces
        flat: list[str] = []
        start: dict[int, int] = {}
        """First piece of each window, by the window's identity: runs share window sets."""
        bounds: list[int] = []
        for run in runs:
            for window in run.windows:
                if id(window) not in start:
                    start[id(window)] = len(bounds)
                    bounds.append(len(flat))
                    flat += pieces_of(window.text)
        bounds.append(len(flat))
        labels = known.vectors([self.reads(run.label) for run in runs])
        vectors = known.vectors(flat)
        for run, label in zip(runs, labels, strict=True):
            first = start[id(run.windows[0])]
            edges = np.array(bounds[first : first + len(run.windows) + 1])
            like = vectors[edges[0] : edges[-1]] @ label
            run.said = np.maximum.reduceat(like, edges[:-1] - edges[0]).astype(np.float64)
            run.answered = len(run.windows)


SCORERS.register(EMBEDDING, EmbeddingScorer())
