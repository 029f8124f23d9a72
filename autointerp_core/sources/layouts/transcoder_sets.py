"""circuit-tracer's layouts: a folder of transcoders, one a layer, and cross-layer transcoders.

- ``layer_N.safetensors`` for each layer (``W_enc`` [d_sae, d_in] …);
- ``W_enc_N.safetensors`` and ``W_dec_N.safetensors`` for each layer of a cross-layer transcoder.

``config.yaml`` beside them names the model and the hooks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.layouts.base import Place, Weights
from autointerp_core.sources.sae_config import HookNames, SAEConfig, text
from autointerp_core.sources.sae_weights import check_shapes, read_tensors, tensor_infos

_LAYER = re.compile(r"layer_(\d+)\.safetensors")
_CROSS = re.compile(r"W_enc_(\d+)\.safetensors")
_CONFIGS = ("config.yaml", "config.yml")
# Left by the trainer; misspelt in some repositories. Those without a config.yaml read and
# predict here.
_TRAINING_RUNS = ("wandb-config.yaml", "wanb-config.yaml")
_DEFAULT_HOOKS = ("mlp.hook_in", "hook_mlp_out")


class TranscoderSetLayout:
    name = "circuit_tracer"
    files = "config.yaml + layer_N.safetensors, or W_enc_N.safetensors + W_dec_N.safetensors"
    config_reads_weights = True

    def entries(self, folder: Path) -> list[str]:
        found = [
            (int(m[1]), path.name)
            for path in folder.glob("*.safetensors")
            if (m := _LAYER.fullmatch(path.name) or _CROSS.fullmatch(path.name))
        ]
        return [name for _, name in sorted(found)]

    def patterns(self, place: Place) -> list[str]:
        return [place.entry, place.entry.replace("W_enc_", "W_dec_"), "*.yaml", "*.yml"]

    def hooks(self, place: Place) -> HookNames:
        config, known = _config(place.folder)
        layer = _layer(place)
        reads = text(config.get("feature_input_hook"))
        predicts = text(config.get("feature_output_hook"))
        if known:
            reads, predicts = reads or _DEFAULT_HOOKS[0], predicts or _DEFAULT_HOOKS[1]
        return HookNames(
            reads=f"blocks.{layer}.{reads}" if reads else None,
            predicts=f"blocks.{layer}.{predicts}" if predicts else None,
        )

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        raw, _ = _config(place.folder)
        infos = tensor_infos(place.path)
        suffix = self._suffix(place)
        for name in ("W_enc", "b_dec"):
            if f"{name}{suffix}" not in infos:
                raise SAESourceError(
                    f"the weights of {source} lack {name + suffix!r}; they hold "
                    f"{', '.join(sorted(infos))}"
                )
        hook_out = self.hooks(place).hook_out()
        if hook_out is None:
            raise SAESourceError(
                f"{source} is a transcoder, but no config.yaml beside it says what it predicts: "
                "add one with feature_input_hook and feature_output_hook, e.g. mlp.hook_in and "
                "hook_mlp_out"
            )
        d_sae, d_in = infos[f"W_enc{suffix}"].shape
        jump = bool({"activation_function.threshold", f"threshold{suffix}"} & infos.keys())
        skip, cross = "W_skip" in infos, bool(suffix)
        notes = []
        if skip:
            notes.append("a linear skip connection adds to what it predicts")
        if cross:
            notes.append(
                "one layer of a cross-layer transcoder: its decoders for all layers are added up, "
                "so what it predicts is no value of the model"
            )
        return SAEConfig(
            d_in=d_in,
            d_sae=d_sae,
            architecture=("jumprelu_" if jump else "") + ("skip_" if skip else "") + "transcoder",
            k=None,
            hook=hook,
            model_name=text(raw.get("model_name")),
            context_size=None,
            prepend_bos=True,
            normalize_activations="none",
            recorded_fvu=None,
            recorded_l0=None,
            layout=self.name,
            source=source,
            folder=place.folder,
            hook_out=hook_out,
            d_out=infos[f"b_dec{suffix}"].shape[-1],
            dtype=infos[f"W_enc{suffix}"].dtype,
            reconstructs=not cross,
            unusual=tuple(notes),
        )

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        suffix = self._suffix(place)
        tensors = read_tensors(place.path)
        if suffix:
            tensors |= read_tensors(place.folder / place.entry.replace("W_enc_", "W_dec_"))
            tensors = {name.removesuffix(suffix): tensor for name, tensor in tensors.items()}
            if "W_dec" in tensors and tensors["W_dec"].ndim == 3:
                tensors["W_dec"] = tensors["W_dec"].sum(dim=1)
        d_in, d_sae, d_out = config.d_in, config.d_sae, config.d_out or config.d_in
        expected: dict[str, tuple[int, ...]] = {
            "W_enc": (d_sae, d_in),
            "W_dec": (d_sae, d_out),
            "b_enc": (d_sae,),
            "b_dec": (d_out,),
        }
        if "activation_function.threshold" in tensors:
            tensors["threshold"] = tensors.pop("activation_function.threshold")
        if config.architecture.startswith("jumprelu"):
            tensors["threshold"] = tensors["threshold"].reshape(-1)
            expected["threshold"] = (d_sae,)
        if "skip" in config.architecture:
            expected["W_skip"] = (d_out, d_in)
        check_shapes(tensors, expected, config.source, "file")
        state = {**tensors, "W_enc": tensors["W_enc"].T.contiguous()}
        return Weights(config.architecture, state, {"d_out": d_out, "apply_b_dec_to_input": False})

    def _suffix(self, place: Place) -> str:
        """What a cross-layer transcoder adds to each tensor's name."""
        return f"_{_layer(place)}" if _CROSS.fullmatch(place.entry) else ""


def _layer(place: Place) -> int:
    found = _LAYER.fullmatch(place.entry) or _CROSS.fullmatch(place.entry)
    return int(found[1]) if found else 0


def _config(folder: Path) -> tuple[dict[str, Any], bool]:
    """config.yaml's content, and whether anything says that these are such a set."""
    import yaml

    for name in _CONFIGS:
        path = folder / name
        if path.is_file():
            try:
                content = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (OSError, ValueError, yaml.YAMLError) as error:
                raise SAESourceError(f"{path} is not valid YAML: {error}") from error
            return (content if isinstance(content, dict) else {}), False
    return {}, any((folder / name).is_file() for name in _TRAINING_RUNS)
