"""Who decides whether a label fits a window, yes or no."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autointerp_core.labels.scoring.sample_windows import Window


@dataclass(frozen=True)
class FitQuestion:
    """Does ``label`` fit the window?"""

    scorer: str
    """Who wants to know: it says how the question is put."""
    label: str
    window: Window
    marked: tuple[int, ...] | None = None
    """Token positions marked in the window; None where none are."""


@dataclass(frozen=True)
class Judgement:
    """The answer to question number ``index``: the probability of yes.

    None, with an ``error``, is a missing judgement: it counts neither way.
    """

    index: int
    probability: float | None
    error: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None


class Judge(ABC):
    """Answers questions. ``name`` is recorded with every score."""

    name: str
    stopped: str | None = None
    """Why the last call ended before every question was answered (a budget); else None."""

    @property
    def notices(self) -> list[str]:
        """Things a person should be told once."""
        return []

    @abstractmethod
    def judge(
        self, questions: Sequence[FitQuestion], *, fresh: bool = False
    ) -> Iterator[Judgement]:
        """One judgement a question, in any order, as they are ready.

        Fewer come only where :attr:`stopped` says why. ``fresh`` asks again what was answered
        before, where answers are kept.

        Raises:
            ProviderError: nothing can be had from this judge.
        """
