"""Positive documents against negative ones: every feature measured, the best ones put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_doc import Doc

from autointerp_core.arrays import BoolArray, Float64Array, Int64Array
from autointerp_core.errors import BadInput, ParameterError
from autointerp_core.find.evidence import Corpus, blocks
from autointerp_core.find.rank_test import divisions
from autointerp_core.find.result import (
    EVIDENCE,
    RANKINGS,
    Chance,
    FindResult,
    FoundFeature,
    Group,
    Window,
)
from autointerp_core.find.sides import Side, pooled
from autointerp_core.find.statistics import MAX, VALUES, Columns, Ranked
from autointerp_core.labels.scoring.score_statistics import auroc_interval
from autointerp_core.progress import Progress, ProgressCallback, silent

FEW = 5
"""Fewer positive documents than this allow little, and that is said."""


@dataclass(frozen=True)
class ContrastConfig:
    """How documents are compared.

    Raises:
        ParameterError: a value outside what its field allows.
    """

    top: Annotated[int, Doc("Features to give at most.")] = 20
    rank_by: Annotated[
        str,
        Doc(
            "What ranks them: evidence (against chance), auroc, difference, fisher or "
            "density_ratio; significant ones come first by any."
        ),
    ] = EVIDENCE
    value: Annotated[
        str,
        Doc("A feature's value in a document: max, mean (a token) or count (firings a token)."),
    ] = MAX
    level: Annotated[float, Doc("False discovery rate up to which a feature is significant.")] = (
        0.01
    )
    cut: Annotated[
        int | None,
        Doc(
            "Compare only the first so many tokens of each document; None: all, or, where two "
            "corpora have documents of unlike length, as many as makes them alike."
        ),
    ] = None
    examples: Annotated[int, Doc("Places where each of them fires in positive documents.")] = 3
    shuffles: Annotated[int, Doc("Draws by lot of who is positive, to show what chance gives.")] = 3

    def __post_init__(self) -> None:
        for name in ("top", "cut"):
            given = getattr(self, name)
            if given is not None and given < 1:
                raise ParameterError(f"{name} is {given}; give a whole number of at least 1")
        for name in ("shuffles", "examples"):
            if getattr(self, name) < 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; give 0 or more")
        if not 0 < self.level < 1:
            raise ParameterError(f"level is {self.level}; give a number between 0 and 1, say 0.01")
        for name, allowed in (("rank_by", RANKINGS), ("value", VALUES)):
            if getattr(self, name) not in allowed:
                raise ParameterError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}"
                )


def contrast(
    positive: Side,
    negative: Side,
    config: ContrastConfig,
    *,
    cut_alike: bool = False,
    progress: ProgressCallback = silent,
) -> FindResult:
    """The features that positive documents have more of.

    Args:
        positive: at least one document.
        negative: likewise; a document on both sides is positive.
        cut_alike: cut documents where those of one side are longer, unless ``config`` says how.

    Raises:
        BadInput: one side has no document with a counted token, or the corpora share no feature.
    """
    pool, notices = pooled(positive, negative, config.cut, cut_alike=cut_alike)
    draws = [_by_lot(pool.is_positive, seed) for seed in range(config.shuffles)]
    firings = sum(_firings(side.corpus, pool.features) for side in _corpora(positive, negative))
    parts: list[Columns] = []
    shuffled: list[list[tuple[Float64Array, Float64Array]]] = [[] for _ in draws]
    done = 0
    for place in blocks(np.asarray(firings)):
        progress(Progress("comparing", done, len(pool.features), "features"))
        ranked = Ranked.of(pool.block(pool.features[place]), pool.lengths, config.value)
        parts.append(ranked.measure(pool.is_positive))
        for draw, into in zip(draws, shuffled, strict=True):
            into.append(ranked.log_p(draw))
        done = place.stop
    progress(Progress("comparing", done, len(pool.features), "features"))
    columns = Columns.joined(parts)
    tested = columns.tested
    if not tested.any():
        raise BadInput("no feature fires in any of these documents; give others")
    q = np.ones(len(tested))
    q[tested] = _corrected(columns.log_p[tested])
    m, n = int(pool.is_positive.sum()), int((~pool.is_positive).sum())
    significant = q <= config.level
    notices += _what_can_be_known(m, n, int(tested.sum()), config.level)
    if not significant.any():
        notices.append("no feature is significant: what is listed may be there by chance")
    tokens = [int(pool.lengths[side].sum()) for side in (pool.is_positive, ~pool.is_positive)]
    return FindResult(
        positive=Group(positive.name, m, tokens[0]),
        negative=Group(negative.name, n, tokens[1]),
        value=config.value,
        ranking=config.rank_by,
        level=config.level,
        tested=int(tested.sum()),
        significant=int(significant.sum()),
        cut=pool.cut,
        chance=_chance(shuffled, tested, config.level),
        notices=tuple(notices),
        found=tuple(_best(columns, q, config, pool.positive, n)),
    )


def _corpora(positive: Side, negative: Side) -> list[Side]:
    return [positive] if positive.corpus is negative.corpus else [positive, negative]


def _firings(corpus: Corpus, features: Int64Array) -> Int64Array:
    return corpus.firings()[np.searchsorted(corpus.features, features)]


def _by_lot(is_positive: BoolArray, seed: int) -> BoolArray:
    """As many positive documents, drawn by lot."""
    return np.random.default_rng([seed, len(is_positive)]).permutation(is_positive)


def _corrected(log_p: Float64Array) -> Float64Array:
    from scipy.stats import false_discovery_control  # here, as it takes long to import

    found: Float64Array = false_discovery_control(np.exp(log_p))
    return found


def _chance(
    shuffled: list[list[tuple[Float64Array, Float64Array]]], tested: BoolArray, level: float
) -> Chance | None:
    if not shuffled:
        return None
    evidence, auroc, significant = [], [], 0
    for parts in shuffled:
        columns = [np.concatenate(each)[tested] for each in zip(*parts, strict=True)]
        auroc.append(float(columns[0].max()))
        evidence.append(float(columns[1].min()))
        significant += int((_corrected(columns[1]) <= level).sum())
    from scipy.special import ndtri_exp

    return Chance(
        draws=len(shuffled),
        significant=significant,
        best_evidence=float(-ndtri_exp(min(float(np.median(evidence)), -1e-12))),
        best_auroc=float(np.median(auroc)),
    )


def _what_can_be_known(m: int, n: int, tested: int, level: float) -> list[str]:
    """What so few documents allow, in words; nothing where there are enough."""
    few = [f"{size} {what}" for size, what in ((m, "positive"), (n, "negative")) if size < FEW]
    if not few:
        return []
    least, needed = 1 / divisions(m, n), level / tested
    told = (
        f"with only {' and '.join(few)} document{'s' if min(m, n) > 1 else ''} of {m + n:,} the "
        f"smallest p-value there can be is {least:.1e}"
    )
    if least > needed:
        return [
            f"{told}, and with {tested:,} features it would have to be below {needed:.1e}: no "
            "feature can be significant; read the list as a hint, or give more documents"
        ]
    return [
        f"{told}: only a feature that tells nearly all of them from nearly all others can be "
        "significant"
    ]


def _best(
    columns: Columns, q: Float64Array, config: ContrastConfig, positive: Side, n: int
) -> list[FoundFeature]:
    """The best features: significant ones first, then by what ranks, ties by evidence, AUROC."""
    m = len(positive.documents)
    evidence = columns.evidence
    rank = {
        "evidence": evidence,
        "auroc": columns.auroc,
        "difference": columns.difference,
        "fisher": np.nan_to_num(columns.fisher, nan=0.0),
        "density_ratio": columns.ratio,
    }[config.rank_by]
    significant = q <= config.level
    above = np.flatnonzero(columns.tested & (columns.auroc > 0.5))
    keys = (columns.fisher, columns.auroc, evidence, rank, significant)
    order = above[np.lexsort([-np.nan_to_num(key[above].astype(np.float64)) for key in keys])]
    found = []
    for at in order[: config.top].tolist():
        interval = auroc_interval(float(columns.auroc[at]), m, n)
        fisher = float(columns.fisher[at])
        feature = int(columns.feature[at])
        seen = positive.corpus.examples(feature, positive.documents, config.examples)
        found.append(
            FoundFeature(
                feature=feature,
                evidence=float(evidence[at]),
                p=float(np.exp(columns.log_p[at])),
                q=float(q[at]),
                significant=bool(significant[at]),
                auroc=interval.value,
                auroc_low=interval.low,
                auroc_high=interval.high,
                difference=float(columns.difference[at]),
                mean_positive=float(columns.mean_positive[at]),
                mean_negative=float(columns.mean_negative[at]),
                fisher=None if np.isnan(fisher) else fisher,
                density_ratio=float(columns.ratio[at]),
                ratio_low=float(columns.ratio_low[at]),
                ratio_high=float(columns.ratio_high[at]),
                density_positive=float(columns.density_positive[at]),
                density_negative=float(columns.density_negative[at]),
                fires_positive=int(columns.fires_positive[at]),
                fires_negative=int(columns.fires_negative[at]),
                examples=tuple(map(Window.of, seen)),
            )
        )
    return found
