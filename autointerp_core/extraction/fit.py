"""How well an SAE reconstructs, with an interval: one sample of tokens, and two compared.

Two measures. FVU, the share of variance unexplained over the whole sample, is what is published;
a handful of tokens with huge vectors decides it, so it says little about which of two layers is
the right one. The *usual* share is the geometric mean over tokens of each token's own unexplained
share: that is what two samples are compared by.

Neighbouring tokens are alike, so what an interval would draw anew is a chunk of a sequence, not a
token. The errors are those of sums over chunks: no random draws, and a study stays the same to
the byte.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autointerp_core.arrays import Float64Array, Int64Array
from autointerp_core.extraction.memory import Blocks, dense_elements

if TYPE_CHECKING:
    import torch

    from autointerp_core.sources.sae import LoadedSAE

CHUNK_TOKENS = 32
_SIGMAS = 3.0
"""Standard errors to either side of an interval: of right loads 99.7 % lie inside."""
_LEAST_CHUNKS = 5
"""Fewer say nothing."""
_WIDEST = 20.0
"""Half an interval at most, as a logarithm: what a few chunks say."""
_LEAST = 1e-9
"""Unexplained share below which a token counts as perfect."""


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of three standard errors (more of few chunks) to either side."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """What an SAE leaves unexplained of a sample of n tokens."""

    chunks: Int64Array
    """The chunk of a sequence each token belongs to [n], from 0, none left out."""
    unexplained: Float64Array
    """‖y − ŷ‖² of each token [n]."""
    variance: Float64Array
    """‖y − mean y‖² of each token [n], the mean being the sample's."""
    l0: Float64Array
    """How many latents fire on each token [n]."""

    @property
    def fvu(self) -> Interval:
        """Fraction of variance unexplained: 0 is perfect, 1 no better than the mean."""
        total = float(self.variance.sum())
        if total <= 0:
            return Interval(0.0, 0.0, 0.0)
        value = float(self.unexplained.sum()) / total
        error = self._error(self.unexplained - value * self.variance) / total
        return Interval(value, max(value - error, 0.0), value + error)

    @property
    def mean_l0(self) -> Interval:
        """How many latents fire on a token, on average."""
        value = float(self.l0.mean())
        error = self._error(self.l0 - value) / len(self.l0)
        return Interval(value, max(value - error, 0.0), value + error)

    def first(self, target: torch.Tensor) -> Fit:
        """That of the first tokens, whose vectors to be reconstructed ``target`` [m, d_out] are."""
        n = len(target)
        away = (target - _mean(target)).square()
        variance = away.double().sum(-1)
        return Fit(self.chunks[:n], self.unexplained[:n], variance.cpu().numpy(), self.l0[:n])

    def against(self, other: Fit) -> Interval:
        """The usual unexplained share over that of another fit of the same tokens, in order.

        Above 1 where the other fits better.
        """
        logs = self._log_share() - other._log_share()
        value = float(logs.mean())
        error = min(self._error(logs - value) / len(logs), _WIDEST)
        return Interval(math.exp(value), math.exp(value - error), math.exp(value + error))

    def _log_share(self) -> Float64Array:
        least = np.finfo(np.float64).tiny
        share = self.unexplained / np.maximum(self.variance, least)
        return np.log(np.clip(share, _LEAST, 1 / _LEAST))

    def _error(self, deviations: Float64Array) -> float:
        """Half an interval of the sum of ``deviations`` [n], which themselves sum to nothing."""
        sums = np.bincount(self.chunks, weights=deviations)
        n = len(sums)
        if n < _LEAST_CHUNKS:
            return _WIDEST * len(deviations)
        # Few chunks may agree by chance: never less than if tokens were independent.
        square = max(float(np.square(sums).sum()), float(np.square(deviations).sum()))
        return _sigmas(n - 1) * math.sqrt(n / (n - 1) * square)


def _sigmas(freedom: int) -> float:
    """Student's t for :data:`_SIGMAS` of a normal distribution (Cornish and Fisher's series)."""
    z = _SIGMAS
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def measure_fit(sae: LoadedSAE, x: torch.Tensor, y: torch.Tensor | None, chunks: Int64Array) -> Fit:
    """Encode ``x`` [n, d_in], reconstruct, and compare with ``y`` [n, d_out] (None: with ``x``)."""
    import torch

    target = x if y is None else y
    mean = _mean(target)

    def block(low: int, high: int) -> torch.Tensor:
        part, wanted = x[low:high], target[low:high]
        made, acts = sae.reconstruction(part)
        columns = [(wanted - made.to(wanted.dtype)).square(), (wanted - mean).square(), acts != 0]
        return torch.stack([column.sum(-1, dtype=torch.float64) for column in columns]).cpu()

    blocks = Blocks(dense_elements(x.device) // sae.config.d_sae)
    with torch.inference_mode():
        parts = [part for _, part in blocks.over(len(x), block)]
    unexplained, variance, l0 = torch.cat(parts, dim=1).numpy()
    return Fit(chunks, unexplained, variance, l0)


def _mean(vectors: torch.Tensor) -> torch.Tensor:
    """[d] of [n, d], summed in double precision."""
    import torch

    return vectors.mean(dim=0, dtype=torch.float64).to(torch.float32)
