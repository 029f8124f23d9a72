"""An SAE's cfg.json, in either layout, read into one record. No torch here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hooks import HookPoint

CONFIG_NAME = "cfg.json"

# encode() of these maps one residual vector to non-negative activations, which is all that
# extraction assumes. A transcoder reads one place and predicts another; a temporal SAE looks at
# neighbouring tokens; AbsTopK has negative activations: none of them is what a study records.
ARCHITECTURES = ("standard", "gated", "topk", "jumprelu")
# Architectures that exist only while training: SAELens saves them for use as another one.
_TRAINING_ONLY = ("batchtopk", "matryoshka_batchtopk")
# Their scaling is computed at training time and must be folded into the weights.
UNFOLDED = ("expected_average_only_in", "covariance_whitening")
_NORMALISATIONS = ("none", "constant_norm_rescale", "layer_norm", *UNFOLDED)

# Models with LayerNorm, where TransformerLens' center_writing_weights takes effect at all.
_LAYER_NORM_MODELS = re.compile(r"gpt2|gpt-2|gpt-neo|gpt-j|pythia|opt-\d", re.IGNORECASE)


@dataclass(frozen=True)
class SAEConfig:
    """What is known about an SAE without reading its weights."""

    d_in: int
    d_sae: int
    architecture: str
    """SAELens' name for it, or ``"groupmax"`` (sparsify only)."""
    k: int | None
    hook: HookPoint
    model_name: str | None
    context_size: int | None
    prepend_bos: bool
    normalize_activations: str
    recorded_fvu: float | None
    recorded_l0: float | None
    layout: str
    """``"saelens"``, ``"sparsify"`` or ``"release"``."""
    source: str
    """Where it came from, to be read by people."""
    folder: Path | None
    """The folder of its cfg.json; None for a release in another layout than SAELens'."""
    center_input: bool = False
    """Trained on TransformerLens' centred residual stream: subtract each vector's mean first."""


def read_config(folder: Path) -> dict[str, Any]:
    """The cfg.json of a folder.

    Raises:
        SAESourceError: there is none, or it is no JSON object.
    """
    path = folder / CONFIG_NAME
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SAESourceError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SAESourceError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise SAESourceError(f"{path} must hold a JSON object, not a {type(config).__name__}")
    return config


def is_sparsify(config: dict[str, Any]) -> bool:
    """Whether a cfg.json is EleutherAI sparsify's rather than SAELens'.

    sparsify writes the size as one of ``expansion_factor`` and ``num_latents`` and never
    ``d_sae``; SAELens always writes ``d_sae``.
    """
    return "d_sae" not in config and bool({"expansion_factor", "num_latents"} & config.keys())


def hook_text(config: dict[str, Any], folder_name: str) -> str | None:
    """The hook's name as written in the config, or by sparsify in the folder's name."""
    metadata = config.get("metadata") or {}
    for holder in (metadata, config):
        for key in ("hook_name", "hook_point", "hf_hook_name", "hookpoint"):
            if isinstance(holder.get(key), str):
                return str(holder[key])
    if is_sparsify(config) and re.search(r"\d", folder_name) and "." in folder_name:
        return folder_name
    return None


def config_from(
    config: dict[str, Any], *, hook: HookPoint, layout: str, source: str, folder: Path | None
) -> SAEConfig:
    """Read a cfg.json's content, whichever layout it has.

    Raises:
        SAESourceError: a value is missing, impossible, or means an SAE that cannot be used here.
    """
    if is_sparsify(config):
        return _from_sparsify(config, hook, source, folder)
    return _from_saelens(config, hook, layout, source, folder)


def _from_saelens(
    config: dict[str, Any], hook: HookPoint, layout: str, source: str, folder: Path | None
) -> SAEConfig:
    metadata = config.get("metadata")
    # Before version 6 everything stood side by side, and BOS was prepended unless said otherwise.
    flat = not isinstance(metadata, dict)
    about: dict[str, Any] = config if flat else dict(metadata or {})
    activation = config.get("activation_fn", config.get("activation_fn_str", "relu")) or "relu"
    kwargs = config.get("activation_fn_kwargs") or {}
    architecture = str(config.get("architecture", "standard"))
    k = config.get("k")
    if flat and activation == "topk":
        architecture, k = "topk", kwargs.get("k", k)
    if architecture in _TRAINING_ONLY:
        raise SAESourceError(
            f"{source} is a training checkpoint ({architecture}): save it with SAELens' "
            "save_inference_model() and give that folder"
        )
    if architecture not in ARCHITECTURES:
        raise SAESourceError(
            f"{source} has the architecture {architecture!r}; "
            f"supported are {', '.join(ARCHITECTURES)}"
        )
    if flat and architecture != "topk" and activation != "relu":
        raise SAESourceError(f"{source} uses the activation {activation!r}; only relu is supported")
    if config.get("finetuning_scaling_factor"):
        raise SAESourceError(f"{source} uses a finetuning scaling factor, which is not supported")
    d_in, d_sae = (_positive(config, key, source) for key in ("d_in", "d_sae"))
    normalize = config.get("normalize_activations") or "none"
    normalize = "expected_average_only_in" if normalize is True else normalize
    if normalize not in _NORMALISATIONS:
        raise SAESourceError(f"{source}: unknown normalize_activations {normalize!r} in cfg.json")
    if architecture == "topk":
        k = _positive({"k": k}, "k", source)
        _check_k(k, d_sae, source)
    model_kwargs = about.get("model_from_pretrained_kwargs") or {}
    model_name = _text(about.get("model_name"))
    return SAEConfig(
        d_in=d_in,
        d_sae=d_sae,
        architecture=architecture,
        k=k if architecture == "topk" else None,
        hook=hook,
        model_name=model_name,
        context_size=_size(about.get("context_size")),
        prepend_bos=bool(about.get("prepend_bos", flat)),
        normalize_activations=normalize,
        recorded_fvu=_recorded_fvu(about),
        # Fixed by k for top-k: nothing to compare with.
        recorded_l0=None if architecture == "topk" else _number(about.get("l0")),
        layout=layout,
        source=source,
        folder=folder,
        center_input=bool(model_kwargs.get("center_writing_weights"))
        and bool(_LAYER_NORM_MODELS.search(model_name or "")),
    )


def _from_sparsify(
    config: dict[str, Any], hook: HookPoint, source: str, folder: Path | None
) -> SAEConfig:
    for flag, meaning in (
        ("transcode", "a transcoder, which predicts another module's output"),
        ("skip_connection", "an SAE with a skip connection"),
        ("signed", "a signed top-k SAE, whose activations may be negative"),
    ):
        if config.get(flag):
            raise SAESourceError(f"{source} is {meaning} ({flag}: true): not supported")
    activation = config.get("activation", "topk")
    if activation not in ("topk", "groupmax"):
        raise SAESourceError(
            f"{source} has the activation {activation!r}; supported are topk and groupmax"
        )
    d_in = _positive(config, "d_in", source)
    # sparsify's own defaults, for configs of older versions that left keys out.
    d_sae = _size(config.get("num_latents")) or d_in * _positive(
        {"expansion_factor": 32, **config}, "expansion_factor", source
    )
    k = _positive({"k": 32, **config}, "k", source)
    _check_k(k, d_sae, source)
    if activation == "groupmax" and d_sae % k:
        raise SAESourceError(f"{source}: groupmax needs {d_sae} latents to be divisible by k={k}")
    run = _training_run(folder)
    return SAEConfig(
        d_in=d_in,
        d_sae=d_sae,
        architecture=activation,
        k=k,
        hook=hook,
        model_name=_text(config.get("model_name")) or _text(run.get("model")),
        context_size=_size(config.get("context_size")) or _size(run.get("ctx_len")),
        prepend_bos=config.get("prepend_bos") is True,
        normalize_activations="none",
        recorded_fvu=_recorded_fvu(config),
        recorded_l0=None,
        layout="sparsify",
        source=source,
        folder=folder,
    )


def _training_run(folder: Path | None) -> dict[str, Any]:
    """sparsify's trainer leaves its whole configuration beside the layer folders."""
    if folder is None:
        return {}
    try:
        run = json.loads((folder.parent / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # optional: says only which model and context it was trained on
    return run if isinstance(run, dict) else {}


def _check_k(k: int, d_sae: int, source: str) -> None:
    if k > d_sae:
        raise SAESourceError(f"{source}: k={k} is more than its {d_sae} latents")


def _positive(config: dict[str, Any], key: str, source: str) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        said = "lacks" if value is None else f"has {value!r} for"
        raise SAESourceError(f"{source}: cfg.json {said} {key!r}; expected a positive whole number")
    return value


def _size(value: Any) -> int | None:
    ok = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return int(value) if ok else None


def _number(value: Any) -> float | None:
    ok = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if ok else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _recorded_fvu(about: dict[str, Any]) -> float | None:
    if (fvu := _number(about.get("fvu"))) is not None:
        return fvu
    explained = _number(about.get("explained_variance", about.get("variance_explained")))
    return None if explained is None else 1.0 - explained
