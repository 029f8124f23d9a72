"""What runs the study's model and SAE on new text, as far as measures need it."""

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


class TextEncoder(Protocol):
    """The study's model and SAE, loaded."""

    def encode(
        self, texts: Sequence[str], features: Sequence[int] | None = None
    ) -> Sequence[Encoded]:
        """What every text makes the features do, in the order of the texts."""
        ...


def strongest(encoded: Encoded, feature: int) -> float:
    """A feature's strongest activation on the tokens of a text that count; 0 where none does."""
    values = encoded.values(feature)[encoded.counted]
    return float(values.max()) if len(values) else 0.0
