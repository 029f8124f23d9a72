"""What fires, without a dense block of what does not: top-k latents, and their decoder rows.

SAELens' own classes do the arithmetic, so the numbers are theirs; only what stands between is
left out: writing k values into d_sae zeros and finding them again, and multiplying the zeros.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from sae_lens import SAE

Sparse = Callable[["torch.Tensor"], tuple["torch.Tensor", "torch.Tensor"]]


def topk_encoder(sae: SAE[Any]) -> Sparse | None:
    """``x [n, d_in] -> values [n, k], latents [n, k]`` of a top-k family; None for any other.

    Values that are not above zero are among them: k latents are chosen, not k that fire.
    """
    from sae_lens.saes.topk_sae import TopK

    if type(sae.activation_fn) is not TopK or sae.activation_fn.use_sparse_activations:
        return None
    choose = _Choose(sae.activation_fn.k)
    shallow = _shallow(sae)
    # As a plain attribute or as a module, wherever the class keeps it.
    shallow._modules = {**sae._modules}
    shallow._modules.pop("activation_fn", None)
    shallow.__dict__["activation_fn"] = choose

    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values: torch.Tensor = shallow.encode(x)
        latents = choose.latents
        assert latents is not None
        choose.latents = None
        return values, latents

    return encode


class _Choose:
    """SAELens' TopK, less its last step: the values chosen; which they are stays in ``latents``."""

    def __init__(self, k: int):
        self.k = k
        self.latents: torch.Tensor | None = None

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        import torch

        values, self.latents = torch.topk(pre, k=self.k, dim=-1, sorted=False)
        return values.relu()


def decode_some(sae: SAE[Any], acts: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """``decode`` of activations ``[n, len(latents)]`` of these latents, all others being zero."""
    import torch

    fewer = _shallow(sae)
    fewer._parameters = dict(sae._parameters)
    fewer._parameters["W_dec"] = torch.nn.Parameter(sae.W_dec[latents], requires_grad=False)
    made: torch.Tensor = fewer.decode(acts)
    return made


def _shallow(sae: SAE[Any]) -> Any:
    """The same SAE as another object: what is set on it does not change the original."""
    return copy.copy(sae)
