"""Layouts of one file: Goodfire, Qwen Scope."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.published_saes.common import (
    Published,
    Wanted,
    top_k,
)


def goodfire(folder: Path, wanted: Wanted, *, linear: str = "_linear", name: str = "") -> Published:
    """A ``.pth`` with flat tensors; the class printed on the model's page is two Linears."""
    tensors = wanted.tensors()
    encoder = torch.nn.Linear(wanted.d_in, wanted.d_sae)
    decoder = torch.nn.Linear(wanted.d_sae, wanted.d_in)
    with torch.no_grad():
        encoder.weight.copy_(tensors["W_enc"].T)
        encoder.bias.copy_(tensors["b_enc"])
        decoder.weight.copy_(tensors["W_dec"].T)
        decoder.bias.copy_(tensors["b_dec"])
    state = {
        f"encoder{linear}.weight": encoder.weight.detach(),
        f"encoder{linear}.bias": encoder.bias.detach(),
        f"decoder{linear}.weight": decoder.weight.detach(),
        f"decoder{linear}.bias": decoder.bias.detach(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / (name or f"Llama-3.1-8B-Instruct-SAE-l{wanted.layer}.pth"))

    @torch.no_grad()
    def encode(x: Tensor) -> Tensor:
        return functional.relu(encoder(x))

    @torch.no_grad()
    def reconstruct(x: Tensor) -> Tensor:
        made: Tensor = decoder(encode(x))
        return made

    return Published(str(folder), None, encode, reconstruct)


def qwen_scope(folder: Path, wanted: Wanted, inside: Path | None = None) -> Published:
    """``layerN.sae.pt``; k is in the repository's name. The rule is its page's: top-k.
    ``inside``: exactly where to, instead."""
    tensors = wanted.tensors()
    inside = inside or folder / f"SAE-Res-Qwen3-8B-Base-W64K-L0_{wanted.k}"
    inside.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "W_enc": tensors["W_enc"].T.contiguous(),
            "W_dec": tensors["W_dec"].T.contiguous(),
            "b_enc": tensors["b_enc"],
            "b_dec": tensors["b_dec"],
        },
        inside / f"layer{wanted.layer}.sae.pt",
    )

    def encode(x: Tensor) -> Tensor:
        return top_k(x @ tensors["W_enc"] + tensors["b_enc"], wanted.k).relu()

    def reconstruct(x: Tensor) -> Tensor:
        return encode(x) @ tensors["W_dec"] + tensors["b_dec"]

    return Published(str(inside), None, encode, reconstruct)
