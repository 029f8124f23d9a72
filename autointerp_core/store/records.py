"""What a study gives out: frozen records of plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A window of tokens around a peak, with the feature's activation at every token.

    ``"".join(tokens)`` is byte-exact source text. A character split over several
    tokens stands in the first of them, the others are ``""``.
    """

    feature: int
    group: str
    activation: float
    sequence_index: int
    token_position: int
    document_index: int
    start_position: int
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    values: tuple[float, ...]
    peak_index: int

    @property
    def text(self) -> str:
        return "".join(self.tokens)


@dataclass(frozen=True)
class FeatureStats:
    """Exact statistics over the counted tokens of a study.

    ``fired`` counts tokens, ``num_examples`` counts sequences; ``mean`` is over firings.
    """

    feature: int
    fired: int
    density: float
    num_examples: int
    max: float
    mean: float
    quantiles: tuple[float, float, float]
    """25 %, 50 % and 75 % quantiles of the activations over firings."""

    @property
    def dead(self) -> bool:
        return self.fired == 0


@dataclass(frozen=True)
class TokenLogit:
    token_id: int
    text: str
    logit: float


@dataclass(frozen=True)
class Histogram:
    """Counts of firings in equal-width bins; ``edges`` has one entry more than ``counts``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class HealthWarning:
    """A health warning: a short code and one sentence for a person."""

    code: str
    message: str
