"""One label put to the test: its windows, what a scorer said of each, and the score of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from autointerp_core.arrays import Float64Array
from autointerp_core.labels.embedders import KnownTexts
from autointerp_core.labels.scoring.fuzzing import marked_windows
from autointerp_core.labels.scoring.judge import FitQuestion, Judge, Judgement
from autointerp_core.labels.scoring.names import JUDGED
from autointerp_core.labels.scoring.sample_windows import ACTIVE, EASY, HARD, Window, WindowSet
from autointerp_core.labels.scoring.score_statistics import (
    AUROC,
    BALANCED_ACCURACY,
    score,
    value_of,
)
from autointerp_core.store.event_details import ScorerResult

EMBEDDING, DETECTION, FUZZING = "embedding", "detection", "fuzzing"


@dataclass
class ScorerRun:
    """A label, a scorer and windows; ``said`` fills up as judgements come in.

    Windows come active, easy, hard. ``marked`` holds the marked positions of each, for fuzzing.
    """

    feature: int
    part: str
    scorer: str
    label: str
    windows: tuple[Window, ...]
    marked: tuple[tuple[int, ...], ...] | None = None
    said: Float64Array = field(init=False)
    """Probability of yes, or cosine; NaN: missing."""
    errors: dict[int, str] = field(default_factory=dict)
    answered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None

    def __post_init__(self) -> None:
        self.said = np.full(len(self.windows), np.nan)

    @classmethod
    def of(cls, scorer: str, label: str, found: WindowSet, seed: int) -> ScorerRun:
        """The run of a label on a window set."""
        if scorer != FUZZING:
            return cls(found.feature, found.part, scorer, label, found.windows)
        chosen = marked_windows(found, seed)
        return cls(
            found.feature,
            found.part,
            scorer,
            label,
            tuple(c.window for c in chosen),
            tuple(c.marked for c in chosen),
        )

    @property
    def measure(self) -> str:
        return BALANCED_ACCURACY if self.scorer in JUDGED else AUROC

    @property
    def complete(self) -> bool:
        """Whether every window was answered, if only by an error."""
        return self.answered == len(self.windows)

    @property
    def missing(self) -> int:
        return int(np.isnan(self.said).sum())

    def questions(self) -> list[FitQuestion]:
        marks = self.marked or (None,) * len(self.windows)
        return [FitQuestion(self.label, w, m) for w, m in zip(self.windows, marks, strict=True)]

    def add(self, index: int, judgement: Judgement) -> None:
        """Take in the judgement of window ``index``."""
        self.answered += 1
        self.tokens_in += judgement.tokens_in
        self.tokens_out += judgement.tokens_out
        self.seconds += judgement.seconds
        if judgement.cost is not None:
            self.cost = (self.cost or 0.0) + judgement.cost
        if judgement.probability is None:
            self.errors[index] = judgement.error or "no judgement"
        else:
            self.said[index] = judgement.probability

    def value(self) -> float | None:
        """The score's value alone."""
        active = self._of(ACTIVE)
        silent = np.concatenate([self._of(EASY), self._of(HARD)])
        had = (part[~np.isnan(part)] for part in (active, silent))
        return value_of(self.measure, *had)

    def score(self, judge: str, shuffled: float | None = None) -> ScorerResult:
        """The score, with its interval."""
        active, easy, hard = (self._of(kind) for kind in (ACTIVE, EASY, HARD))
        return score(self.scorer, self.measure, judge, active, easy, hard, shuffled)

    def right(self) -> list[bool | None]:
        """Whether each window was judged rightly; None: missing, or as near to right as wrong.

        A cosine has no threshold: an active window counts as right that is more like the label
        than most silent ones are, a silent one that is less like it than most active ones.
        """
        active = np.array([window.active for window in self.windows], dtype=np.bool_)
        if self.measure == AUROC:
            border = np.full(len(self.windows), np.nan)
            for mine in (True, False):
                others = self.said[(active != mine) & ~np.isnan(self.said)]
                if len(others):
                    border[active == mine] = np.median(others)
        else:
            border = np.full(len(self.windows), 0.5)
        above, below = self.said > border, self.said < border
        return [
            bool(a == e) if a or b else None
            for a, b, e in zip(above, below, active.tolist(), strict=True)
        ]

    def _of(self, kind: str) -> Float64Array:
        return self.said[[window.kind == kind for window in self.windows]]


def embed_runs(runs: Sequence[ScorerRun], known: KnownTexts) -> None:
    """Answer embedding runs: cosine of the label with the piece of the window most like it."""
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
    labels = known.vectors([run.label for run in runs])
    vectors = known.vectors(flat)
    for run, label in zip(runs, labels, strict=True):
        first = start[id(run.windows[0])]
        edges = np.array(bounds[first : first + len(run.windows) + 1])
        like = vectors[edges[0] : edges[-1]] @ label
        run.said = np.maximum.reduceat(like, edges[:-1] - edges[0]).astype(np.float64)
        run.answered = len(run.windows)


def judge_runs(
    runs: Sequence[ScorerRun],
    judge: Judge,
    *,
    fresh: bool = False,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Answer detection and fuzzing runs; ``told(done, total)`` after each judgement.

    Each kind in a call of its own: then all prompts of a call begin alike, and a local model
    reads their beginning once. Where ``judge.stopped`` is set afterwards, some runs are not
    complete.
    """
    total = sum(len(run.windows) for run in runs)
    done = 0
    for scorer in JUDGED:
        mine = [run for run in runs if run.scorer == scorer]
        questions = [question for run in mine for question in run.questions()]
        homes = [(run, i) for run in mine for i in range(len(run.windows))]
        if not questions:
            continue
        for judgement in judge.judge(questions, fresh=fresh):
            run, index = homes[judgement.index]
            run.add(index, judgement)
            done += 1
            told(done, total)
        if judge.stopped is not None:
            return
