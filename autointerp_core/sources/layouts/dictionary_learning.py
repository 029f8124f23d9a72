"""saprmarks' dictionary_learning: ``config.json`` (with a ``trainer``) beside ``ae.pt``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.layouts.base import Place, Weights
from autointerp_core.sources.sae_config import (
    HookNames,
    SAEConfig,
    check_k,
    positive,
    read_json,
    size,
    text,
)
from autointerp_core.sources.sae_weights import check_shapes, read_tensors

if TYPE_CHECKING:
    import torch

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "ae.pt"

ARCHITECTURES = {
    "AutoEncoder": "standard",
    "AutoEncoderNew": "standard",
    "GatedAutoEncoder": "gated",
    "AutoEncoderTopK": "topk",
    # Both choose by a threshold learnt in training when they are used: a JumpReLU.
    "BatchTopKSAE": "jumprelu",
    "MatryoshkaBatchTopKSAE": "jumprelu",
    "JumpReluAutoEncoder": "jumprelu",
}
"""The class named by ``dict_class`` and SAELens' name for what its ``encode`` does."""

# The submodule's names in this project's own scripts, and where that is in a block.
_SUBMODULES = {
    "resid_post": "blocks.{layer}.hook_resid_post",
    "resid_pre": "blocks.{layer}.hook_resid_pre",
    "resid": "blocks.{layer}.hook_resid_post",
    "mlp": "layers.{layer}.mlp",
    "attn": "layers.{layer}.attention",
    "attention": "layers.{layer}.attention",
}


class DictionaryLearningLayout:
    name = "dictionary_learning"
    files = f"{CONFIG_NAME} (with a trainer) + {WEIGHTS_NAME}"
    config_reads_weights = False

    def entries(self, folder: Path) -> list[str]:
        if (folder / WEIGHTS_NAME).is_file():
            return [""]
        path = folder / CONFIG_NAME
        if not path.is_file():
            return []
        try:
            return [""] if isinstance(read_json(path).get("trainer"), dict) else []
        except SAESourceError:
            return []

    def patterns(self, place: Place) -> list[str]:
        return [WEIGHTS_NAME]

    def hooks(self, place: Place) -> HookNames:
        raw = read_json(place.folder / CONFIG_NAME)
        trainer = _trainer(raw, str(place.folder))
        layer = trainer.get("layer")
        if isinstance(layer, bool) or not isinstance(layer, int):
            return HookNames()
        named = text(trainer.get("submodule_name")) or next(
            (name for name in place.around if "_layer_" in name), "resid_post"
        )
        kind = re.sub(r"_?layers?_?\d*$|_?\d+$", "", named).strip("_") or "resid_post"
        template = _SUBMODULES.get(kind)
        if template is None:
            return HookNames(reads=named)
        place_name = template.format(layer=layer)
        if isinstance(raw.get("buffer"), dict) and raw["buffer"].get("io") == "in":
            # What enters a module; what enters a block is the residual before it.
            place_name = (
                f"blocks.{layer}.hook_resid_pre"
                if kind.startswith("resid")
                else f"{place_name}.input"
            )
        return HookNames(reads=place_name)

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        raw = read_json(place.folder / CONFIG_NAME)
        trainer = _trainer(raw, source)
        kind = trainer.get("dict_class")
        if kind not in ARCHITECTURES:
            raise SAESourceError(
                f"{source}: {CONFIG_NAME} names the class {kind!r}; supported are "
                f"{', '.join(ARCHITECTURES)}"
            )
        d_in = positive(trainer, "activation_dim", source, CONFIG_NAME)
        d_sae = positive(trainer, "dict_size", source, CONFIG_NAME)
        k = None
        if kind == "AutoEncoderTopK":
            k = positive(trainer, "k", source, CONFIG_NAME)
            check_k(k, d_sae, source)
        buffer = raw.get("buffer")
        unusual = []
        if kind in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
            unusual.append(
                f"{kind} with k={trainer.get('k')}: used with its learnt threshold, as its own "
                "encode does, so that a token's activations do not depend on its batch"
            )
        if kind in ("AutoEncoderNew", "JumpReluAutoEncoder"):
            unusual.append("b_dec is not subtracted from the input")
        return SAEConfig(
            d_in=d_in,
            d_sae=d_sae,
            architecture=ARCHITECTURES[kind],
            k=k,
            hook=hook,
            model_name=text(trainer.get("lm_name")),
            context_size=size(buffer.get("ctx_len")) if isinstance(buffer, dict) else None,
            # Its buffer tokenises with the tokenizer's own special tokens: BOS where it adds one.
            prepend_bos=True,
            normalize_activations="none",
            recorded_fvu=None,
            recorded_l0=None,
            layout=self.name,
            source=source,
            folder=place.folder,
            dtype=None,
            unusual=tuple(unusual),
        )

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        kind = _trainer(read_json(place.folder / CONFIG_NAME), config.source)["dict_class"]
        tensors = read_tensors(place.folder / WEIGHTS_NAME)
        for name in ("k", "group_sizes"):  # buffers that encode does not use
            tensors.pop(name, None)
        if kind == "AutoEncoderTopK":
            tensors.pop("threshold", None)  # its encode keeps k a token
        d_in, d_sae = config.d_in, config.d_sae
        linear = {"encoder.weight": (d_sae, d_in), "decoder.weight": (d_in, d_sae)}
        plain = {"W_enc": (d_in, d_sae), "W_dec": (d_sae, d_in), "b_enc": (d_sae,)}
        expected: dict[str, tuple[int, ...]] = {
            "AutoEncoder": {**linear, "encoder.bias": (d_sae,), "bias": (d_in,)},
            "AutoEncoderNew": {**linear, "encoder.bias": (d_sae,), "decoder.bias": (d_in,)},
            "GatedAutoEncoder": {
                **linear,
                "decoder_bias": (d_in,),
                "r_mag": (d_sae,),
                "gate_bias": (d_sae,),
                "mag_bias": (d_sae,),
            },
            "AutoEncoderTopK": {**linear, "encoder.bias": (d_sae,), "b_dec": (d_in,)},
            "BatchTopKSAE": {
                **linear,
                "encoder.bias": (d_sae,),
                "b_dec": (d_in,),
                "threshold": (),
            },
            "MatryoshkaBatchTopKSAE": {**plain, "b_dec": (d_in,), "threshold": ()},
            "JumpReluAutoEncoder": {**plain, "b_dec": (d_in,), "threshold": (d_sae,)},
        }[kind]
        check_shapes(tensors, expected, config.source, CONFIG_NAME)
        state = _renamed(tensors)
        if state.get("threshold") is not None:
            state["threshold"] = state["threshold"].expand(d_sae).contiguous()
        switches: dict[str, Any] = {
            "apply_b_dec_to_input": kind not in ("AutoEncoderNew", "JumpReluAutoEncoder")
        }
        if config.k is not None:
            switches["k"] = config.k
        return Weights(config.architecture, state, switches)


_NAMES = {
    "encoder.bias": "b_enc",
    "bias": "b_dec",
    "decoder.bias": "b_dec",
    "decoder_bias": "b_dec",
    "gate_bias": "b_gate",
    "mag_bias": "b_mag",
}


def _renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    state = {}
    for name, tensor in tensors.items():
        if name in ("encoder.weight", "decoder.weight"):
            state["W_enc" if name.startswith("enc") else "W_dec"] = tensor.T.contiguous()
        else:
            state[_NAMES.get(name, name)] = tensor
    return state


def _trainer(raw: dict[str, Any], source: str) -> dict[str, Any]:
    trainer = raw.get("trainer")
    if not isinstance(trainer, dict):
        raise SAESourceError(
            f"{source}: {CONFIG_NAME} has no 'trainer' with dict_class, activation_dim and "
            "dict_size, as dictionary_learning writes it"
        )
    return trainer
