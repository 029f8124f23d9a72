"""SAEs as dictionary_learning's trainers save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.published_saes.common import (
    Published,
    Wanted,
    reference,
    write_json,
)

DICTIONARY_CLASSES = {
    "AutoEncoder": "dictionary",
    "AutoEncoderNew": "dictionary",
    "GatedAutoEncoder": "dictionary",
    "JumpReluAutoEncoder": "dictionary",
    "AutoEncoderTopK": "trainers.top_k",
    "BatchTopKSAE": "trainers.batch_top_k",
    "MatryoshkaBatchTopKSAE": "trainers.matryoshka_batch_top_k",
}


def dictionary_learning(folder: Path, wanted: Wanted, kind: str) -> Published:
    """``config.json`` and ``ae.pt`` as its ``trainSAE`` saves them, of its own classes."""
    home = "dictionary_learning"
    made = getattr(reference(home, f"{home}.{DICTIONARY_CLASSES[kind]}"), kind)
    arguments: list[Any] = [wanted.d_in, wanted.d_sae]
    if kind in ("AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
        arguments.append(wanted.k)
    if kind == "MatryoshkaBatchTopKSAE":
        arguments.append([wanted.d_sae // 4, wanted.d_sae - wanted.d_sae // 4])
    dictionary = made(*arguments)
    tensors = wanted.tensors()
    names = {
        "encoder.weight": tensors["W_enc"].T,
        "encoder.bias": tensors["b_enc"],
        "decoder.weight": tensors["W_dec"].T,
        "bias": tensors["b_dec"],
        "decoder.bias": tensors["b_dec"],
        "decoder_bias": tensors["b_dec"],
        "gate_bias": tensors["b_gate"],
        "mag_bias": tensors["b_mag"],
        **tensors,
    }
    with torch.no_grad():
        for name, parameter in dictionary.named_parameters():
            parameter.copy_(names[name])
        if "threshold" in dict(dictionary.named_buffers()):
            dictionary.threshold.fill_(0.4 * wanted.scale)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(dictionary.state_dict(), folder / "ae.pt")
    write_json(
        folder / "config.json",
        {
            "trainer": {
                "dict_class": kind,
                "activation_dim": wanted.d_in,
                "dict_size": wanted.d_sae,
                "k": wanted.k,
                "layer": wanted.layer,
                "lm_name": wanted.model,
                "submodule_name": f"resid_post_layer_{wanted.layer}",
            },
            "buffer": {"d_submodule": wanted.d_in, "io": "out", "ctx_len": 128},
        },
    )

    @torch.no_grad()
    def encode(x: Tensor) -> Tensor:
        acts: Tensor = dictionary.encode(x)
        return acts

    @torch.no_grad()
    def reconstruct(x: Tensor) -> Tensor:
        made: Tensor = dictionary(x)
        return made

    return Published(str(folder), None, encode, reconstruct)
