"""What the health check's measurements mean, in words: which mistake is likely, with figures.

A rule speaks only where the whole interval does. Right loads lie inside by a wide margin on long
texts and, by the interval, on a few short ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autointerp_core.extraction.fit import Fit, Interval

if TYPE_CHECKING:
    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.sae_config import SAEConfig

_NEIGHBOUR_BETTER = 1.02
"""How many times more the SAE's own layer leaves unexplained than a neighbour."""
_KIND_BETTER = 1.5
"""The same for another hook of the layer: some are nearly one another (before and after a MLP)."""
_IDS_MATTER = 1.15
"""Token ids drawn anew must leave at least this many times more unexplained."""
_ORDER_MATTERS = 1.1
"""The same for their order."""
_LAYERS_WITHOUT_ORDER = 4
_BOS_BETTER = 1.03
_RECORDED_FACTOR = 1.5
_L0_FACTOR = 2.0
_SCALE_BETTER = 1.1
_NOISE = (0.02, 0.5)
"""Relative noise on unit rows that is told: below is rounding, above is no such thing."""
Warnings = list[tuple[str, str]]


@dataclass(frozen=True)
class Findings:
    """Everything measured of one SAE at one hook."""

    hook: HookPoint
    own: Fit
    neighbours: dict[str, Fit]
    """The same hook in other layers, over the same tokens."""
    config: SAEConfig
    model_name: str
    decoder_norms: NDArray[np.float32]
    """Norm of each decoder row."""
    here: Fit | None = None
    """The SAE's own hook over the tokens of what follows."""
    kinds: dict[str, Fit] = field(default_factory=dict)
    """Other hooks of the same layer."""
    scaled: dict[float, Fit] = field(default_factory=dict)
    """The same vectors multiplied by a factor."""
    other_ids: Fit | None = None
    """Every token id replaced by another."""
    other_order: Fit | None = None
    """The tokens of each sequence in another order."""
    other_bos: Fit | None = None
    """With BOS if the study has none, without if it has."""
    prepends_bos: bool = False

    def measures(self) -> dict[str, Interval]:
        """Each figure under a name, for the record."""
        found = {"fvu": self.own.fvu, "l0": self.own.mean_l0}
        for name, fit in self.neighbours.items():
            found[f"unexplained here over {name}"] = self.own.against(fit)
        if self.here is not None:
            for name, fit in self.kinds.items():
                found[f"unexplained here over {name}"] = self.here.against(fit)
            for factor, fit in self.scaled.items():
                found[f"unexplained here over times {factor:g}"] = self.here.against(fit)
            if self.other_ids is not None:
                found["unexplained with other token ids over here"] = self.other_ids.against(
                    self.here
                )
            if self.other_order is not None:
                found["unexplained in another order over here"] = self.other_order.against(
                    self.here
                )
            if self.other_bos is not None:
                other = "without BOS" if self.prepends_bos else "with BOS"
                found[f"unexplained here over {other}"] = self.here.against(self.other_bos)
        return found


def judge(found: Findings) -> Warnings:
    """Warnings: a code and a sentence each, the likeliest mistake first."""
    warnings: Warnings = []
    if found.config.reconstructs:
        warnings += _better_elsewhere(found)
        warnings += _worse_than_the_mean(found)
        warnings += _worse_than_recorded(found)
        warnings += _scale(found)
        warnings += _token_ids(found)
        warnings += _bos(found)
    return warnings + _l0(found) + _noise(found)


def _better_elsewhere(found: Findings) -> Warnings:
    """The same SAE reads another layer, or another hook of this one, better."""
    name, own = found.hook.name, found.own.fvu
    layers = {n: found.own.against(fit) for n, fit in found.neighbours.items()}
    best = max(layers, key=lambda n: layers[n].low, default=None)
    warnings: Warnings = []
    if best is not None and layers[best].low > _NEIGHBOUR_BETTER:
        warnings.append(
            (
                "neighbour",
                f"the SAE reconstructs {best} better than {name}: on a usual token "
                f"{layers[best].value:.2f} times as much is unexplained at {name} (FVU "
                f"{own.value:.3f} there, {found.neighbours[best].fvu.value:.3f} at {best}); "
                "is the layer right?",
            )
        )
    if found.here is None:
        return warnings
    kinds = {n: found.here.against(fit) for n, fit in found.kinds.items()}
    best = max(kinds, key=lambda n: kinds[n].low, default=None)
    if best is not None and kinds[best].low > _KIND_BETTER:
        warnings.append(
            (
                "hook_kind",
                f"the SAE reconstructs {best} (FVU {found.kinds[best].fvu.value:.3f}) far better "
                f"than {name} ({found.here.fvu.value:.3f}): was it trained at {best}?",
            )
        )
    return warnings


def _worse_than_the_mean(found: Findings) -> Warnings:
    own = found.own.fvu
    if own.low <= 1:
        return []
    return [
        (
            "fvu",
            f"the SAE reconstructs {found.hook.name} worse than the mean does (FVU "
            f"{own.value:.2f}): wrong model, hook or normalisation, or damaged weights?"
            + _trained_on(found),
        )
    ]


def _worse_than_recorded(found: Findings) -> Warnings:
    own, recorded = found.own.fvu, found.config.recorded_fvu
    if not recorded or own.low <= _RECORDED_FACTOR * recorded:
        return []
    return [
        (
            "recorded_fvu",
            f"FVU is {own.value:.3f} here, {recorded:.3f} when the SAE was trained: wrong model "
            f"or hook, or very different text?{_trained_on(found)}",
        )
    ]


def _scale(found: Findings) -> Warnings:
    """The SAE reconstructs the same vectors better when they are a power of two as long.

    Longer ones count for top-k only: where a threshold decides, more latents fire on them, and
    more latents explain more.
    """
    if found.here is None:
        return []
    tried = {
        factor: found.here.against(fit)
        for factor, fit in found.scaled.items()
        if factor < 1 or found.config.k is not None
    }
    best = max(tried, key=lambda factor: tried[factor].low, default=None)
    if best is None or tried[best].low <= _SCALE_BETTER:
        return []
    said = f"divided by {1 / best:g}" if best < 1 else f"multiplied by {best:g}"
    return [
        (
            "scale",
            f"vectors at {found.hook.name} {said} are reconstructed better (FVU "
            f"{found.scaled[best].fvu.value:.3f}, {found.here.fvu.value:.3f} as they are): is a "
            "normalisation of the SAE's input missing, or one too many?",
        )
    ]


def _token_ids(found: Findings) -> Warnings:
    if found.here is None or found.other_ids is None:
        return []
    ratio = found.other_ids.against(found.here)
    if ratio.high >= _IDS_MATTER:
        return _order(found)
    return [
        (
            "token_ids",
            f"with every token replaced by another the SAE reconstructs about as well (FVU "
            f"{found.other_ids.fvu.value:.3f}, {found.here.fvu.value:.3f} as it is): these tokens "
            "look like noise to model and SAE; is this the model's own tokenizer, and is the "
            "text text?",
        )
    ]


def _order(found: Findings) -> Warnings:
    """In the first layers a token's vector hardly depends on its place: nothing is said there."""
    if found.here is None or found.other_order is None:
        return []
    ratio = found.other_order.against(found.here)
    if (found.hook.layer or 0) < _LAYERS_WITHOUT_ORDER or ratio.high >= _ORDER_MATTERS:
        return []
    return [
        (
            "token_order",
            f"with the tokens of each text in another order the SAE reconstructs about as well "
            f"(FVU {found.other_order.fvu.value:.3f}, {found.here.fvu.value:.3f} as it is): are "
            "the tokens in the order of the text?",
        )
    ]


def _bos(found: Findings) -> Warnings:
    if found.here is None or found.other_bos is None:
        return []
    ratio = found.here.against(found.other_bos)
    contradicts = found.config.prepend_bos != found.prepends_bos
    if ratio.low <= _BOS_BETTER and not contradicts:
        return []
    here, other = ("with", "without") if found.prepends_bos else ("without", "with")
    says = f"; the SAE was trained {other} it" if contradicts else ""
    return [
        (
            "bos",
            f"this study's sequences are {here} BOS{says}: FVU is {found.here.fvu.value:.3f}, "
            f"{other} it {found.other_bos.fvu.value:.3f}",
        )
    ]


def _l0(found: Findings) -> Warnings:
    declared, l0 = found.config.recorded_l0, found.own.mean_l0
    if not declared or found.config.k is not None:
        return []
    if l0.low <= declared * _L0_FACTOR and l0.high >= declared / _L0_FACTOR:
        return []
    return [
        (
            "l0",
            f"{l0.value:.1f} features fire per token here, {declared:.1f} are declared: is a "
            "normalisation of the input missing, or the hook another?",
        )
    ]


def _noise(found: Findings) -> Warnings:
    """Rows of length one, but for independent noise on every weight.

    Of a unit vector with noise of relative size e in d dimensions the length is about
    1 + e²/2, scattered by e/√d: no training leaves just that.
    """
    norms = found.decoder_norms.astype(np.float64)
    norms = norms[norms > 0]
    width = found.config.d_out or found.config.d_in
    if len(norms) < 2:
        return []
    scatter = float(norms.std()) * width**0.5
    excess = float(norms.mean()) - 1
    low, high = _NOISE
    if not (low <= scatter <= high and abs(excess - scatter**2 / 2) <= 0.2 * scatter**2 / 2):
        return []
    return [
        (
            "weights",
            f"the decoder's rows look like unit vectors with noise of {scatter:.0%} on every "
            f"weight (mean length {1 + excess:.4f}): were the weights quantised or changed?",
        )
    ]


def _trained_on(found: Findings) -> str:
    trained = found.config.model_name
    if not trained or not found.model_name or _short(trained) == _short(found.model_name):
        return ""
    return f" (it was trained on {trained}, this is {found.model_name})"


def _short(name: str) -> str:
    """A model's name without who published it."""
    return name.rstrip("/").rsplit("/", 1)[-1].lower()
