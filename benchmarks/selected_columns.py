"""What asking an elementwise SAE for a few latents saves: 20 of 65,536.

The other way is to encode all latents and keep the columns asked for; both must give the same
numbers, or there is no row.
"""

from __future__ import annotations

import time
from statistics import median

import torch

from benchmarks.report import Row

D_IN, D_SAE, FEW, TOKENS, BLOCK = 576, 65_536, 20, 2_048, 512
LIMIT = 3.0


def selected_columns(repeats: int) -> Row:
    """Time of encoding everything over the time of encoding 20 latents, JumpReLU on one input."""
    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.layouts.base import Weights
    from autointerp_core.sources.sae import LoadedSAE
    from autointerp_core.sources.sae_build import build, finish
    from autointerp_core.sources.sae_config import SAEConfig

    random = torch.Generator().manual_seed(0)
    encoder = torch.randn(D_IN, D_SAE, generator=random) / D_IN**0.5
    config = SAEConfig(
        d_in=D_IN,
        d_sae=D_SAE,
        architecture="jumprelu",
        k=None,
        hook=HookPoint(9, "resid_post"),
        model_name=None,
        context_size=None,
        prepend_bos=False,
        normalize_activations="none",
        recorded_fvu=None,
        recorded_l0=None,
        layout="saelens",
        source="random",
        folder=None,
    )
    state = {
        "W_enc": encoder,
        "W_dec": encoder.T.contiguous(),
        "b_enc": torch.zeros(D_SAE),
        "b_dec": torch.zeros(D_IN),
        "threshold": torch.full((D_SAE,), 1.5),
    }
    sae = LoadedSAE(config, finish(build(Weights("jumprelu", state), config), config), "")
    latents = torch.randperm(D_SAE, generator=random)[:FEW]
    x = torch.randn(TOKENS, D_IN, generator=random)
    ways = {"all": sae.encoder(), "few": sae.encoder(latents)}
    seconds: dict[str, list[float]] = {"all": [], "few": []}
    with torch.inference_mode():
        largest = _largest_difference(ways["all"](x[:BLOCK])[:, latents], ways["few"](x[:BLOCK]))
        for _ in range(repeats):
            for name, encode in ways.items():
                start = time.perf_counter()
                for first in range(0, TOKENS, BLOCK):
                    acts = encode(x[first : first + BLOCK])
                    if name == "all":
                        acts = acts[:, latents]
                seconds[name].append(time.perf_counter() - start)
    return Row(
        "ratio_selected_columns",
        median(seconds["all"]) / median(seconds["few"]) if largest <= 2e-4 else 0.0,
        LIMIT,
        ">=",
        n_tokens=TOKENS,
        repeats=repeats,
        note=f"{FEW} of {D_SAE:,} latents; largest difference {largest:.1e}",
    )


def _largest_difference(whole: torch.Tensor, few: torch.Tensor) -> float:
    """DESIGN's tolerance: relative to the value, or to a hundredth of the feature's largest."""
    floor = 0.01 * whole.abs().amax(dim=0).clamp(min=1e-12)
    return float(((few - whole).abs() / torch.maximum(whole.abs(), floor)).max())


if __name__ == "__main__":
    print(selected_columns(5))
