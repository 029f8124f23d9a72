"""Does this SAE belong at this hook of this model? Measured on every extraction.

A wrong hook, layer, model or normalisation still gives plausible-looking pages. The
fraction of variance unexplained, FVU = Σ‖x − x̂‖² / Σ‖x − mean x‖², at the hook and at the
same hook of the neighbouring layers tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autointerp_core.extraction.summary import counted_positions
from autointerp_core.store.study import TokenStore
from autointerp_core.store.study_record import Masks

if TYPE_CHECKING:
    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.model import TruncatedModel
    from autointerp_core.sources.sae import LoadedSAE

HEALTH_TOKENS = 2_000
_RECORDED_FACTOR = 1.5
_L0_FACTOR = 2.0


@dataclass(frozen=True)
class Health:
    """FVU by hook name (the SAE's own and its neighbours'), L0 at the hook, warnings."""

    fvu: dict[str, float]
    l0: float
    n_tokens: int
    warnings: tuple[dict[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "fvu": self.fvu,
            "l0": self.l0,
            "n_tokens": self.n_tokens,
            "warnings": list(self.warnings),
        }


def measure_health(
    model: TruncatedModel,
    sae: LoadedSAE,
    hook: HookPoint,
    neighbours: list[HookPoint],
    tokens: TokenStore,
    masks: Masks,
    median: float,
) -> Health:
    """Measure on the study's first ``HEALTH_TOKENS`` counted tokens."""
    import torch

    hooks = [hook, *neighbours]
    collected: dict[HookPoint, list[torch.Tensor]] = {h: [] for h in hooks}
    missing = HEALTH_TOKENS
    for sequence in range(tokens.n_sequences):
        low, high = (int(x) for x in tokens.sequences[sequence : sequence + 2])
        if low == high:
            continue
        ids = torch.from_numpy(np.asarray(tokens.ids[low:high]).astype(np.int64))[None]
        captured = model.run(ids.to(model.device), hooks)
        norms = captured[hook][0].float().norm(dim=-1).cpu().numpy()
        counted = counted_positions(np.asarray(tokens.flags[low:high]), norms, masks, median)
        keep = torch.from_numpy(np.flatnonzero(counted)[:missing]).to(model.device)
        for h in hooks:
            collected[h].append(captured[h][0].float()[keep])
        missing -= len(keep)
        if missing <= 0:
            break
    n_tokens = HEALTH_TOKENS - max(missing, 0)
    if n_tokens < 2:
        return Health({}, 0.0, n_tokens, ())
    fvu: dict[str, float] = {}
    l0 = 0.0
    with torch.inference_mode():
        for h in hooks:
            x = torch.cat(collected[h])
            acts = sae.sae.encode(x)
            unexplained = (x - sae.sae.decode(acts)).double().square().sum()
            variance = (x - x.mean(dim=0)).double().square().sum()
            fvu[h.name] = float(unexplained / variance) if variance > 0 else 0.0
            if h == hook:
                l0 = float((acts > 0).sum(dim=-1).float().mean())
    return Health(fvu, l0, n_tokens, tuple(_warnings(fvu, l0, sae, hook)))


def _warnings(
    fvu: dict[str, float], l0: float, sae: LoadedSAE, hook: HookPoint
) -> list[dict[str, str]]:
    own = fvu[hook.name]
    found = []

    def warn(code: str, message: str) -> None:
        found.append({"code": code, "message": message})

    best = min(fvu, key=lambda name: fvu[name])
    if fvu[best] < own:
        warn(
            "neighbour",
            f"the SAE reconstructs {best} better (FVU {fvu[best]:.3f}) than {hook.name} "
            f"({own:.3f}): is the hook right?",
        )
    if own > 1:
        warn(
            "fvu",
            f"the SAE reconstructs {hook.name} worse than the mean does (FVU {own:.2f}): "
            "wrong model, hook or normalisation?",
        )
    recorded = sae.config.recorded_fvu
    if recorded and own > _RECORDED_FACTOR * recorded:
        warn(
            "recorded_fvu",
            f"FVU is {own:.3f} here, {recorded:.3f} when the SAE was trained: "
            "wrong model or hook, or very different text?",
        )
    declared = sae.config.recorded_l0
    if (
        declared
        and sae.config.k is None
        and not (declared / _L0_FACTOR <= l0 <= declared * _L0_FACTOR)
    ):
        warn("l0", f"{l0:.1f} features fire per token here, {declared:.1f} are declared")
    return found
