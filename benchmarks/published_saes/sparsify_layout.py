"""SAEs as EleutherAI sparsify saves them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.published_saes.common import (
    Published,
    Wanted,
    top_k,
)

SPARSIFY_ARCHITECTURES = (
    "topk",
    "groupmax",
    "abstopk",
    "topk_skip",
    "topk_transcoder",
    "topk_skip_transcoder",
    "groupmax_transcoder",
)


def sparsify(folder: Path, wanted: Wanted, architecture: str, module: str) -> Published:
    """Through ``SparseCoder.save_to_disk``; ``module`` is the folder's name: ``layers.2.mlp``."""
    from sparsify import SparseCoder
    from sparsify.config import SparseCoderConfig

    signed, transcode = architecture == "abstopk", architecture.endswith("transcoder")
    skip = "_skip" in architecture
    coder = SparseCoder(
        wanted.d_in,
        SparseCoderConfig(
            num_latents=wanted.d_sae,
            k=wanted.k,
            activation="groupmax" if architecture.startswith("groupmax") else "topk",
            transcode=transcode,
            skip_connection=skip,
        ),
    )
    tensors = wanted.tensors()
    with torch.no_grad():
        coder.encoder.weight.copy_(tensors["W_enc"].T)
        coder.encoder.bias.copy_(tensors["b_enc"])
        coder.W_dec.copy_(tensors["W_dec"])
        coder.b_dec.copy_(tensors["b_dec"])
        if skip:
            coder.W_skip.copy_(tensors["W_skip"])
    coder.save_to_disk(folder / module)
    if signed:
        path = folder / module / "cfg.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "signed": True}))

    @torch.no_grad()
    def encode(x: Tensor) -> Tensor:
        if signed:
            # As sparsify had it up to version 1.1: no relu, the k largest by magnitude.
            pre = functional.linear(x - coder.b_dec, coder.encoder.weight, coder.encoder.bias)
            return top_k(pre, wanted.k, pre.abs())
        out = coder.encode(x)
        return torch.zeros(len(x), wanted.d_sae).scatter_(-1, out.top_indices, out.top_acts)

    @torch.no_grad()
    def reconstruct(x: Tensor) -> Tensor:
        if signed:
            signed_sum: Tensor = encode(x) @ coder.W_dec + coder.b_dec
            return signed_sum
        made: Tensor = coder(x).sae_out
        return made

    return Published(str(folder), module, encode, reconstruct)
