"""Transcoder sets as circuit-tracer reads them, and cross-layer transcoders."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.published_saes.common import (
    D_SAE,
    Published,
    Wanted,
    reference,
)
from benchmarks.published_saes.gemma_layouts import from_circuit_tracer


def transcoder_set(
    folder: Path, wanted: Wanted, *, jump: bool = False, skip: bool = False
) -> Published:
    """``layer_N.safetensors`` and ``config.yaml``; the reference is circuit-tracer's loader."""
    from safetensors.torch import save_file

    tensors = wanted.tensors(transcoder=True)
    kept = {
        "W_enc": tensors["W_enc"].T.contiguous(),
        "W_dec": tensors["W_dec"],
        "b_enc": tensors["b_enc"],
        "b_dec": tensors["b_dec"],
    }
    if jump:
        kept["activation_function.threshold"] = tensors["threshold"]
    if skip:
        kept["W_skip"] = tensors["W_skip"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"layer_{wanted.layer}.safetensors"
    save_file(kept, path)
    (folder / "config.yaml").write_text(
        f"model_name: {wanted.model}\nmodel_kind: transcoder_set\n"
        f"feature_input_hook: {wanted.reads}\nfeature_output_hook: {wanted.predicts}\n"
    )
    loaded = reference(
        "circuit_tracer", "circuit_tracer.transcoder.single_layer_transcoder"
    ).load_relu_transcoder(str(path), wanted.layer, lazy_encoder=False, lazy_decoder=False)
    return from_circuit_tracer(str(folder), path.name, loaded)


def cross_layer(folder: Path, wanted: Wanted, *, jump: bool = False, layers: int = 3) -> Published:
    """``W_enc_N`` and ``W_dec_N`` of every layer; the reference is circuit-tracer's loader."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    for layer in range(layers):
        random = torch.Generator().manual_seed(layer)
        tensors = Wanted(
            layer, wanted.d_in, wanted.d_out, wanted.reads, scale=wanted.scale
        ).tensors(transcoder=True)
        encoder = {
            f"W_enc_{layer}": tensors["W_enc"].T.contiguous(),
            f"b_enc_{layer}": tensors["b_enc"],
            f"b_dec_{layer}": tensors["b_dec"],
        }
        if jump:
            encoder[f"threshold_{layer}"] = tensors["threshold"]
        save_file(encoder, folder / f"W_enc_{layer}.safetensors")
        decoder = torch.randn(D_SAE, layers - layer, wanted.d_out, generator=random)
        save_file({f"W_dec_{layer}": decoder}, folder / f"W_dec_{layer}.safetensors")
    (folder / "config.yaml").write_text(
        f"model_name: {wanted.model}\nmodel_kind: cross_layer_transcoder\n"
        f"feature_input_hook: {wanted.reads}\nfeature_output_hook: {wanted.predicts}\n"
    )
    loaded = reference(
        "circuit_tracer", "circuit_tracer.transcoder.cross_layer_transcoder"
    ).load_clt(str(folder), lazy_decoder=False, dtype=torch.float32)

    @torch.no_grad()
    def encode(x: Tensor) -> Tensor:
        every = loaded.encode(torch.stack([x] * layers))
        acts: Tensor = every[wanted.layer]
        return acts

    @torch.no_grad()
    def reconstruct(x: Tensor) -> Tensor:
        written = sum(encode(x) @ part for part in loaded.W_dec[wanted.layer].unbind(1))
        made: Tensor = written + loaded.b_dec[wanted.layer]
        return made

    return Published(str(folder), f"W_enc_{wanted.layer}.safetensors", encode, reconstruct)
