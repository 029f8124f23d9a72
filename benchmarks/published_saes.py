"""Tiny random SAEs in every published layout, each with the reference that owns the layout.

A writer puts files on disk as the publisher lays them out, and returns how the publisher's own
class (or, where none can be installed, the formula the publisher prints) encodes and
reconstructs. Nothing here uses the loaders that are compared with it.
"""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

D_SAE = 64
K = 8


@dataclass(frozen=True)
class Published:
    """SAE files on disk, and what their publisher computes with them."""

    path: str
    sae_id: str | None
    encode: Callable[[Tensor], Tensor]
    """``x [n, d_in] -> acts [n, d_sae]``."""
    reconstruct: Callable[[Tensor], Tensor]
    """``x [n, d_in] -> [n, d_out]``."""


@dataclass(frozen=True)
class Wanted:
    """What a tiny SAE is made for."""

    layer: int
    d_in: int
    d_out: int
    reads: str
    """TransformerLens' name of the hook, without the block: ``hook_resid_post``."""
    predicts: str = "hook_mlp_out"
    d_sae: int = D_SAE
    k: int = K
    model: str = "tiny"
    scale: float = 1.0
    """About how large a component of the input is: thresholds and biases follow it."""
    seed: int = 0

    @property
    def hook_name(self) -> str:
        return "hook_embed" if self.reads == "hook_embed" else f"blocks.{self.layer}.{self.reads}"

    def tensors(self, *, transcoder: bool = False) -> dict[str, Tensor]:
        """Random weights that make roughly half of the latents' inputs positive."""
        random = torch.Generator().manual_seed(1000 * self.seed + self.layer)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=random)

        d_out = self.d_out if transcoder else self.d_in
        spread = math.sqrt(self.d_in)
        return {
            "W_enc": draw(self.d_in, self.d_sae) / spread,
            "b_enc": 0.1 * self.scale * draw(self.d_sae),
            # Norms are uneven on purpose: who uses them must be told from who does not.
            "W_dec": draw(self.d_sae, d_out) / math.sqrt(self.d_sae),
            "b_dec": 0.2 * self.scale * draw(d_out),
            "threshold": 0.3 * self.scale * draw(self.d_sae).abs(),
            "r_mag": 0.3 * draw(self.d_sae),
            "b_gate": 0.1 * self.scale * draw(self.d_sae),
            "b_mag": 0.1 * self.scale * draw(self.d_sae),
            "W_skip": draw(d_out, self.d_in) / spread,
        }


def _json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@cache
def _reference(package: str, module: str) -> ModuleType:
    """A module of an oracle package, without the package's own imports.

    Their ``__init__`` files import trainers' needs (nnsight, MongoDB …) that no reference
    class uses.
    """
    for name in (package, *_bare(module)):
        if name in sys.modules:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(
                f"{name} is missing: pip install -r requirements-dev-nodeps.txt"
            )
        empty = ModuleType(name)
        empty.__path__ = list(spec.submodule_search_locations)
        empty.__spec__ = spec
        sys.modules[name] = empty
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def _bare(module: str) -> list[str]:
    parents = module.split(".")[:-1]
    return [".".join(parents[:n]) for n in range(2, len(parents) + 1)]


def jump_relu(pre: Tensor, threshold: Tensor) -> Tensor:
    """relu(pre) where pre is above its threshold: the rule of every JumpReLU SAE."""
    return functional.relu(pre) * (pre > threshold)


def top_k(pre: Tensor, k: int, by: Tensor | None = None) -> Tensor:
    """The k largest of each row (by other numbers, where given), the others zero."""
    at = (pre if by is None else by).topk(k, dim=-1).indices
    return torch.zeros_like(pre).scatter_(-1, at, pre.gather(-1, at))


# --- SAELens -----------------------------------------------------------------------------------

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


# --- sparsify ----------------------------------------------------------------------------------

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


# --- dictionary_learning -----------------------------------------------------------------------

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
    made = getattr(_reference(home, f"{home}.{DICTIONARY_CLASSES[kind]}"), kind)
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
    _json(
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


# --- Gemma Scope -------------------------------------------------------------------------------


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
        loaded = _reference(
            "circuit_tracer", "circuit_tracer.transcoder.single_layer_transcoder"
        ).load_gemma_scope_transcoder(str(inside / "params.npz"), wanted.layer)
        return _from_circuit_tracer(str(inside), None, loaded)

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
        _json(inside / "config.json", content)
    entry = str(inside / name) if cross_layer else str(inside)
    if transcoder and not cross_layer:
        loaded = _reference(
            "circuit_tracer", "circuit_tracer.transcoder.single_layer_transcoder"
        ).load_gemma_scope_2_transcoder(str(inside / name), wanted.layer)
        return _from_circuit_tracer(entry, None, loaded)

    def encode(x: Tensor) -> Tensor:
        return jump_relu(x @ kept["w_enc"] + kept["b_enc"], kept["threshold"])

    def reconstruct(x: Tensor) -> Tensor:
        w_dec = kept["w_dec"].sum(dim=1) if cross_layer else kept["w_dec"]
        made = encode(x) @ w_dec + kept["b_dec"]
        return made + x @ kept["affine_skip_connection"] if affine else made

    return Published(entry, None, encode, reconstruct)


def _from_circuit_tracer(path: str, sae_id: str | None, loaded: Any) -> Published:
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


# --- OpenMOSS ----------------------------------------------------------------------------------


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
    home = _reference("llamascopium", "llamascopium.models.sae")
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
        _json(folder / "config.json", config)
        save_file(state, folder / "sae_weights.safetensors")
    else:
        single = 0.4 * wanted.scale
        threshold = torch.full((wanted.d_sae,), single) * factor
        _json(
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


# --- one file each -----------------------------------------------------------------------------


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


# --- circuit-tracer ----------------------------------------------------------------------------


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
    loaded = _reference(
        "circuit_tracer", "circuit_tracer.transcoder.single_layer_transcoder"
    ).load_relu_transcoder(str(path), wanted.layer, lazy_encoder=False, lazy_decoder=False)
    return _from_circuit_tracer(str(folder), path.name, loaded)


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
    loaded = _reference(
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
