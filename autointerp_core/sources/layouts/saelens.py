"""SAELens' own layout: ``cfg.json`` beside ``sae_weights.safetensors``."""

from __future__ import annotations

import re
from dataclasses import replace
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
    recorded_fvu,
    size,
    text,
)
from autointerp_core.sources.sae_weights import (
    check_shapes,
    only_or_named,
    read_tensors,
    tensor_infos,
)

if TYPE_CHECKING:
    import torch

CONFIG_NAME = "cfg.json"
WEIGHTS_NAME = "sae_weights.safetensors"
# SAELens' trainer leaves these beside a checkpoint whose scaling is not in the weights yet.
SCALER_NAME = "activation_scaler.json"
WHITENING_NAME = "activation_whitening.safetensors"

ARCHITECTURES = (
    "standard",
    "gated",
    "topk",
    "abstopk",
    "jumprelu",
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
    "matching_pursuit",
)
_TRANSCODERS = tuple(name for name in ARCHITECTURES if name.endswith("transcoder"))
_TOP_K = ("topk", "abstopk")
# Architectures that exist only while training: SAELens saves them for use as another one.
_TRAINING_ONLY = ("batchtopk", "matryoshka_batchtopk")
# Their scaling is computed at training time and must be folded into the weights.
UNFOLDED = ("expected_average_only_in", "covariance_whitening")
_NORMALISATIONS = ("none", "constant_norm_rescale", "layer_norm", *UNFOLDED)

# Models with LayerNorm, where TransformerLens' center_writing_weights takes effect at all.
_LAYER_NORM_MODELS = re.compile(r"gpt2|gpt-2|gpt-neo|gpt-j|pythia|opt-\d", re.IGNORECASE)
# What is written to or read from the residual stream, and nothing inside a module.
_CENTRED_HOOKS = re.compile(r"hook_(resid_(pre|mid|post)|mlp_out|attn_out|mlp_in|embed)$")


class SAELensLayout:
    name = "saelens"
    files = f"{CONFIG_NAME} + {WEIGHTS_NAME}"
    config_reads_weights = False

    def entries(self, folder: Path) -> list[str]:
        path = folder / CONFIG_NAME
        if not path.is_file():
            return []
        try:
            config = read_json(path)
        except SAESourceError:
            return [""]  # broken, but there: let it be chosen and say what is wrong with it
        return [""] if "d_sae" in config or ("d_in" in config and not _is_sparsify(config)) else []

    def patterns(self, place: Place) -> list[str]:
        return ["*.safetensors", "*.json", "*.pt", "*.bin"]

    def hooks(self, place: Place) -> HookNames:
        return hook_names(read_json(place.folder / CONFIG_NAME))

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        raw = read_json(place.folder / CONFIG_NAME)
        config = config_from(raw, hook, self.name, source, place.folder, stored_dtype(place.folder))
        if config.normalize_activations in UNFOLDED and scaling(place.folder) is None:
            raise unfolded(config)
        return config

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        tensors = read_tensors(only_or_named(place.folder, WEIGHTS_NAME))
        state = checked_state(tensors, config)
        return Weights(
            config.architecture, state, switches(read_json(place.folder / CONFIG_NAME), config)
        )


def _is_sparsify(config: dict[str, Any]) -> bool:
    return "d_sae" not in config and bool({"expansion_factor", "num_latents"} & config.keys())


def hook_names(config: dict[str, Any]) -> HookNames:
    """The names of a cfg.json, of version 6 (in ``metadata``) or before.

    Raises:
        SAESourceError: ``metadata`` is no object.
    """
    metadata = config.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise SAESourceError(
            f"{CONFIG_NAME} has {type(metadata).__name__} {str(metadata)[:40]!r} for 'metadata'; "
            "expected an object with hook_name, model_name and so on"
        )

    def first(*keys: str) -> str | None:
        for holder in (metadata or {}, config):
            for key in keys:
                if (found := text(holder.get(key))) is not None:
                    return found
        return None

    return HookNames(
        reads=first("hook_name", "hook_point"),
        reads_module=first("hf_hook_name", "hookpoint"),
        predicts=first("hook_name_out", "hook_point_out"),
        predicts_module=first("hf_hook_name_out"),
    )


def config_from(
    config: dict[str, Any],
    hook: HookPoint,
    layout: str,
    source: str,
    folder: Path | None,
    dtype: str | None = None,
) -> SAEConfig:
    """Read a cfg.json's content, of any version.

    Raises:
        SAESourceError: a value is missing, impossible, or means an SAE that cannot be used here.
        HookError: what a transcoder predicts is no hook point.
    """
    names = hook_names(config)
    metadata = config.get("metadata")
    # Before version 6 everything stood side by side, and BOS was prepended unless said otherwise.
    flat = metadata is None
    about: dict[str, Any] = config if flat else dict(metadata or {})
    activation = config.get("activation_fn", config.get("activation_fn_str", "relu")) or "relu"
    kwargs = config.get("activation_fn_kwargs") or {}
    architecture = str(config.get("architecture", "standard"))
    k = config.get("k")
    if flat and activation == "topk":
        architecture = architecture if architecture in _TOP_K else "topk"
        k = kwargs.get("k", k) if isinstance(kwargs, dict) else k
    _check_architecture(architecture, source)
    if flat and architecture not in _TOP_K and activation != "relu":
        raise SAESourceError(f"{source} uses the activation {activation!r}; only relu is supported")
    if config.get("finetuning_scaling_factor"):
        raise SAESourceError(f"{source} uses a finetuning scaling factor, which is not supported")
    d_in, d_sae = (positive(config, key, source) for key in ("d_in", "d_sae"))
    normalize = config.get("normalize_activations") or "none"
    normalize = "expected_average_only_in" if normalize is True else normalize
    if normalize not in _NORMALISATIONS:
        raise SAESourceError(f"{source}: unknown normalize_activations {normalize!r} in cfg.json")
    if architecture in _TOP_K:
        k = positive({"k": k}, "k", source)
        check_k(k, d_sae, source)
    hook_out, d_out = None, None
    if architecture in _TRANSCODERS:
        hook_out = names.hook_out()
        if hook_out is None:
            raise SAESourceError(
                f"{source} is a transcoder ({architecture}), but its cfg.json does not say what "
                "it predicts: add hook_name_out to its metadata, e.g. blocks.9.hook_mlp_out"
            )
        d_out = positive(config, "d_out", source)
    model_kwargs = about.get("model_from_pretrained_kwargs")
    model_kwargs = model_kwargs if isinstance(model_kwargs, dict) else {}
    model_name = text(about.get("model_name"))
    centred = (
        bool(model_kwargs.get("center_writing_weights"))
        and bool(_LAYER_NORM_MODELS.search(model_name or ""))
        and bool(_CENTRED_HOOKS.search(hook.name))
        and architecture not in _TRANSCODERS
    )
    return SAEConfig(
        d_in=d_in,
        d_sae=d_sae,
        architecture=architecture,
        k=k if architecture in _TOP_K else None,
        hook=hook,
        model_name=model_name,
        context_size=size(about.get("context_size")),
        prepend_bos=bool(about.get("prepend_bos", flat)),
        normalize_activations=normalize,
        recorded_fvu=recorded_fvu(about),
        # Fixed by k for top-k: nothing to compare with.
        recorded_l0=None if architecture in _TOP_K else number(about.get("l0")),
        layout=layout,
        source=source,
        folder=folder,
        center_input=centred,
        hook_out=hook_out,
        d_out=d_out,
        dtype=dtype or text(config.get("dtype")),
        unusual=tuple(_unusual(config, about, architecture, centred, normalize)),
    )


def _check_architecture(architecture: str, source: str) -> None:
    if architecture in _TRAINING_ONLY:
        raise SAESourceError(
            f"{source} is a training checkpoint ({architecture}): save it with SAELens' "
            "save_inference_model() and give that folder"
        )
    if architecture == "temporal":
        raise temporal_refused(source)
    if architecture not in ARCHITECTURES:
        raise SAESourceError(
            f"{source} has the architecture {architecture!r}; "
            f"supported are {', '.join(ARCHITECTURES)}"
        )


def one_of_cross_layer(config: SAEConfig) -> SAEConfig:
    """The same, known to be one layer of a cross-layer transcoder."""
    note = (
        "one layer of a cross-layer transcoder: its decoders for all layers are added up, so what "
        "it predicts is no value of the model"
    )
    return replace(config, reconstructs=False, unusual=(*config.unusual, note))


def temporal_refused(source: str) -> SAESourceError:
    """The refusal of an SAE that needs what encoding token by token cannot give."""
    return SAESourceError(
        f"{source} is a temporal SAE: its encode needs whole sequences, as a latent of one token "
        "depends on the tokens before it, and here each token is encoded by itself; "
        f"supported are {', '.join(ARCHITECTURES)}"
    )


def _unusual(
    config: dict[str, Any], about: dict[str, Any], architecture: str, centred: bool, normalize: str
) -> list[str]:
    notes = []
    if config.get("apply_b_dec_to_input") is False and architecture not in _TRANSCODERS:
        notes.append("b_dec is not subtracted from the input")
    if config.get("rescale_acts_by_decoder_norm"):
        notes.append("activations are multiplied by the norms of the decoder's rows")
    if config.get("reshape_activations") == "hook_z":
        notes.append("reads the heads of hook_z side by side")
    if about.get("hook_head_index") is not None:
        notes.append(f"trained on head {about['hook_head_index']} alone")
    if centred:
        notes.append("each input vector's mean is subtracted (center_writing_weights)")
    if architecture == "abstopk":
        notes.append("activations are signed: strength is magnitude")
    if architecture == "matching_pursuit":
        notes.append("latents are chosen one after another (matching pursuit): encoding is slow")
    if architecture.endswith("skip_transcoder"):
        notes.append("a linear skip connection adds to what it predicts")
    if normalize in UNFOLDED:
        notes.append(f"{normalize} scaling is folded into the weights on load")
    return notes


def switches(raw: dict[str, Any], config: SAEConfig) -> dict[str, Any]:
    """The fields of SAELens' config class, as SAELens itself would read this cfg.json."""
    from sae_lens.loading.pretrained_sae_loaders import handle_config_defaulting

    full = handle_config_defaulting({**raw, "device": "cpu", "dtype": "float32"})
    dropped = ("metadata", "architecture", "d_in", "d_sae", "device", "dtype")
    return {key: value for key, value in full.items() if key not in dropped} | (
        {"k": config.k} if config.k is not None else {}
    )


def checked_state(tensors: dict[str, torch.Tensor], config: SAEConfig) -> dict[str, torch.Tensor]:
    """Check tensors of the SAELens layout against the config; drops a scaling factor of ones.

    Raises:
        SAESourceError: a tensor is missing, has another shape, or is not known.
    """
    import torch

    state = dict(tensors)
    scale = state.pop("scaling_factor", None)
    if scale is not None and not torch.allclose(scale, torch.ones_like(scale)):
        raise SAESourceError(f"{config.source} has a finetuning scaling factor: not supported")
    d_in, d_sae, d_out = config.d_in, config.d_sae, config.d_out or config.d_in
    expected: dict[str, tuple[int, ...]] = {
        "W_enc": (d_in, d_sae),
        "W_dec": (d_sae, d_out),
        "b_dec": (d_out,),
    }
    biases = {"gated": ("b_gate", "b_mag", "r_mag"), "matching_pursuit": ()}
    for name in biases.get(config.architecture, ("b_enc",)):
        expected[name] = (d_sae,)
    if config.architecture.startswith("jumprelu"):
        expected["threshold"] = (d_sae,)
    if config.architecture.endswith("skip_transcoder"):
        expected["W_skip"] = (d_out, d_in)
    if config.architecture == "gated":
        state.pop("b_enc", None)  # old files carry an unused one
    if config.architecture == "matching_pursuit":
        del expected["W_enc"]  # tied to the decoder
    check_shapes(state, expected, config.source)
    return state


def stored_dtype(folder: Path) -> str | None:
    """The precision of the stored decoder, from its header; None where a header cannot say."""
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        return None
    try:
        info = tensor_infos(path).get("W_dec")
    except SAESourceError:
        return None  # damaged: loading says so
    return info.dtype if info else None


def scaling(folder: Path | None) -> dict[str, Any] | None:
    """What a SAELens training checkpoint left of its input scaling, None where nothing."""
    if folder is None:
        return None
    record = json_or_empty(folder / SCALER_NAME)
    if number(record.get("scaling_factor")) or (folder / WHITENING_NAME).is_file():
        return record
    return None


def unfolded(config: SAEConfig) -> SAESourceError:
    return SAESourceError(
        f"{config.source} was trained with normalize_activations={config.normalize_activations!r}, "
        f"whose scaling is not in its files ({SCALER_NAME} is not there either): activations would "
        "be wrong; fold it into the weights with SAELens and save again"
    )
