"""What a label is worth where a feature fires as seldom as it does: at its natural density.

AUROC and balanced accuracy look at as many active windows as silent ones, so they forgive a label
that fits one silent window in ten, though with a feature of density 1 % nine in ten of the windows
it fits are then wrong. Here active windows weigh together what their share of all windows is
(``density``), and random silent ones the rest:

* *AUPRC*, average precision: the mean, over the active windows, of the share of right ones among
  the windows that fit at least as well. Floor: the density.
* *F1*: harmonic mean of precision and recall where a border is drawn. The border is drawn on the
  one half of the documents and tried on the other, as the best border on the same ones flatters.
  Floor, by saying always yes: 2 · density / (1 + density).
* *Correlation* (Pearson's) of what is said with the activation, silent windows having none: how
  strong, not only whether. Floor: 0.

Intervals are 95 %, by a bootstrap of documents (windows of one document are drawn together),
active and silent apart; at a perfect score they shrink to nothing, as bootstraps do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from autointerp_core.arrays import Float64Array, Int64Array

DRAWS = 200
MIN_SILENT = 20
"""Random silent windows needed: with fewer, one of them is a twentieth of all text."""
_SEED = 0x4E44


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """What was said of windows of one kind, and the document of each."""

    said: Float64Array
    document: Int64Array
    strength: Float64Array | None = None
    """Activations; None: silent ones."""

    def known(self) -> Judged:
        """Without windows of which nothing was said."""
        had = ~np.isnan(self.said)
        strength = None if self.strength is None else self.strength[had]
        return Judged(self.said[had], self.document[had], strength)


@dataclass(frozen=True)
class AtDensity:
    """The three figures at a density."""

    density: float
    silent: int
    """Random silent windows they rest on."""
    auprc: Estimate
    f1: Estimate
    correlation: Estimate


def at_density(
    active: Judged, silent: Judged, density: float, border: float | None = None
) -> AtDensity | None:
    """The three figures; None with too few windows.

    Args:
        active: windows in which the feature fires, as its activations are spread.
        silent: random windows in which it does not.
        density: share of all windows in which it fires, above 0 and below 1.
        border: what counts as yes is above it; None: what is said has no scale of its own.
    """
    active, silent = active.known(), silent.known()
    if len(active.said) < 2 or len(silent.said) < MIN_SILENT or not 0 < density < 1:
        return None
    generator = np.random.default_rng([_SEED, len(active.said), len(silent.said)])
    weights = [
        np.concatenate([np.ones((1, len(part.said))), _drawn(generator, part.document)])
        for part in (active, silent)
    ]
    mine = weights[0] * (density / weights[0].sum(axis=1, keepdims=True))
    others = weights[1] * ((1 - density) / weights[1].sum(axis=1, keepdims=True))
    if border is None:
        borders = _borders(active, silent, density)
        fits = [part.said >= borders[_fold(part.document)] for part in (active, silent)]
    else:
        fits = [part.said > border for part in (active, silent)]
    return AtDensity(
        density,
        len(silent.said),
        _estimate(average_precision(active.said, silent.said, mine, others)),
        _estimate(_f1(mine @ fits[0], others @ fits[1], density)),
        _estimate(_correlation(active, silent, mine, others)),
    )


def average_precision(
    active: Float64Array, silent: Float64Array, mine: Float64Array, others: Float64Array
) -> Float64Array:
    """Average precision under each row of weights ``[draws, windows]``; equal ones together."""
    said = np.concatenate([active, silent])
    order = np.argsort(-said, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(said[order])), len(order) - 1)
    none = np.zeros_like(others)
    right = np.cumsum(np.concatenate([mine, none], axis=1)[:, order], axis=1)[:, ends]
    wrong = np.cumsum(np.concatenate([np.zeros_like(mine), others], axis=1)[:, order], axis=1)
    precision = right / np.maximum(right + wrong[:, ends], 1e-300)
    gained = np.diff(right, axis=1, prepend=0.0)
    found: Float64Array = (gained * precision).sum(axis=1) / right[:, -1]
    return found


def f1_floor(density: float) -> float:
    """F1 of whoever always says yes."""
    return 2 * density / (1 + density)


def _f1(hits: Float64Array, wrong: Float64Array, density: float) -> Float64Array:
    found: Float64Array = 2 * hits / np.maximum(hits + wrong + density, 1e-300)
    return found


def _borders(active: Judged, silent: Judged, density: float) -> Float64Array:
    """For the windows of each half of the documents, the best border on the other half."""
    found = []
    for fold in (0, 1):
        mine = active.said[_fold(active.document) != fold]
        others = silent.said[_fold(silent.document) != fold]
        if not len(mine) or not len(others):
            mine, others = active.said, silent.said
        tried = np.unique(mine)
        hits = density * (mine >= tried[:, None]).mean(axis=1)
        wrong = (1 - density) * (others >= tried[:, None]).mean(axis=1)
        found.append(float(tried[int(np.argmax(_f1(hits, wrong, density)))]))
    return np.asarray(found)


def _fold(document: Int64Array) -> Int64Array:
    """Which half a document is in: a hash, as neighbours in a corpus may be alike."""
    mixed = document.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(63)).astype(np.int64)


def _correlation(
    active: Judged, silent: Judged, mine: Float64Array, others: Float64Array
) -> Float64Array:
    strength = np.abs(active.strength if active.strength is not None else np.ones_like(active.said))
    x = np.concatenate([active.said, silent.said])
    y = np.concatenate([strength / max(float(strength.max()), 1e-12), np.zeros(len(silent.said))])
    moments = np.stack([x, y, x * x, y * y, x * y], axis=1)
    mx, my, xx, yy, xy = (np.concatenate([mine, others], axis=1) @ moments).T
    spread = np.maximum(xx - mx * mx, 0) * np.maximum(yy - my * my, 0)
    found: Float64Array = np.divide(
        xy - mx * my, np.sqrt(spread), out=np.zeros_like(mx), where=spread > 1e-24
    )
    return found


def _drawn(generator: np.random.Generator, document: Int64Array) -> Float64Array:
    """How often each window is in each of the draws of documents."""
    groups, place = np.unique(document, return_inverse=True)
    times = generator.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), DRAWS)
    drawn: Float64Array = times[:, place].astype(np.float64)
    empty = drawn.sum(axis=1) == 0
    drawn[empty] = 1.0
    return drawn


def _estimate(draws: Float64Array) -> Estimate:
    """The first is what was seen, the others are draws."""
    low, high = np.percentile(draws[1:], (2.5, 97.5))
    value = float(draws[0])
    return Estimate(value, min(float(low), value), max(float(high), value))
