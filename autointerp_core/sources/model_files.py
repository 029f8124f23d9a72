"""A language model's config and fingerprint, without its weights in memory and without torch."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp_core.errors import DiskFull, ModelSourceError, OutputError
from autointerp_core.home import home, models_dir
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.sources.hooks import MODULE, HookPoint
from autointerp_core.sources.hub import hub_errors, one_line
from autointerp_core.sources.model_kinds import refuse_encoders
from autointerp_core.sources.paths import listing
from autointerp_core.store.files import write_json

DEMO = "demo"
DEMO_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"

# Written by whoever saved the folder; the numbers a model computes do not depend on them.
_IRRELEVANT = ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype")
# Multi-head latent attention, heads that differ by layer: only the modules say how wide.
_HEADS_DIFFER = ("v_head_dim", "global_head_dim", "linear_num_value_heads", "layers_block_type")
_MLPS_DIFFER = ("num_local_experts", "num_experts", "n_routed_experts", "use_double_wide_mlp")
_EMBEDDINGS = (
    "embed_tokens.weight",
    "wte.weight",
    "embed_in.weight",
    "word_embeddings.weight",
    "embeddings.weight",
)
_NAMES = {
    "n_layers": ("num_hidden_layers", "n_layer", "n_layers"),
    "d_model": ("hidden_size", "n_embd", "d_model"),
    "context_size": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"),
    "vocab_size": ("vocab_size",),
}


@dataclass(frozen=True)
class ModelConfig:
    """What is known about a model from its config."""

    name: str
    """As given, or the hub id the demo model has."""
    path: Path | str
    """What to load from: a local folder, or a hub id."""
    n_layers: int
    d_model: int
    context_size: int | None
    """The most positions it can take, in tokens; None where it has no limit."""
    vocab_size: int
    dtype: str
    """The checkpoint's, e.g. ``"bfloat16"``."""
    revision: str | None
    """Commit on the hub; None for a local folder."""
    is_local: bool
    gguf_file: str | None = None
    """Name of the GGUF file in the folder, where that is all there is."""
    heads_width: int | None = None
    """Width of ``attn.hook_z``, all heads side by side; None where the config does not say."""
    mlp_width: int | None = None
    """Width of ``mlp.hook_post``; None where the config does not say, or it differs by layer."""

    def hook_width(self, hook: HookPoint) -> int | None:
        """How wide vectors at a hook are; None where only running the model tells."""
        if hook.kind == MODULE:
            return None
        return {"attn.z": self.heads_width, "mlp.hook_post": self.mlp_width}.get(
            hook.kind, self.d_model
        )


def inspect_model(model_path: str, progress: ProgressCallback | None = None) -> ModelConfig:
    """Find a model and read its config (``demo`` is prepared first, once, which takes a while).

    Args:
        model_path: hub id, local folder, ``.gguf`` file, or ``demo``.

    Raises:
        ModelSourceError: not found, gated, out of reach, or no config that can be used.
    """
    given = str(model_path).strip()
    if given == DEMO:
        return _from_folder(_prepared_demo(progress or silent), DEMO_NAME)
    if not given:
        raise ModelSourceError("no model given; expected a hub id, a local folder, or demo")
    path = Path(given).expanduser()
    # os.path, unlike pathlib, takes an absurd or forbidden path for an absent one.
    if os.path.isdir(path):
        return _from_folder(path, given)
    if os.path.isfile(path):
        if path.suffix.lower() != ".gguf":
            raise ModelSourceError(
                f"{given} is a file; give the folder that holds config.json and the weights"
            )
        return _from_gguf(path, given)
    if path.is_absolute() or given.startswith((".", "~")) or given.count("/") > 1:
        raise ModelSourceError(f"model {given!r} was not found: no such folder, and no hub id")
    return _from_hub(given)


def weights_folder(config: ModelConfig) -> Path:
    """The folder with the weights, downloaded where they are on the hub.

    Raises:
        ModelSourceError: the hub is out of reach, or holds no weights that can be used.
    """
    if config.is_local:
        return Path(config.path)
    from huggingface_hub import snapshot_download

    repo = str(config.path)
    side_files = ["*.json", "*.txt", "*.model", "*.jinja"]
    # Copies of the same weights in other formats, which some repositories carry along.
    ignored = ["original/*", "onnx/*", "consolidated*", "*.pth"]
    with hub_errors(ModelSourceError, "model", repo, local_hint="a local folder with it"):
        folder = Path(
            snapshot_download(
                repo,
                revision=config.revision,
                allow_patterns=["*.safetensors", *side_files],
                ignore_patterns=ignored,
            )
        )
        if not any(folder.glob("*.safetensors")):
            snapshot_download(
                repo,
                revision=config.revision,
                allow_patterns=["pytorch_model*.bin"],
                ignore_patterns=ignored,
            )
    return folder


def model_fingerprint(config: ModelConfig) -> str:
    """What the model's numbers depend on, in a word.

    ``hub:<commit>``, or ``sha256:…`` over the weight files in their index's order, what matters
    of config.json, and tokenizer.json. A file's hash is kept by path, size and time of change.

    Raises:
        ModelSourceError: there are no weights.
    """
    if not config.is_local:
        return f"hub:{config.revision}"
    folder = Path(config.path)
    digest = hashlib.sha256()
    for path in weight_files(folder, config.gguf_file):
        digest.update(_file_hash(path).encode())
    if (folder / "config.json").is_file():
        content = _read_json(folder / "config.json")
        relevant = {key: value for key, value in content.items() if key not in _IRRELEVANT}
        digest.update(json.dumps(relevant, sort_keys=True).encode())
    if (folder / "tokenizer.json").is_file():
        digest.update(_file_hash(folder / "tokenizer.json").encode())
    return f"sha256:{digest.hexdigest()}"


def embedding_rows(config: ModelConfig) -> int:
    """How many token ids the model has a vector for, from its weights where they say.

    Checkpoints differ from their config: padded to a multiple of 64, or trained on after a
    token was added.

    Raises:
        ModelSourceError: there are no weights.
    """
    from safetensors import SafetensorError, safe_open

    folder = weights_folder(config)
    for path in weight_files(folder, config.gguf_file):
        if path.suffix != ".safetensors":
            break
        # A damaged file is told of where it is loaded.
        with suppress(SafetensorError, OSError), safe_open(path, framework="np") as handle:
            for key in list(handle.keys()):
                if key.endswith(_EMBEDDINGS):
                    return int(handle.get_slice(key).get_shape()[0])
    return config.vocab_size


def weight_files(folder: Path, gguf_file: str | None = None) -> list[Path]:
    """The weight files of a local model: of the index where there is one, safetensors first.

    Raises:
        ModelSourceError: there are none, or one named in the index is missing.
    """
    if gguf_file is not None:
        return [folder / gguf_file]
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        index = folder / f"{stem}{suffix}.index.json"
        if (folder / f"{stem}{suffix}").is_file():
            return [folder / f"{stem}{suffix}"]
        if index.is_file():
            names = dict.fromkeys((_read_json(index).get("weight_map") or {}).values())
            missing = [name for name in names if not (folder / name).is_file()]
            if missing or not names:
                raise ModelSourceError(
                    f"{folder} is incomplete: {index.name} names {missing[0] if missing else 'no'}"
                    f"{', which is' if missing else ' file; the weights are'} not there"
                )
            return [folder / name for name in names]
    raise ModelSourceError(
        f"no model weights (model.safetensors) in {folder}; it holds {listing(folder)}"
    )


def _prepared_demo(progress: ProgressCallback) -> Path:
    from autointerp_core.sources.demo import prepare_demo_model

    return prepare_demo_model(home(), lambda text: progress(Progress("model", message=text)))


def _from_folder(folder: Path, name: str) -> ModelConfig:
    config = folder / "config.json"
    if config.is_file():
        return _config(_read_json(config), name=name, path=folder.resolve(), revision=None)
    ggufs = sorted(folder.glob("*.gguf"))
    if len(ggufs) == 1:
        return _from_gguf(ggufs[0], name)
    if ggufs:
        raise ModelSourceError(
            f"{name} holds several GGUF files, give one of them: "
            f"{', '.join(path.name for path in ggufs)}"
        )
    there = listing(folder)
    raise ModelSourceError(
        f"no config.json in {name}; it holds {there}; give the folder of a Hugging Face model"
        + (
            " (this is an adapter: merge it into its base model first)"
            if "adapter" in there
            else ""
        )
    )


def _from_gguf(path: Path, name: str) -> ModelConfig:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    # The GGUF reader fails with whatever it stumbles over.
    except Exception as error:
        raise ModelSourceError(
            f"cannot read the GGUF file {path}: {type(error).__name__}: {one_line(error)}"
        ) from error
    return _config(
        {**config.to_dict(), "dtype": "float32"},
        name=name,
        path=path.parent.resolve(),
        revision=None,
        gguf_file=path.name,
    )


def _from_hub(repo: str) -> ModelConfig:
    from huggingface_hub import snapshot_download

    with hub_errors(ModelSourceError, "model", repo, local_hint="a local folder with it"):
        folder = Path(snapshot_download(repo, allow_patterns=["config.json"]))
    if not (folder / "config.json").is_file():
        raise ModelSourceError(
            f"model {repo!r} on the hub has no config.json (GGUF or adapter only?): "
            "give the repository of the original model"
        )
    return _config(_read_json(folder / "config.json"), name=repo, path=repo, revision=folder.name)


def _config(
    content: dict[str, Any],
    *,
    name: str,
    path: Path | str,
    revision: str | None,
    gguf_file: str | None = None,
) -> ModelConfig:
    text = content.get("text_config")
    merged = {**content, **text} if isinstance(text, dict) else content
    refuse_encoders(merged, str(content.get("model_type", "")), name)
    values = {field: _first(merged, keys) for field, keys in _NAMES.items()}
    if any(values[field] is None for field in ("n_layers", "d_model", "vocab_size")):
        values = _from_transformers(content, name)
    dtype = merged.get("dtype") or merged.get("torch_dtype") or "float32"
    n_layers, d_model, vocab_size = (values[key] for key in ("n_layers", "d_model", "vocab_size"))
    if n_layers is None or d_model is None or vocab_size is None:
        raise ModelSourceError(
            f"the config.json of {name} does not say how many layers it has and how wide they are"
        )
    return ModelConfig(
        name=name,
        path=path,
        n_layers=n_layers,
        d_model=d_model,
        context_size=values["context_size"],
        vocab_size=vocab_size,
        dtype=str(dtype).removeprefix("torch."),
        revision=revision,
        is_local=isinstance(path, Path),
        gguf_file=gguf_file,
        heads_width=_heads_width(merged, d_model),
        mlp_width=_mlp_width(merged, d_model),
    )


def _heads_width(config: dict[str, Any], d_model: int) -> int | None:
    heads = _first(config, ("num_attention_heads", "n_head", "n_heads"))
    if heads is None or any(key in config for key in _HEADS_DIFFER):
        return None
    head = _first(config, ("head_dim",))
    # Where it is left out it may also be the class's default (Gemma: 256), not this.
    if head is None and "num_key_value_heads" in config and "head_dim" not in config:
        return None
    return heads * head if head is not None else d_model


def _mlp_width(config: dict[str, Any], d_model: int) -> int | None:
    if any(key in config for key in _MLPS_DIFFER):
        return None
    width = _first(config, ("intermediate_size", "n_inner", "ffn_dim"))
    return width or (4 * d_model if "n_inner" in config else None)


def _first(config: dict[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _from_transformers(content: dict[str, Any], name: str) -> dict[str, int | None]:
    """Some configs leave out what equals the class's default: only transformers knows those."""
    from transformers import AutoConfig

    try:
        kind = content["model_type"]
        rest = {key: value for key, value in content.items() if key != "model_type"}
        text = AutoConfig.for_model(kind, **rest).get_text_config()
    except Exception as error:
        raise ModelSourceError(
            f"{name} is of a kind that transformers does not know "
            f"({content.get('model_type', 'no model_type in config.json')})"
        ) from error
    whole = {key: getattr(text, key, None) for keys in _NAMES.values() for key in keys}
    return {field: _first(whole, keys) for field, keys in _NAMES.items()}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelSourceError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelSourceError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelSourceError(f"{path} must hold a JSON object")
    return content


def _file_hash(path: Path) -> str:
    """SHA-256 of a file, hashed once for each (path, size, time of change)."""
    path = path.resolve()
    try:
        state = path.stat()
        key = {"size": state.st_size, "mtime_ns": state.st_mtime_ns}
        store = models_dir() / "fingerprints.json"
        known = _known_hashes(store)
        entry = known.get(str(path))
        if isinstance(entry, dict) and {**key, "sha256": entry.get("sha256")} == entry:
            return str(entry["sha256"])
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise ModelSourceError(f"cannot read {path}: {error.strerror}") from error
    # Read again: another process may have added its own meanwhile. Where it cannot be written,
    # the next time is only slower.
    with suppress(OutputError, DiskFull):
        write_json(store, {**_known_hashes(store), str(path): {**key, "sha256": digest}})
    return digest


def _known_hashes(store: Path) -> dict[str, Any]:
    try:
        content = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a cache: absent or damaged means hashing again
    return content if isinstance(content, dict) else {}
