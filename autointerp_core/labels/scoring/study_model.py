"""The study's own model and SAE, as far as measures need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from autointerp_core.arrays import BoolArray, Float32Array


class Encoded(Protocol):
    """A text as model and SAE read it."""

    @property
    def counted(self) -> BoolArray:
        """Which of its tokens count: special tokens and sinks do not ``[n]``."""
        ...

    def values(self, feature: int) -> Float32Array:
        """A feature's activation at every token ``[n]``."""
        ...


class StudyModel(Protocol):
    """The study's model and SAE, loaded when first asked."""

    def encode(
        self, texts: Sequence[str], features: Sequence[int] | None = None
    ) -> Sequence[Encoded]:
        """What every text makes the features do, in the order of the texts."""
        ...

    def ablated(self, texts: Sequence[str], feature: int, count: int) -> list[str]:
        """The next tokens that taking a feature out makes less likely, those most so first.

        By the mean change of their log-probability after each text; ``count`` tokens.

        Raises:
            HookError: features of this SAE cannot be taken out.
        """
        ...


def strongest(encoded: Encoded, feature: int) -> float:
    """A feature's strongest activation on the tokens of a text that count; 0 where none does."""
    values = encoded.values(feature)[encoded.counted]
    return float(values.max()) if len(values) else 0.0
