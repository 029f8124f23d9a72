"""Does this SAE belong at this hook of this model? Measured on every extraction.

A wrong hook, layer, model, normalisation or tokenizer still gives plausible-looking pages. What
tells them apart is how well the SAE reconstructs where it is read, against what it should not
reconstruct as well: the same hook of the neighbouring layers, other hooks of the same layer, the
same text with other token ids, the same text with BOS or without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autointerp_core.arrays import Int64Array
from autointerp_core.extraction.fit import Fit, Interval, measure_fit
from autointerp_core.extraction.health_rules import Findings, judge
from autointerp_core.extraction.health_sample import Sample, take_sample
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.store.study_record import Masks
from autointerp_core.store.tokenstore import TokenPart, TokenStore

if TYPE_CHECKING:
    import torch

    from autointerp_core.sources.model import TruncatedModel
    from autointerp_core.sources.sae import LoadedSAE

HEALTH_TOKENS = 2_000
CONTROL_TOKENS = 600
"""Tokens of each comparison with something else than a neighbouring layer: the first of them."""
_USUAL_LATENTS, _SPARSEST = 16_384, 8
_SPREAD_CONTROL_TOKENS = 1_000
"""The same where not every token is looked at: 125 of these, spread, tell what 200 in a row do."""
_KINDS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp.hook_in", "mlp_out", "attn.z")
_FACTORS = (0.25, 0.5, 2.0, 4.0)
_SEED = 0


@dataclass(frozen=True)
class Reading:
    """What is known of model and tokens beside the SAE, for what the check changes on purpose."""

    model_name: str
    vocabulary: int
    """Token ids that the model has."""
    bos_id: int | None
    """What stands for BOS, whether it is prepended or not; None: there is nothing."""
    prepends_bos: bool


@dataclass(frozen=True)
class Health:
    """FVU by hook name (the SAE's own and its neighbours'), L0 at the hook, warnings."""

    fvu: dict[str, float]
    l0: float
    n_tokens: int
    warnings: tuple[dict[str, str], ...]
    measures: tuple[dict[str, Any], ...] = ()
    """Everything measured, with intervals: name, value, low, high."""

    def to_json(self) -> dict[str, Any]:
        return {
            "fvu": self.fvu,
            "l0": self.l0,
            "n_tokens": self.n_tokens,
            "warnings": list(self.warnings),
            "measures": list(self.measures),
        }


def measure_health(
    model: TruncatedModel,
    sae: LoadedSAE,
    hook: HookPoint,
    neighbours: list[HookPoint],
    tokens: TokenStore | TokenPart,
    masks: Masks,
    median: float,
    reading: Reading | None = None,
) -> Health:
    """Measure on the study's first :data:`HEALTH_TOKENS` counted tokens.

    Of a wide SAE, whose encode is most of the work, on every second to eighth of them: so many
    tell more than as many in a row, which are alike.

    Args:
        neighbours: the same kind of hook in other layers; left out where the model lacks it.
        reading: without it nothing is compared with other token ids or with BOS.
    """
    places = [Place.of(sae, hook)]
    places += [
        place
        for place in (Place.of(sae, each) for each in neighbours)
        if all(model.has(each) for each in place.hooks)
    ]
    kinds = _other_kinds(model, places[0]) if reading is not None else []
    # What a transcoder predicts may be one of the others: each hook once.
    wanted = list(dict.fromkeys(each for place in (*places, *kinds) for each in place.hooks))
    every = min(max(sae.config.d_sae // _USUAL_LATENTS, 1), _SPARSEST)
    sample, vectors = take_sample(model, wanted, tokens, masks, median, HEALTH_TOKENS, every)
    if sample.n_tokens < 2:
        return Health({}, 0.0, sample.n_tokens, ())
    fits = {
        place: fit for place in places if (fit := _fit(sae, place, vectors, sample)) is not None
    }
    own = fits[places[0]]
    findings = Findings(
        hook=hook,
        own=own,
        neighbours={place.read.name: fit for place, fit in fits.items() if place != places[0]},
        config=sae.config,
        model_name=reading.model_name if reading else "",
        decoder_norms=sae.sae.W_dec.detach().float().norm(dim=-1).cpu().numpy(),
    )
    if reading is not None:
        n_tokens = CONTROL_TOKENS if every == 1 else _SPREAD_CONTROL_TOKENS
        part = sample.first(n_tokens // every)
        there = {each: vectors[each][: part.n_tokens] for each in vectors}
        findings = _with_controls(findings, model, sae, part, there, kinds, reading)
    measures = [
        {"name": name, **_plain(interval)} for name, interval in findings.measures().items()
    ]
    return Health(
        # What a layer of a cross-layer transcoder makes is no reconstruction of anything.
        fvu=(
            {place.read.name: fit.fvu.value for place, fit in fits.items()}
            if sae.config.reconstructs
            else {}
        ),
        l0=own.mean_l0.value,
        n_tokens=sample.n_tokens,
        warnings=tuple({"code": code, "message": text} for code, text in judge(findings)),
        measures=tuple(measures),
    )


@dataclass(frozen=True)
class Place:
    """Where the SAE is read and, for a transcoder, what it is compared with."""

    read: HookPoint
    predicted: HookPoint | None = None

    @classmethod
    def of(cls, sae: LoadedSAE, hook: HookPoint) -> Place:
        """``hook`` and, for a transcoder, its output as many layers away as ``hook`` is."""
        own, target = sae.config.hook, sae.hook_out
        if target is None or not sae.predicts_output:
            return cls(hook)
        if target.layer is None or own.layer is None or hook.layer is None:
            return cls(hook, target)
        layer = target.layer + hook.layer - own.layer
        return cls(hook, target.at(layer)) if layer >= 0 else cls(hook, target)

    @property
    def hooks(self) -> list[HookPoint]:
        return [self.read] if self.predicted is None else [self.read, self.predicted]


def _other_kinds(model: TruncatedModel, own: Place) -> list[Place]:
    """Other hooks of the same layer, and what is predicted from them."""
    hook = own.read
    if hook.layer is None:
        return []
    kinds = [HookPoint(hook.layer, kind) for kind in _KINDS]
    return [Place(each, own.predicted) for each in kinds if each != hook and model.has(each)]


def _with_controls(
    findings: Findings,
    model: TruncatedModel,
    sae: LoadedSAE,
    sample: Sample,
    vectors: dict[HookPoint, torch.Tensor],
    others: list[Place],
    reading: Reading,
) -> Findings:
    """Add the comparisons with other hooks of the layer, other token ids, and the other BOS.

    Args:
        sample: the first tokens of what ``findings`` are of.
        vectors: theirs, at each hook.
    """
    hook = findings.hook
    own = Place.of(sae, hook)
    here = findings.own.first(vectors[own.predicted or own.read])
    found = {place.read.name: _fit(sae, place, vectors, sample) for place in others}
    kinds_found = {name: fit for name, fit in found.items() if fit is not None}

    def changed(other: Sample) -> Fit:
        fit = _fit(sae, own, other.vectors(model, own.hooks), other)
        assert fit is not None
        return fit

    draws = np.random.default_rng(_SEED)
    # Ids beyond the tokenizer's own stay as they are.
    shuffle = np.arange(max(int(ids.max()) for ids in sample.ids) + 1)
    shuffle[: reading.vocabulary] = draws.permutation(reading.vocabulary)[: len(shuffle)]
    start = int(reading.prepends_bos)

    def another_order(ids: Int64Array) -> Int64Array:
        return np.concatenate([ids[:start], draws.permutation(ids[start:])])

    bos = _other_bos(sample, reading)
    return replace(
        findings,
        here=here,
        kinds=kinds_found,
        scaled={
            factor: measure_fit(sae, vectors[hook] * factor, None, sample.chunks)
            for factor in _FACTORS
            if own.predicted is None
        },
        other_ids=changed(sample.changed(lambda ids: shuffle[ids])),
        other_order=changed(sample.changed(another_order)),
        other_bos=changed(bos) if bos is not None else None,
        prepends_bos=reading.prepends_bos,
    )


def _other_bos(sample: Sample, reading: Reading) -> Sample | None:
    """The same text with BOS where it had none, without it where it had one."""
    bos = reading.bos_id
    if bos is None:
        return None
    if not reading.prepends_bos:
        return sample.changed(lambda ids: np.concatenate([[bos], ids]), shift=1)
    if any(len(ids) < 2 or ids[0] != bos for ids in sample.ids):
        return None

    def without(ids: Int64Array) -> Int64Array:
        return ids[1:]

    # The first token of a text then stands where the sink is: it does not count.
    return sample.changed(without, shift=-1)


def _fit(
    sae: LoadedSAE, place: Place, vectors: dict[HookPoint, torch.Tensor], sample: Sample
) -> Fit | None:
    """None where vectors there are not as wide as the SAE's."""
    x = vectors[place.read]
    y = None if place.predicted is None else vectors[place.predicted]
    if x.shape[-1] != sae.config.d_in:
        return None
    return measure_fit(sae, x, y, sample.chunks)


def _plain(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
