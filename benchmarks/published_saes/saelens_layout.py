"""SAEs as SAELens saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.published_saes.common import (
    Published,
    Wanted,
)

SAELENS_ARCHITECTURES = (
    "standard",
    "gated",
    "topk",
    "abstopk",
    "jumprelu",
    "matching_pursuit",
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
)


def saelens(folder: Path, wanted: Wanted, architecture: str, **config: Any) -> Published:
    """Through SAELens' own ``save_model``; the reference is its ``load_from_disk``."""
    from sae_lens import SAE
    from sae_lens.registry import get_sae_class
    from sae_lens.saes.sae import SAEMetadata

    sae_class, config_class = get_sae_class(architecture)
    transcoder = architecture.endswith("transcoder")
    about: dict[str, Any] = {
        "hook_name": wanted.hook_name,
        "model_name": wanted.model,
        "context_size": 64,
        "prepend_bos": True,
    }
    if architecture in ("topk", "abstopk"):
        config = {"k": wanted.k, **config}
    if architecture == "matching_pursuit":
        config = {"max_iterations": wanted.k, **config}
    if transcoder:
        about["hook_name_out"] = f"blocks.{wanted.layer}.{wanted.predicts}"
        config = {"d_out": wanted.d_out, "apply_b_dec_to_input": False, **config}
    made = sae_class(
        config_class(d_in=wanted.d_in, d_sae=wanted.d_sae, metadata=SAEMetadata(**about), **config)
    )
    tensors = wanted.tensors(transcoder=transcoder)
    if architecture == "matching_pursuit":
        tensors["W_dec"] = functional.normalize(tensors["W_dec"], dim=-1)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            parameter.copy_(tensors[name])
    made.save_model(folder)
    heads = 4 if config.get("reshape_activations") == "hook_z" else 0
    reference: Any = SAE.load_from_disk(folder)

    def shaped(x: Tensor) -> Tensor:
        return x.reshape(len(x), heads, -1) if heads else x

    def encode(x: Tensor) -> Tensor:
        with torch.no_grad():
            acts: Tensor = reference.encode(shaped(x))
            return acts

    def reconstruct(x: Tensor) -> Tensor:
        with torch.no_grad():
            made: Tensor = reference(shaped(x))
            return made.reshape(len(x), -1)

    return Published(str(folder), None, encode, reconstruct)
