"""What a scorer is: it puts a label to windows of text and says of each how well it fits.

Every module of this package is one scorer. A new one says which windows it looks at, by which
measure it is read, and answers runs; everything else (choosing windows, intervals, the shuffled
baseline, recording, showing) it gets from others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autointerp_core.arrays import Float64Array
from autointerp_core.labels.embedders import KnownTexts
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.labels.registry import Registry, one_of
from autointerp_core.labels.scoring.judge import FitQuestion, Judge, Judgement
from autointerp_core.labels.scoring.measures import MEASURES, measures_of
from autointerp_core.labels.scoring.natural_density import Judged, at_density
from autointerp_core.labels.scoring.sample_windows import (
    ACTIVE,
    EASY,
    HARD,
    NEAR,
    NEIGHBOUR,
    Around,
    Window,
    WindowSet,
)
from autointerp_core.labels.scoring.score_statistics import (
    AUROC,
    BALANCED_ACCURACY,
    score,
    value_of,
)
from autointerp_core.store.score_values import ScorerResult, refusal

NONE, ALL = "none", "all"


@dataclass(frozen=True)
class Tools:
    """What scorers answer with."""

    known: KnownTexts
    judge: Judge | None = None
    fresh: bool = False
    """Ask the judge again what it was asked before."""
    told: Callable[[], None] = lambda: None
    """Called after each of the judge's judgements."""

    def telling(self, told: Callable[[], None]) -> Tools:
        """The same, with somebody to tell."""
        return replace(self, told=told)


class Scorer(ABC):
    """One way to say how well a label fits windows."""

    name: str
    about: str
    """How it judges, in a few words."""
    measure: str
    asks_model: bool = False
    """Whether a language model is asked, which takes time and may cost money."""
    others: int = 1
    """Labels of other features put to the same windows, at most 5: the shuffled baseline."""
    harder: int = 0
    """Windows of :meth:`harder_windows`, at most."""
    no_windows: str = "no windows could be judged"
    """Why a window set may leave it nothing to judge."""

    def reads(self, label: str) -> str:
        """What of a label is put to the windows."""
        return label

    def cannot_judge(self, label: str) -> str | None:
        """Why no number of this scorer would say anything about a label; None: it can judge it."""
        return None

    @abstractmethod
    def judge_name(self, tools: Tools) -> str:
        """Who judges, as it is recorded with the score."""

    def windows(self, found: WindowSet, seed: int) -> list[tuple[Window, tuple[int, ...] | None]]:
        """The windows to judge, active, easy, hard, and the positions marked in each, if any."""
        return [(window, None) for window in found.windows]

    def harder_windows(self, label: str, found: WindowSet, tools: Tools) -> Sequence[Window]:
        """Harder silent windows to put a label to as well, where somebody asks for them."""
        return ()

    @abstractmethod
    def answer(self, runs: Sequence[ScorerRun], tools: Tools) -> None:
        """Fill in what is said of every window of the runs, all of them of this scorer.

        Where ``tools.judge.stopped`` is set afterwards, some runs are not complete.
        """


SCORERS: Registry[Scorer] = Registry(
    "scorer", "autointerp_core.labels.scoring.scorers", lambda _, scorer: scorer.asks_model
)
"""Those that cost nothing come first."""


class JudgedScorer(Scorer):
    """Asks a language model about each window: yes or no."""

    measure = BALANCED_ACCURACY
    asks_model = True

    @abstractmethod
    def prompt(self, question: FitQuestion) -> ChatPrompt:
        """What a language model is asked.

        Prompts that begin alike, with the label before the text, are quick to read for
        providers that keep what they read of a prompt's beginning.
        """

    def judge_name(self, tools: Tools) -> str:
        return tools.judge.name if tools.judge is not None else ""

    def answer(self, runs: Sequence[ScorerRun], tools: Tools) -> None:
        if tools.judge is None:
            return
        questions = [question for run in runs for question in run.questions()]
        homes = [(run, i) for run in runs for i in range(len(run.windows))]
        for judgement in tools.judge.judge(questions, fresh=tools.fresh):
            run, index = homes[judgement.index]
            run.add(index, judgement)
            tools.told()


@dataclass
class ScorerRun:
    """A label, a scorer and windows; ``said`` fills up as judgements come in.

    Windows come active, easy, hard. ``marked`` holds the marked positions of each, for scorers
    that mark.
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
    refused: str | None = None
    """Why the scorer cannot judge the label at all; then there are no windows."""
    baseline: bool = False
    """Whether the label is another feature's: what it gets on the windows is all that counts."""
    around: Around | None = None
    """The random windows of the part, for scorers that look at them too."""
    said_around: Float64Array | None = None
    """What is said of the silent ones among these."""
    fit: float | None = None
    """What labels of one feature are compared by, where the scorer has more than its value."""

    def __post_init__(self) -> None:
        self.said = np.full(len(self.windows), np.nan)

    @classmethod
    def of(cls, scorer: str, label: str, found: WindowSet, seed: int) -> ScorerRun:
        """A label to be put to the windows of a set by a scorer."""
        why = SCORERS[scorer].cannot_judge(label)
        if why is not None:
            return cls(found.feature, found.part, scorer, label, (), refused=refusal(why))
        chosen = SCORERS[scorer].windows(found, seed)
        marks = [marked for _, marked in chosen if marked is not None]
        return cls(
            found.feature,
            found.part,
            scorer,
            label,
            tuple(window for window, _ in chosen),
            tuple(marks) if marks else None,
            around=found.around,
        )

    def widen(self, windows: Sequence[Window]) -> None:
        """Further windows to be answered; they do not change the value."""
        self.also(windows, np.full(len(windows), np.nan))
        self.answered -= len(windows)

    def also(self, windows: Sequence[Window], said: Float64Array) -> None:
        """Further windows, and what is said of them; they do not change the value."""
        self.windows += tuple(windows)
        self.said = np.concatenate([self.said, said])
        self.answered += len(windows)

    @property
    def measure(self) -> str:
        found = SCORERS.get(self.scorer)
        # What a scorer that is not installed here said is read as a probability of yes.
        return found.measure if found is not None else BALANCED_ACCURACY

    @property
    def complete(self) -> bool:
        """Whether every window was answered, if only by an error."""
        return self.answered == len(self.windows)

    @property
    def missing(self) -> int:
        return int(np.isnan(self.said).sum())

    def questions(self) -> list[FitQuestion]:
        marks = self.marked or (None,) * len(self.windows)
        return [
            FitQuestion(self.scorer, self.label, window, marked)
            for window, marked in zip(self.windows, marks, strict=True)
        ]

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

    def ranked_by(self) -> float | None:
        """What labels of one feature are compared by: 0.5 says nothing, 1 is perfect.

        The fit (:func:`.label_fit.label_fit`) where the scorer found one; else the value.
        """
        return self.value() if self.fit is None else self.fit

    def score(self, judge: str, shuffled: float | None = None) -> ScorerResult:
        """The score, with its interval."""
        active, easy, hard = (self._of(kind) for kind in (ACTIVE, EASY, HARD))
        found = score(self.scorer, self.measure, judge, active, easy, hard, shuffled)
        for kind in (NEIGHBOUR, NEAR):
            said = self._of(kind)
            had = [part[~np.isnan(part)] for part in (active, said)]
            value = value_of(self.measure, *had)
            if value is not None:
                known: dict[str, Any] = {kind: value, f"n_{kind}": len(had[1])}
                found = replace(found, **known)
        return self._at_density(found)

    def _at_density(self, found: ScorerResult) -> ScorerResult:
        """With AUPRC, F1 and correlation where random silent windows were judged."""
        if self.around is None or found.value is None:
            return found
        active = self._judged(ACTIVE)
        silent = self._judged(EASY)
        if self.said_around is not None:
            document = self.around.background.document[self.around.silent]
            silent = Judged(self.said_around, document)
        border = 0.5 if self.measure == BALANCED_ACCURACY else None
        known = at_density(active, silent, self.around.density, border)
        if known is None:
            return found
        figures: dict[str, Any] = {
            f"{name}{end}": value
            for name in ("auprc", "f1", "correlation")
            for end, value in zip(("", "_low", "_high"), getattr(known, name), strict=True)
        }
        more: dict[str, Any] = {"density": known.density, "n_random": known.silent, "fit": self.fit}
        return replace(found, **more, **figures)

    def _judged(self, kind: str) -> Judged:
        windows = [window.example for window in self.windows if window.kind == kind]
        return Judged(
            self._of(kind),
            np.asarray([example.document_index for example in windows], dtype=np.int64),
            np.asarray([example.activation for example in windows], dtype=np.float64),
        )

    def right(self) -> list[bool | None]:
        """Whether each window was judged rightly; None: missing, or as near to right as wrong.

        A cosine has no threshold: an active window counts as right that is more like the label
        than most silent ones are, a silent one that is less like it than most active ones.
        """
        active = np.array([window.active for window in self.windows], dtype=np.bool_)
        if self.measure == AUROC:
            border = np.full(len(self.windows), np.nan)
            harder = np.isin([window.kind for window in self.windows], (NEIGHBOUR, NEAR))
            for mine in (True, False):
                others = self.said[(active != mine) & ~harder & ~np.isnan(self.said)]
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


def answer_runs(runs: Sequence[ScorerRun], tools: Tools) -> None:
    """Answer runs of any scorers, each scorer's in a call of its own.

    Where ``tools.judge.stopped`` is set afterwards, some runs are not complete.
    """
    for name in in_order({run.scorer for run in runs}):
        SCORERS[name].answer([run for run in runs if run.scorer == name], tools)
        if SCORERS[name].asks_model and tools.judge is not None and tools.judge.stopped:
            return


def in_order(scorers: Iterable[str]) -> tuple[str, ...]:
    """Scorers in the order in which they are asked and shown; repeats once."""
    wanted = set(scorers)
    return tuple(scorer for scorer in SCORERS if scorer in wanted)


def judged(scorers: Iterable[str]) -> tuple[str, ...]:
    """Those that ask a language model."""
    return tuple(scorer for scorer in scorers if SCORERS[scorer].asks_model)


def known_names() -> tuple[str, ...]:
    """Whatever can be asked for by name: every scorer, then every measure."""
    return (*SCORERS.names, *MEASURES.names)


def asking(names: Iterable[str]) -> tuple[str, ...]:
    """The scorers and measures among names that ask a language model."""
    wanted = tuple(names)
    own = judged(in_order(wanted))
    return (*own, *(name for name in measures_of(wanted) if MEASURES[name].asks_model))


def parse_scoring(text: str) -> tuple[str, ...]:
    """``"embedding,fuzzing"``, ``"all"`` (scorers) or ``"none"``, in the usual order.

    Measures may be among them; ``all`` is without, as some need the SAE or write much text.

    Raises:
        ParameterError: there is no such scorer or measure.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if parts == [ALL]:
        return SCORERS.names
    if parts in ([], [NONE]):
        return ()
    known = known_names()
    for part in parts:
        one_of("scorers", part, known if len(parts) > 1 else (*known, ALL, NONE))
    return (*in_order(parts), *measures_of(parts))
