"""Gemma Scope, and Gemma Scope 2."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.published_saes.common import (
    Published,
    Wanted,
    jump_relu,
    reference,
    write_json,
)


def gemma_scope(
    folder: Path, wanted: Wanted, site: str, size: str = "2b", inside: Path | None = None
) -> Published:
    """``params.npz`` in folders named as on the hub; ``site``: res, mlp, att, transcoders or
    embedding. ``inside``: exactly where to, instead."""
    import numpy as np

    transcoder = site == "transcoders"
    tensors = wanted.tensors(transcoder=transcoder)
    kept = {name: tensors[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")}
    where = "embedding" if site == "embedding" else f"layer_{wanted.layer}"
    repository = f"gemma-scope-{size}-pt-{'res' if site == 'embedding' else site}"
    inside = inside or folder / repository / where / "width_16k" / "average_l0_71"
    inside.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {name: value.numpy() for name, value in kept.items()}
    np.savez(inside / "params.npz", **arrays)
    # The model multiplies embeddings by sqrt(d_model) before anything reads them.
    unscale = 1 / math.sqrt(wanted.d_in) if site == "embedding" else 1.0
    if transcoder:
        loaded = reference(
            "circuit_tracer", "circuit_tracer.transcoder.single_layer_transcoder"
        ).load_gemma_scope_transcoder(str(inside / "params.npz"), wanted.layer)
        return from_circuit_tracer(str(inside), None, loaded)

    def encode(x: Tensor) -> Tensor:
        return jump_relu(x * unscale @ kept["W_enc"] + kept["b_enc"], kept["threshold"])

    def reconstruct(x: Tensor) -> Tensor:
        return (encode(x) @ kept["W_dec"] + (kept["b_dec"] if unscale == 1 else 0)) / unscale + (
            0 if unscale == 1 else kept["b_dec"]
        )

    return Published(str(inside), None, encode, reconstruct)


def gemma_scope_2(
    folder: Path,
    wanted: Wanted,
    site: str,
    *,
    affine: bool = False,
    cross_layer: bool = False,
    config: bool = True,
    inside: Path | None = None,
) -> Published:
    """``params.safetensors`` and ``config.json``; ``site``: resid_post, attn_out, mlp_out,
    transcoder. ``cross_layer``: a ``clt`` folder with a file a layer. ``inside``: exactly where
    to, instead."""
    from safetensors.torch import save_file

    transcoder = site == "transcoder"
    tensors = wanted.tensors(transcoder=transcoder)
    kept = {
        "w_enc": tensors["W_enc"],
        "w_dec": tensors["W_dec"],
        "b_enc": tensors["b_enc"],
        "b_dec": tensors["b_dec"],
        "threshold": tensors["threshold"],
    }
    if affine:
        kept["affine_skip_connection"] = tensors["W_skip"].T.contiguous()
    layers = 3
    if cross_layer:
        random = torch.Generator().manual_seed(wanted.seed)
        kept["w_dec"] = torch.randn(wanted.d_sae, layers, wanted.d_out, generator=random)
    repository = folder / "gemma-scope-2-1b-pt"
    width = f"width_16k_l0_big{'_affine' if affine else ''}"
    named = width if cross_layer else f"layer_{wanted.layer}_{width}"
    inside = inside or repository / ("clt" if cross_layer else site) / named
    inside.mkdir(parents=True, exist_ok=True)
    name = f"params_layer_{wanted.layer}.safetensors" if cross_layer else "params.safetensors"
    save_file(kept, inside / name)
    block = f"model.layers.{wanted.layer}"
    reads = {
        "resid_post": f"{block}.output",
        "attn_out": f"{block}.self_attn.o_proj.input",
        "mlp_out": f"{block}.post_feedforward_layernorm.output",
        "transcoder": f"{block}.pre_feedforward_layernorm.output",
    }[site]
    if config and not cross_layer:
        content: dict[str, Any] = {
            "architecture": "jump_relu",
            "model_name": "gemma-v3-1b-pt",
            "hf_hook_point_in": reads,
            "affine_connection": affine,
        }
        if transcoder:
            content["hf_hook_point_out"] = f"{block}.post_feedforward_layernorm.output"
        write_json(inside / "config.json", content)
    entry = str(inside / name) if cross_layer else str(inside)
    if transcoder and not cross_layer:
        loaded = reference(
            "circuit_tracer", "circuit_tracer.transcoder.single_layer_transcoder"
        ).load_gemma_scope_2_transcoder(str(inside / name), wanted.layer)
        return from_circuit_tracer(entry, None, loaded)

    def encode(x: Tensor) -> Tensor:
        return jump_relu(x @ kept["w_enc"] + kept["b_enc"], kept["threshold"])

    def reconstruct(x: Tensor) -> Tensor:
        w_dec = kept["w_dec"].sum(dim=1) if cross_layer else kept["w_dec"]
        made = encode(x) @ w_dec + kept["b_dec"]
        return made + x @ kept["affine_skip_connection"] if affine else made

    return Published(entry, None, encode, reconstruct)


def from_circuit_tracer(path: str, sae_id: str | None, loaded: Any) -> Published:
    """What circuit-tracer's own transcoder computes, as it loaded these files."""
    loaded = loaded.float()

    @torch.no_grad()
    def encode(x: Tensor) -> Tensor:
        acts: Tensor = loaded.encode(x)
        return acts

    @torch.no_grad()
    def reconstruct(x: Tensor) -> Tensor:
        made: Tensor = loaded(x)
        return made

    return Published(path, sae_id, encode, reconstruct)
