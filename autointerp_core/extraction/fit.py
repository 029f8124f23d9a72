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

if TYPE_CHECKING:
    import torch

    from autointerp_core.sources.sae import LoadedSAE

CHUNK_TOKENS = 32
SIGMAS = 3.0
"""Standard errors to either side of an interval: of right loads 99.7 % lie inside."""
_DENSE_ELEMENTS = 1 << 25
"""Elements of one dense block of SAE activations."""
_LEAST = 1e-9
"""Unexplained share below which a token counts as perfect."""


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of :data:`SIGMAS` standard errors."""

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
        error = SIGMAS * self._error(self.unexplained - value * self.variance) / total
        return Interval(value, max(value - error, 0.0), value + error)

    @property
    def mean_l0(self) -> Interval:
        """How many latents fire on a token, on average."""
        value = float(self.l0.mean())
        error = SIGMAS * self._error(self.l0 - value) / len(self.l0)
        return Interval(value, max(value - error, 0.0), value + error)

    def against(self, other: Fit) -> Interval:
        """The usual unexplained share over that of another fit of the same tokens, in order.

        Above 1 where the other fits better.
        """
        logs = self._log_share() - other._log_share()
        value = float(logs.mean())
        error = SIGMAS * self._error(logs - value) / len(logs)
        return Interval(math.exp(value), math.exp(value - error), math.exp(value + error))

    def _log_share(self) -> Float64Array:
        least = np.finfo(np.float64).tiny
        share = self.unexplained / np.maximum(self.variance, least)
        return np.log(np.clip(share, _LEAST, 1 / _LEAST))

    def _error(self, deviations: Float64Array) -> float:
        """Standard error of the sum of ``deviations`` [n], which themselves sum to nothing."""
        sums = np.bincount(self.chunks, weights=deviations)
        n = len(sums)
        if n < 2:
            return float(np.abs(deviations).sum()) + 1.0
        return math.sqrt(n / (n - 1) * float(np.square(sums).sum()))


def measure_fit(sae: LoadedSAE, x: torch.Tensor, y: torch.Tensor | None, chunks: Int64Array) -> Fit:
    """Encode ``x`` [n, d_in], reconstruct, and compare with ``y`` [n, d_out] (None: with ``x``)."""
    import torch

    target = x if y is None else y
    mean = target.mean(dim=0, dtype=torch.float64).to(torch.float32)
    step = max(1, _DENSE_ELEMENTS // sae.config.d_sae)
    parts: list[torch.Tensor] = []
    with torch.inference_mode():
        for low in range(0, len(x), step):
            part, wanted = x[low : low + step], target[low : low + step]
            acts = sae.sae.encode(part)
            made = sae.reconstruct(part, acts).to(wanted.dtype)
            columns = [(wanted - made).square(), (wanted - mean).square(), acts != 0]
            parts.append(torch.stack([c.sum(-1, dtype=torch.float64) for c in columns]).cpu())
    unexplained, variance, l0 = torch.cat(parts, dim=1).numpy()
    return Fit(chunks, unexplained, variance, l0)
