"""Gemma Scope 1 (``params.npz``) and 2 (``params.safetensors``), as Google publishes them.

Gemma Scope 1 has no config: repository and folders say what there is
(``gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71``). Gemma Scope 2 has a
``config.json`` that names Hugging Face's modules. All are JumpReLU.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.layouts.base import Place, Weights
from autointerp_core.sources.sae_config import (
    HookNames,
    SAEConfig,
    json_or_empty,
    number,
    read_json,
    text,
)
from autointerp_core.sources.sae_weights import check_shapes, read_tensors, tensor_infos

NPZ = "params.npz"
SAFETENSORS = "params.safetensors"
_CLT = re.compile(r"params_layer_(\d+)\.safetensors")
_CONTEXT = 1024


class GemmaScopeLayout:
    name = "gemma_scope"
    files = NPZ
    config_reads_weights = True

    def entries(self, folder: Path) -> list[str]:
        return [""] if (folder / NPZ).is_file() else []

    def patterns(self, place: Place) -> list[str]:
        return [NPZ]

    def hooks(self, place: Place) -> HookNames:
        names = (place.folder.name, *place.around)
        layer, site = _layer(names), _site_1(names)
        if site == "embedding":
            return HookNames(reads="hook_embed")
        if layer is None or site is None:
            return HookNames()
        if site == "transcoders":
            # After the norm before the MLP, without the norm's own weight.
            return HookNames(
                reads=f"blocks.{layer}.ln2.hook_normalized",
                predicts=f"blocks.{layer}.hook_mlp_out",
            )
        kind = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z"}[site]
        return HookNames(reads=f"blocks.{layer}.{kind}")

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        infos = tensor_infos(place.folder / NPZ)
        d_in, d_sae, d_out = _sizes(infos, ("W_enc", "w_enc"), ("W_dec", "w_dec"), source)
        names = (place.folder.name, *place.around)
        hook_out = self.hooks(place).hook_out()
        size = _match(names, r"gemma-scope-(\d+b)-(pt|it)")
        l0 = _match(names[:1], r"average_l0_(\d+)")
        return SAEConfig(
            d_in=d_in,
            d_sae=d_sae,
            architecture="jumprelu_transcoder" if hook_out else "jumprelu",
            k=None,
            hook=hook,
            model_name=f"google/gemma-2-{size[1]}{'-it' if size[2] == 'it' else ''}"
            if size
            else None,
            context_size=_CONTEXT,
            prepend_bos=True,
            normalize_activations="none",
            recorded_fvu=None,
            recorded_l0=float(l0[1]) if l0 else None,
            layout=self.name,
            source=source,
            folder=place.folder,
            hook_out=hook_out,
            d_out=d_out if hook_out else None,
            dtype=next(iter(infos.values())).dtype,
            unusual=_unusual(hook_out is not None, _site_1(names) == "embedding"),
        )

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        tensors = {
            name.replace("w_", "W_", 1) if name.startswith("w_") else name: tensor
            for name, tensor in read_tensors(place.folder / NPZ).items()
        }
        d_in, d_sae, d_out = config.d_in, config.d_sae, config.d_out or config.d_in
        expected: dict[str, tuple[int, ...]] = {
            "W_enc": (d_in, d_sae),
            "W_dec": (d_sae, d_out),
            "b_enc": (d_sae,),
            "b_dec": (d_out,),
            "threshold": (d_sae,),
        }
        check_shapes(tensors, expected, config.source, NPZ)
        if _site_1((place.folder.name, *place.around)) == "embedding":
            # Trained on raw embeddings; the model, and hook_embed, multiply them by sqrt(d_model).
            tensors["W_enc"] = tensors["W_enc"] / math.sqrt(d_in)
            tensors["W_dec"] = tensors["W_dec"] * math.sqrt(d_in)
        return Weights(config.architecture, tensors, _switches(config))


class GemmaScope2Layout:
    name = "gemma_scope_2"
    files = f"config.json + {SAFETENSORS} (or params_layer_N.safetensors)"
    config_reads_weights = True

    def entries(self, folder: Path) -> list[str]:
        layers = [path.name for path in folder.glob("params_layer_*.safetensors")]
        if layers:
            return sorted(layers, key=lambda name: int((_CLT.fullmatch(name) or ["", "0"])[1]))
        if (folder / SAFETENSORS).is_file():
            return [""]
        config = json_or_empty(folder / "config.json")
        return [""] if config.get("architecture") == "jump_relu" else []

    def patterns(self, place: Place) -> list[str]:
        return [place.entry or SAFETENSORS]

    def hooks(self, place: Place) -> HookNames:
        config = self._config(place)
        names = (place.entry, place.folder.name, *place.around)
        layer, site = _layer(names), _site_2(names)
        reads = text(config.get("hf_hook_point_in"))
        predicts = text(config.get("hf_hook_point_out"))
        if layer is None or site is None:
            return HookNames(reads_module=reads, predicts_module=predicts)
        block = f"model.layers.{layer}"
        inferred = {
            "resid_post": ("hook_resid_post", f"{block}.output"),
            "attn_out": ("attn.hook_z", f"{block}.self_attn.o_proj.input"),
            "mlp_out": ("hook_mlp_out", f"{block}.post_feedforward_layernorm.output"),
            "transcoder": ("hook_mlp_in", f"{block}.pre_feedforward_layernorm.output"),
        }[site]
        if site != "transcoder":
            return HookNames(f"blocks.{layer}.{inferred[0]}", reads or inferred[1])
        return HookNames(
            f"blocks.{layer}.{inferred[0]}",
            reads or inferred[1],
            f"blocks.{layer}.hook_mlp_out",
            predicts or f"{block}.post_feedforward_layernorm.output",
        )

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        raw = self._config(place)
        if raw.get("architecture", "jump_relu") != "jump_relu":
            raise SAESourceError(
                f"{source}: config.json has the architecture {raw['architecture']!r}; "
                "Gemma Scope 2 is jump_relu"
            )
        infos = tensor_infos(self._file(place))
        d_in, d_sae, d_out = _sizes(infos, ("w_enc",), ("w_dec",), source)
        hook_out = self.hooks(place).hook_out()
        skip = "affine_skip_connection" in infos
        if skip and hook_out is None:
            raise SAESourceError(
                f"{source} is a transcoder (it has an affine_skip_connection), but neither its "
                "config.json nor its folders' names say what it predicts (hf_hook_point_out)"
            )
        layers = len(infos["w_dec"].shape) == 3
        name = text(raw.get("model_name"))
        repo = _match((place.folder.name, *place.around), r"gemma-scope-2-(\w+)-(pt|it)")
        if name is None and repo is not None:
            name = f"gemma-3-{repo[1]}-{repo[2]}"
        return SAEConfig(
            d_in=d_in,
            d_sae=d_sae,
            architecture="jumprelu"
            if hook_out is None
            else f"jumprelu{'_skip' if skip else ''}_transcoder",
            k=None,
            hook=hook,
            model_name=_model_name(name),
            context_size=_CONTEXT,
            prepend_bos=True,
            normalize_activations="none",
            recorded_fvu=None,
            recorded_l0=number(raw.get("l0")),
            layout=self.name,
            source=source,
            folder=place.folder,
            hook_out=hook_out,
            d_out=d_out if hook_out else None,
            dtype=infos["w_enc"].dtype,
            reconstructs=not layers,
            unusual=_unusual(hook_out is not None, False, skip, layers),
        )

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        tensors = read_tensors(self._file(place))
        if tensors.get("w_dec") is not None and tensors["w_dec"].ndim == 3:
            # What a latent writes to all layers, together.
            tensors["w_dec"] = tensors["w_dec"].sum(dim=1)
        d_in, d_sae, d_out = config.d_in, config.d_sae, config.d_out or config.d_in
        expected: dict[str, tuple[int, ...]] = {
            "w_enc": (d_in, d_sae),
            "w_dec": (d_sae, d_out),
            "b_enc": (d_sae,),
            "b_dec": (d_out,),
            "threshold": (d_sae,),
        }
        if "_skip" in config.architecture:
            expected["affine_skip_connection"] = (d_in, d_out)
        check_shapes(tensors, expected, config.source, self._file(place).name)
        state = {
            "W_enc": tensors["w_enc"],
            "W_dec": tensors["w_dec"],
            "b_enc": tensors["b_enc"],
            "b_dec": tensors["b_dec"],
            "threshold": tensors["threshold"],
        }
        if "_skip" in config.architecture:
            state["W_skip"] = tensors["affine_skip_connection"].T.contiguous()
        return Weights(config.architecture, state, _switches(config))

    def _config(self, place: Place) -> dict[str, Any]:
        path = place.folder / "config.json"
        return read_json(path) if path.is_file() else {}

    def _file(self, place: Place) -> Path:
        return place.folder / (place.entry or SAFETENSORS)


def _switches(config: SAEConfig) -> dict[str, Any]:
    if config.predicts_output:
        return {"d_out": config.d_out, "apply_b_dec_to_input": False}
    return {"apply_b_dec_to_input": False}


def _sizes(
    infos: dict[str, Any], encoder: tuple[str, ...], decoder: tuple[str, ...], source: str
) -> tuple[int, int, int]:
    w_enc = next((infos[name] for name in encoder if name in infos), None)
    w_dec = next((infos[name] for name in decoder if name in infos), None)
    if w_enc is None or w_dec is None or len(w_enc.shape) != 2:
        raise SAESourceError(
            f"the weights of {source} lack {encoder[0]!r} or {decoder[0]!r}; they hold "
            f"{', '.join(sorted(infos))}"
        )
    return w_enc.shape[0], w_enc.shape[1], w_dec.shape[-1]


def _unusual(
    transcoder: bool, embedding: bool, skip: bool = False, layers: bool = False
) -> tuple[str, ...]:
    notes = ["b_dec is not subtracted from the input"] if not transcoder else []
    if embedding:
        notes.append("trained on raw embeddings: scaled by sqrt(d_model) on load")
    if skip:
        notes.append("a linear skip connection adds to what it predicts")
    if layers:
        notes.append(
            "one layer of a cross-layer transcoder: its decoders for all layers are added up, so "
            "what it predicts is no value of the model"
        )
    return tuple(notes)


def _match(names: tuple[str, ...], pattern: str) -> re.Match[str] | None:
    return next((found for name in names if (found := re.search(pattern, name))), None)


def _layer(names: tuple[str, ...]) -> int | None:
    found = _match(names, r"layer_(\d+)")
    return int(found[1]) if found else None


def _site_1(names: tuple[str, ...]) -> str | None:
    if "embedding" in names[:3]:  # embedding/width_4k/average_l0_6
        return "embedding"
    found = _match(names, r"gemma-scope-\d+b-(?:pt|it)-(res|mlp|att|transcoders)")
    return found[1] if found else None


def _site_2(names: tuple[str, ...]) -> str | None:
    for name in names[:5]:
        for site in ("resid_post", "attn_out", "mlp_out", "transcoder"):
            if name.startswith(site):
                return site
        if name == "clt" or name.startswith("clt_"):
            return "transcoder"
    return None


def _model_name(name: str | None) -> str | None:
    """The hub's id: ``gemma-v3-1b-pt`` is ``google/gemma-3-1b-pt``; 270m has no ``-pt``."""
    if name is None:
        return None
    full = (name if name.startswith("google/") else f"google/{name}").replace("-v3", "-3")
    return full.removesuffix("-pt") if "270m" in full else full
