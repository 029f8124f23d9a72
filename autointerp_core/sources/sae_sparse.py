"""What fires, without dense blocks of what does not.

SAELens' formulas, and to the bit its numbers; only what stands between is left out. Of a top-k
family: writing k values into d_sae zeros and finding them again. Of ReLU and JumpReLU: copies of
the block with zeros in it, a mask as numbers, a product with it. Decoding: multiplying the zeros.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from sae_lens import SAE

Sparse = Callable[["torch.Tensor"], tuple["torch.Tensor", "torch.Tensor"]]
Compact = Callable[["torch.Tensor"], tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]]


def topk_encoder(sae: SAE[Any]) -> Sparse | None:
    """``x [n, d_in] -> values [n, k], latents [n, k]`` of a top-k family; None for any other.

    Values that are not above zero are among them: k latents are chosen, not k that fire.
    """
    import torch
    from sae_lens.saes.topk_sae import TopK, TopKSAE

    if type(sae.activation_fn) is not TopK or sae.activation_fn.use_sparse_activations:
        return None
    k = sae.activation_fn.k
    if type(sae) is TopKSAE:
        before = _Before(
            sae, sae.W_dec.norm(dim=-1) if sae.cfg.rescale_acts_by_decoder_norm else None
        )

        def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            values, latents = torch.topk(before(x), k=k, dim=-1, sorted=False)
            return values.relu(), latents

        return encode
    choose = _Choose(k)
    shallow = _shallow(sae)
    # As a plain attribute or as a module, wherever the class keeps it.
    shallow._modules = {**sae._modules}
    shallow._modules.pop("activation_fn", None)
    shallow.__dict__["activation_fn"] = choose

    def encode_as_it_does(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values: torch.Tensor = shallow.encode(x)
        latents = choose.latents
        assert latents is not None
        choose.latents = None
        return values, latents

    return encode_as_it_does


def compact_encoder(sae: SAE[Any]) -> Compact | None:
    """``x [n, d_in] -> row of x, latent, value`` of all that fires, by row, then latent.

    Of ReLU and JumpReLU: what was computed is compared once, and taken where it is above. What is
    no number is among what fires. None for any other architecture.
    """
    import torch
    from sae_lens.saes.jumprelu_sae import JumpReLUSAE
    from sae_lens.saes.standard_sae import StandardSAE

    if type(sae) not in (StandardSAE, JumpReLUSAE) or type(sae.activation_fn) is not torch.nn.ReLU:
        return None
    before = _Before(sae)
    floor: torch.Tensor | float = 0.0
    if type(sae) is JumpReLUSAE:
        floor = sae.threshold.detach().clamp(min=0)

    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        acts = before(x)
        # Not "above": of what is no number neither is true, and it has to be told.
        return taken(acts, (acts <= floor).logical_not_())

    return encode


def taken(
    acts: torch.Tensor, fires: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Row, column and value of a block ``[n, m]`` where ``fires`` [n, m], by row, then column."""
    where, latent = fires.nonzero(as_tuple=True)
    return where, latent, acts[where, latent]


class _Before:
    """What a SAELens class computes before its activation function, ``[n, d_sae]``.

    On a CPU always the same block of memory: what was given before is gone. A fresh one costs
    as much as a tenth of the product, in pages that the system has to clear.
    """

    def __init__(self, sae: SAE[Any], scale: torch.Tensor | None = None):
        self._sae, self._scale = sae, scale
        self._block: torch.Tensor | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        sae = self._sae
        out = self._room(len(x)) if x.device.type == "cpu" else None
        found = torch.mm(sae.process_sae_in(x), sae.W_enc, out=out)
        found += sae.b_enc
        if self._scale is not None:
            found *= self._scale
        return found

    def _room(self, n: int) -> torch.Tensor:
        import torch

        if self._block is None or len(self._block) < n:
            self._block = None  # before the next is made
            with torch.inference_mode(False):  # one that may be written to in either mode
                self._block = torch.empty(
                    (n, self._sae.W_enc.shape[1]), dtype=self._sae.W_enc.dtype
                )
        return self._block[:n]


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


def decode_chosen(sae: SAE[Any], values: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """``decode`` of what a top-k family chose: values and latents ``[n, k]``."""
    chosen = latents.new_zeros(len(sae.W_dec)).scatter_(0, latents.flatten(), 1)
    distinct, place = chosen.nonzero()[:, 0], (chosen.cumsum(0) - 1)[latents]
    acts = values.new_zeros((len(values), len(distinct)))
    return decode_some(sae, acts.scatter_(-1, place, values), distinct)


def _shallow(sae: SAE[Any]) -> Any:
    """The same SAE as another object: what is set on it does not change the original."""
    return copy.copy(sae)
