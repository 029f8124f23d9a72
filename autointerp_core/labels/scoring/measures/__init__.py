"""What a measure is: something found out about a feature or a label that ranks no labels.

A *scorer* puts a label to windows of text and says how well it fits, so that labels can be ranked
(see :mod:`..scorers`). A *measure* asks something else: whether the feature has one meaning at all
(:mod:`.intruder`, no label needed), whether text written for the label makes it fire
(:mod:`.generation`), whether the label names what the feature does to the model's output
(:mod:`.output`). Its results stand beside the scores, under names of their own, and are never
averaged with them.

Every module of this package is one measure. It is asked for by name like a scorer
(``--scoring intruder``); recording, reports and the command line get it from the registry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autointerp_core.labels.document_split import Split
from autointerp_core.labels.embedders import KnownTexts
from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.labels.registry import Registry
from autointerp_core.labels.scoring.choice_judge import ChoiceJudge
from autointerp_core.labels.scoring.study_model import StudyModel
from autointerp_core.store.score_values import ScorerResult
from autointerp_core.store.study import Study


@dataclass(frozen=True)
class Subject:
    """A feature, and the label that is measured where a measure is of labels."""

    feature: int
    label: str | None = None
    event: int | None = None
    """The label's event; None for a feature."""


@dataclass(frozen=True)
class MeasureTools:
    """What measures measure with; each takes what it needs."""

    study: Study
    split: Split
    known: KnownTexts
    provider: LabelProvider | None = None
    """Who writes or chooses."""
    judge: ChoiceJudge | None = None
    """Who chooses, where that is somebody else than ``provider``."""
    open_model: Callable[[], StudyModel] | None = None
    """Loads the model and the SAE; None where they are not at hand."""
    seed: int = 0
    fresh: bool = False
    """Ask again what was asked before."""


@dataclass(frozen=True)
class Measured:
    """What came of one subject."""

    subject: Subject
    results: Mapping[str, ScorerResult]
    """By name; one without a value says why."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON that the results rest on."""
    missing: int = 0
    """Answers that could not be had."""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None


class Measure(ABC):
    """One way to measure features or labels."""

    name: str
    about: str
    """What it finds out, in a few words."""
    results: tuple[str, ...]
    """Names of its results, the main one first."""
    asks_model: bool = False
    """Whether a language model is asked, which takes time and may cost money."""
    asked: tuple[int, int, int] = (0, 0, 0)
    """About how many requests a subject takes, and tokens of a prompt and of an answer."""
    encodes: bool = False
    """Whether it needs the study's own model and SAE."""
    of_label: bool = True
    """Whether it measures a label; else the feature itself."""

    @abstractmethod
    def by(self, tools: MeasureTools) -> str:
        """Who or what measures, as it is recorded with the result."""

    @abstractmethod
    def measure(self, subjects: Sequence[Subject], tools: MeasureTools) -> Iterator[Measured]:
        """One result a subject, as they are ready.

        Fewer come only where the provider's (or judge's) ``stopped`` says why.

        Raises:
            BadInput: it cannot measure here at all.
            ProviderError: nothing can be had from the provider.
        """


MEASURES: Registry[Measure] = Registry(
    "measure",
    "autointerp_core.labels.scoring.measures",
    lambda _, measure: (measure.encodes, measure.of_label),
)


def no_value(
    name: str, measure: str, by: str, floor: float, reason: str, n: int = 0
) -> ScorerResult:
    """A result without a value, and why."""
    return ScorerResult(name, None, n=n, measure=measure, judge=by, floor=floor, reason=reason)


def measures_of(names: Iterable[str]) -> tuple[str, ...]:
    """The measures among names, in the order in which they are made and shown; repeats once."""
    wanted = set(names)
    return tuple(name for name in MEASURES if name in wanted)
