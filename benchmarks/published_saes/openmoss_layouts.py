"""OpenMOSS' layouts: Llama Scope, and Llamascopium."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.published_saes.common import (
    Published,
    Wanted,
    jump_relu,
    reference,
    write_json,
)


def llamascopium(
    folder: Path,
    wanted: Wanted,
    activation: str,
    *,
    norm: str = "dataset-wise",
    by_norm: bool = True,
    transcoder: bool = False,
) -> Published:
    """What Llamascopium's ``save_pretrained`` writes, of its own ``SparseAutoEncoder``."""
    home = reference("llamascopium", "llamascopium.models.sae")
    out = f"blocks.{wanted.layer}.{wanted.predicts}" if transcoder else wanted.hook_name
    config = home.SAEConfig(
        hook_point_in=wanted.hook_name,
        hook_point_out=out,
        d_model=wanted.d_in,
        expansion_factor=wanted.d_sae / wanted.d_in,
        act_fn=activation,
        norm_activation=norm,
        sparsity_include_decoder_norm=by_norm,
        top_k=wanted.k,
    )
    made = home.SparseAutoEncoder(config)
    tensors = wanted.tensors()
    with torch.no_grad():
        made.W_E.copy_(tensors["W_enc"])
        made.b_E.copy_(tensors["b_enc"])
        made.W_D.copy_(tensors["W_dec"])
        made.b_D.copy_(tensors["b_dec"])
        if activation == "jumprelu":
            made.activation_function.log_jumprelu_threshold.copy_(tensors["threshold"].log())
    made.set_dataset_average_activation_norm(
        {
            wanted.hook_name: 7.5 * wanted.scale,
            out: 7.5 * wanted.scale if out == wanted.hook_name else 3.0,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    made.save_pretrained(folder)
    config.save_hyperparameters(folder)

    @torch.no_grad()
    def scaled(x: Tensor) -> Tensor:
        scaled: Tensor = x * made.compute_norm_factor(x, wanted.hook_name)
        return scaled

    @torch.no_grad()
    def encode(x: Tensor) -> Tensor:
        acts: Tensor = made.encode(scaled(x))
        return acts

    @torch.no_grad()
    def reconstruct(x: Tensor) -> Tensor:
        result: Tensor = made.decode(encode(x)) / made.compute_norm_factor(x, out)
        return result

    return Published(str(folder), None, encode, reconstruct)


def llama_scope(
    folder: Path, wanted: Wanted, *, r1: bool = False, norm: float | None = None
) -> Published:
    """Llama Scope's ``hyperparams.json``, or the config and names of Llama Scope R1.

    The formula is the published one: inputs times sqrt(d_model) / average norm; the threshold
    of Llama Scope is for unscaled inputs, that of R1 for scaled ones.
    """
    from safetensors.torch import save_file

    tensors = wanted.tensors()
    norm = norm or 7.5 * wanted.scale
    factor = math.sqrt(wanted.d_in) / norm
    unit = functional.normalize(tensors["W_dec"], dim=-1)
    state = {
        "encoder.weight": tensors["W_enc"].T.contiguous(),
        "encoder.bias": tensors["b_enc"],
        "decoder.weight": unit.T.contiguous(),
        "decoder.bias": tensors["b_dec"],
    }
    config: dict[str, Any] = {
        "d_model": wanted.d_in,
        "expansion_factor": wanted.d_sae // wanted.d_in,
        "hook_point_in": wanted.hook_name,
        "hook_point_out": wanted.hook_name,
        "act_fn": "jumprelu",
        "norm_activation": "dataset-wise",
        "sparsity_include_decoder_norm": True,
    }
    if r1:
        threshold = tensors["threshold"]
        state["log_jumprelu_threshold"] = threshold.log()
        for side in {wanted.hook_name}:
            state[f"dataset_average_activation_norm.{side}"] = torch.tensor(norm)
        write_json(folder / "config.json", config)
        save_file(state, folder / "sae_weights.safetensors")
    else:
        single = 0.4 * wanted.scale
        threshold = torch.full((wanted.d_sae,), single) * factor
        write_json(
            folder / "hyperparams.json",
            {
                **config,
                "d_sae": wanted.d_sae,
                "jump_relu_threshold": single,
                "dataset_average_activation_norm": {"in": norm, "out": norm},
            },
        )
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        save_file(state, folder / "checkpoints" / "final.safetensors")

    def encode(x: Tensor) -> Tensor:
        return jump_relu(x * factor @ tensors["W_enc"] + tensors["b_enc"], threshold)

    def reconstruct(x: Tensor) -> Tensor:
        return (encode(x) @ unit + tensors["b_dec"]) / factor

    return Published(str(folder), None, encode, reconstruct)
