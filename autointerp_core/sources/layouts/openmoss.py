"""OpenMOSS' layouts: Llama Scope, Llama Scope R1 and what Llamascopium (lm-saes) saves.

- ``hyperparams.json`` + ``checkpoints/final.safetensors`` (Llama Scope);
- ``config.json`` + ``sae_weights.safetensors`` with ``encoder.weight`` … (Llama Scope R1) or
  with ``W_E``, ``W_D`` … (Llamascopium).

Their SAEs are trained on inputs scaled to an average norm of sqrt(d_model). The scaling is
folded into the weights here, so that they read the model's own values and give the same
activations.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.layouts.base import Place, Weights
from autointerp_core.sources.sae_config import (
    HookNames,
    SAEConfig,
    check_k,
    json_or_empty,
    number,
    positive,
    read_json,
    text,
)
from autointerp_core.sources.sae_weights import check_shapes, read_tensors, tensor_infos

if TYPE_CHECKING:
    import torch

OLD_CONFIG = "hyperparams.json"
CONFIG = "config.json"
OLD_WEIGHTS = "checkpoints/final.safetensors"
WEIGHTS = "sae_weights.safetensors"
_NORM = "dataset_average_activation_norm"
_ACTIVATIONS = {"relu": "standard", "jumprelu": "jumprelu", "topk": "topk"}
_NORMALISATIONS = ("dataset-wise", "token-wise", "inference")
_CONTEXT = 1024


class OpenMOSSLayout:
    name = "openmoss"
    files = f"{OLD_CONFIG} + {OLD_WEIGHTS}, or {CONFIG} (with hook_point_in) + {WEIGHTS}"
    config_reads_weights = False

    def entries(self, folder: Path) -> list[str]:
        for name in (OLD_CONFIG, CONFIG):
            config = json_or_empty(folder / name)
            if "sae_type" in config or ("d_model" in config and "hook_point_in" in config):
                return [""]
        return []

    def patterns(self, place: Place) -> list[str]:
        return [OLD_WEIGHTS, WEIGHTS, "*.pt"]

    def hooks(self, place: Place) -> HookNames:
        raw, _ = _config(place)
        reads, predicts = text(raw.get("hook_point_in")), text(raw.get("hook_point_out"))
        return HookNames(reads=reads, predicts=predicts if predicts != reads else None)

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        raw, file = _config(place)
        kind = str(raw.get("sae_type", "sae"))
        if kind != "sae":
            raise SAESourceError(
                f"{source} is a {kind} of Llamascopium; of its kinds only 'sae' (SAEs and "
                "transcoders) is supported"
            )
        if raw.get("use_glu_encoder"):
            raise SAESourceError(f"{source} has a GLU encoder, which is not supported")
        activation = str(raw.get("act_fn", "jumprelu")).lower()
        if activation not in _ACTIVATIONS:
            raise SAESourceError(
                f"{source} has the activation {activation!r}; supported are "
                f"{', '.join(_ACTIVATIONS)} (turn a batchtopk one into jumprelu with "
                "Llamascopium's topk_to_jumprelu_conversion: which of its latents fire depends "
                "on the batch)"
            )
        normalisation = str(raw.get("norm_activation", "dataset-wise"))
        if normalisation not in _NORMALISATIONS:
            raise SAESourceError(
                f"{source} has norm_activation={normalisation!r}; supported are "
                f"{', '.join(_NORMALISATIONS)}"
            )
        d_in = positive(raw, "d_model", source, file)
        d_sae = _d_sae(raw, d_in, source, file)
        architecture, k = _ACTIVATIONS[activation], None
        if activation == "topk":
            k = positive(raw, "top_k", source, file)
            check_k(k, d_sae, source)
        hook_out = self.hooks(place).hook_out()
        if hook_out is not None:
            architecture = "transcoder" if activation == "relu" else f"{activation}_transcoder"
            if normalisation == "token-wise":
                raise SAESourceError(f"{source} is a transcoder with norm_activation=token-wise")
        unusual = []
        if not raw.get("apply_decoder_bias_to_pre_encoder") and hook_out is None:
            unusual.append("b_dec is not subtracted from the input")
        if normalisation == "dataset-wise":
            unusual.append(
                "inputs are scaled to an average norm of sqrt(d_model): folded into the weights"
            )
        if _by_norm(raw, file) and activation != "relu":
            unusual.append("which latents fire depends on the norms of the decoder's rows")
        return SAEConfig(
            d_in=d_in,
            d_sae=d_sae,
            architecture=architecture,
            k=k,
            hook=hook,
            model_name=text(raw.get("model_name")),
            context_size=_CONTEXT,
            prepend_bos=True,
            normalize_activations="constant_norm_rescale"
            if normalisation == "token-wise"
            else normalisation.replace("inference", "none"),
            recorded_fvu=None,
            recorded_l0=None,
            layout=self.name,
            source=source,
            folder=place.folder,
            hook_out=hook_out,
            d_out=d_in if hook_out else None,
            dtype=_stored_dtype(place.folder),
            unusual=tuple(unusual),
        )

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        import torch

        raw, file = _config(place)
        tensors = read_tensors(_weights_file(place.folder))
        norms = {
            name.removeprefix(f"{_NORM}."): float(tensors.pop(name))
            for name in list(tensors)
            if name.startswith(f"{_NORM}.")
        }
        state = _renamed(tensors)
        d_in, d_sae = config.d_in, config.d_sae
        state.setdefault("b_dec", torch.zeros(d_in))  # use_decoder_bias: false
        jump = config.architecture.startswith("jumprelu")
        old_threshold = number(raw.get("jump_relu_threshold"))
        if jump and "threshold" not in state and old_threshold is not None:
            state["threshold"] = torch.full((d_sae,), old_threshold)
        expected: dict[str, tuple[int, ...]] = {
            "W_enc": (d_in, d_sae),
            "b_enc": (d_sae,),
            "W_dec": (d_sae, d_in),
            "b_dec": (d_in,),
        }
        if jump:
            expected["threshold"] = (d_sae,)
        check_shapes(state, expected, config.source, file)
        row_norms = state["W_dec"].norm(dim=1)
        if config.normalize_activations == "dataset-wise":
            scale_in, scale_out = _scales(raw, norms, config)
            if jump and file == OLD_CONFIG and old_threshold is not None:
                # Llama Scope gives the threshold for unscaled inputs.
                state["threshold"] = state["threshold"] * scale_in
            state["W_enc"] = state["W_enc"] * scale_in
            state["W_dec"] = state["W_dec"] / scale_out
            state["b_dec"] = state["b_dec"] / scale_out
        activation = None
        by_norm = _by_norm(raw, file)
        if by_norm and jump:
            state["threshold"] = state["threshold"] / row_norms
        if config.k is not None and (by_norm or config.predicts_output):
            activation = _norm_topk(config.k, row_norms if by_norm else torch.ones(d_sae))
        switches: dict[str, Any] = {
            "apply_b_dec_to_input": bool(raw.get("apply_decoder_bias_to_pre_encoder"))
            and not config.predicts_output,
            "normalize_activations": "constant_norm_rescale"
            if config.normalize_activations == "constant_norm_rescale"
            else "none",
        }
        base = config.architecture
        if config.predicts_output:
            switches["d_out"] = d_in
            base = "jumprelu_transcoder" if jump else "transcoder"
        elif config.k is not None:
            switches["k"] = config.k
        return Weights(base, state, switches, activation)


def _config(place: Place) -> tuple[dict[str, Any], str]:
    if (place.folder / OLD_CONFIG).is_file():
        return read_json(place.folder / OLD_CONFIG), OLD_CONFIG
    return read_json(place.folder / CONFIG), CONFIG


def _by_norm(raw: dict[str, Any], file: str) -> bool:
    """Whether activations are multiplied by their decoder's norm to decide which fire.

    On unless said otherwise in Llamascopium; older files that do not mention it knew no such rule.
    """
    return bool(raw.get("sparsity_include_decoder_norm", file != OLD_CONFIG))


def _d_sae(raw: dict[str, Any], d_in: int, source: str, file: str) -> int:
    if "d_sae" in raw:
        return positive(raw, "d_sae", source, file)
    factor = number(raw.get("expansion_factor"))
    if factor is None or factor <= 0:
        raise SAESourceError(f"{source}: {file} lacks 'expansion_factor' and 'd_sae'")
    return int(d_in * factor)


def _scales(raw: dict[str, Any], norms: dict[str, float], config: SAEConfig) -> tuple[float, float]:
    """sqrt(d_model) over the average norm, at the input and at what is predicted."""
    recorded = raw.get(_NORM)
    recorded = recorded if isinstance(recorded, dict) else {}
    found = []
    for side, key in (("in", "hook_point_in"), ("out", "hook_point_out")):
        norm = norms.get(str(raw.get(key))) or number(recorded.get(side))
        norm = norm or number(recorded.get(str(raw.get(key))))
        if norm is None or not norm > 0 or not math.isfinite(norm):
            raise SAESourceError(
                f"{config.source} was trained with norm_activation=dataset-wise, but the average "
                f"norm ({_NORM}) of {raw.get(key)!r} is neither in its config nor in its "
                "weights: activations would be wrong"
            )
        found.append(math.sqrt(config.d_in) / norm)
    return found[0], found[1]


_NAMES = {
    "W_E": "W_enc",
    "b_E": "b_enc",
    "W_D": "W_dec",
    "b_D": "b_dec",
    "encoder.bias": "b_enc",
    "decoder.bias": "b_dec",
}


def _renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    state = {}
    for name, tensor in tensors.items():
        if name in ("encoder.weight", "decoder.weight"):
            state["W_enc" if name.startswith("enc") else "W_dec"] = tensor.T.contiguous()
        elif name.removeprefix("activation_function.") == "log_jumprelu_threshold":
            state["threshold"] = tensor.exp()
        else:
            state[_NAMES.get(name, name)] = tensor
    return state


def _weights_file(folder: Path) -> Path:
    for name in (OLD_WEIGHTS, WEIGHTS):
        if (folder / name).is_file():
            return folder / name
    pickles = sorted(folder.glob("*.pt"))
    return pickles[0] if pickles else folder / WEIGHTS


def _stored_dtype(folder: Path) -> str | None:
    path = _weights_file(folder)
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        infos = tensor_infos(path)
    except SAESourceError:
        return None  # damaged: loading says so
    info = infos.get("W_D", infos.get("decoder.weight"))
    return info.dtype if info else None


def _norm_topk(k: int, norms: torch.Tensor) -> torch.nn.Module:
    """Keeps the k latents whose activation times their decoder's norm is largest."""
    import torch

    class NormTopK(torch.nn.Module):
        norms: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("norms", norms)

        def forward(self, pre: torch.Tensor) -> torch.Tensor:
            """``pre`` [.., d_sae] -> [.., d_sae], at most k of them above zero."""
            acts = pre.relu()
            at = (acts * self.norms).topk(k, dim=-1, sorted=False).indices
            return torch.zeros_like(acts).scatter_(-1, at, acts.gather(-1, at))

    return NormTopK()
