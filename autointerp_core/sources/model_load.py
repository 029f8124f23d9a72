"""Loading as much of a model as is needed.

For extraction the first blocks of the text model only; for logits the last norm and the
unembedding only; for labels the whole model. No more than that is kept in memory, and where
transformers allows it no more is read from disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import HookError, ModelSourceError
from autointerp_core.sources.hooks import EMBED, HookPoint
from autointerp_core.sources.hub import one_line
from autointerp_core.sources.model_files import ModelConfig, weight_files, weights_folder
from autointerp_core.sources.model_run import TruncatedModel

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = [
    "TruncatedModel",
    "find_hook",
    "load_chat_model",
    "load_head",
    "load_truncated",
    "load_whole",
]

# What a decoder calls the norm before the unembedding; a norm that is None is left out (OPT).
_FINAL_NORMS = (
    "norm",
    "ln_f",
    "final_layer_norm",
    "final_layernorm",
    "norm_f",
    "final_norm",  # RecurrentGemma
    "embedding_norm",  # LFM2
    "layer_norm",  # BioGPT
    "ln_out",  # RWKV
)
# Each block ends with its norm.
_NO_FINAL_NORM = ("openai-gpt",)
# How a multimodal checkpoint's names become those of its text model alone.
_TEXT_ONLY = {
    r"^model\.language_model\.": "model.",
    r"^language_model\.model\.": "model.",
    r"^language_model\.lm_head": "lm_head",
}
# Gemma 3n and 4: a row or column for every layer, layer after layer.
_BY_LAYER = re.compile(r"(?:embed_tokens_per_layer|per_layer_model_projection)\.weight$")


def load_truncated(
    config: ModelConfig, n_blocks: int, dtype: torch.dtype, device: torch.device
) -> TruncatedModel:
    """Load the first ``n_blocks`` blocks of the text model; later ones are never kept.

    Where transformers cannot build the shortened model, the whole one is read and cut.

    Raises:
        ModelSourceError: weights missing, damaged, or of a model that cannot be run.
        HookError: the model has fewer blocks.
    """
    if n_blocks > config.n_layers:
        raise HookError(f"{config.name} has {config.n_layers} layers, not {n_blocks}")
    from transformers import AutoModel

    kept = max(n_blocks, 1)
    model = _decoder(_load(AutoModel, config, kept, dtype))
    blocks = find_blocks(model, kept, config.name)
    return TruncatedModel(model.to(device), blocks, device, config)


def find_hook(config: ModelConfig, hook: HookPoint) -> int | None:
    """Check that a model has a hook, without its weights.

    Returns:
        How wide vectors there are; None where the modules do not say.

    Raises:
        HookError: it has none of that kind in that layer.
    """
    import torch
    from transformers import AutoModel

    if hook.kind in ("resid_pre", "resid_post", EMBED):
        return config.d_model
    try:
        with _quiet(), torch.device("meta"):
            text = _hf_config(weights_folder(config), hook.blocks_needed, config).get_text_config()
            model = _decoder(AutoModel.from_config(text))
            blocks = find_blocks(model, hook.blocks_needed, config.name)
    # Not every model can be built short or empty; then loading it tells.
    except Exception:
        return None
    skeleton = TruncatedModel(model, blocks, torch.device("meta"), config)
    width = skeleton.width(hook)
    return config.hook_width(hook) if width is None else width


def load_head(config: ModelConfig, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """The final norm and the unembedding, in float32, without a single block.

    Returns:
        A function from residual vectors [n, d_model] to logits [n, vocab]. Gemma's soft cap on
        logits and Cohere's scale, which change no ranking, are not applied.

    Raises:
        ModelSourceError: as :func:`load_truncated`; or this architecture's final norm is unknown.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = _load(AutoModelForCausalLM, config, 0, torch.float32)
    unembed = model.get_output_embeddings()
    decoder = _decoder(model)
    names = [name for name in _FINAL_NORMS if hasattr(decoder, name)]
    normed_inside = model.config.model_type in _NO_FINAL_NORM
    if unembed is None or not (names or normed_inside):
        raise ModelSourceError(
            f"{config.name}: cannot find the final norm and unembedding of {type(model).__name__}; "
            "top and bottom logits are not available for it"
        )
    # OPT has, by size, no norm, or a projection between norm and unembedding.
    norm = getattr(decoder, names[0]) if names else None
    steps = [norm, getattr(decoder, "project_out", None), unembed]
    modules = [step.to(device) for step in steps if step is not None]

    def head(vectors: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            value = vectors.to(device, torch.float32)
            for module in modules:
                value = module(value)
        return value

    return head


def load_chat_model(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Any:
    """The whole causal language model, for generation.

    Raises:
        ModelSourceError: as :func:`load_truncated`.
    """
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM, config, None, dtype).to(device)


def load_whole(
    config: ModelConfig, dtype: torch.dtype, device: torch.device
) -> tuple[Any, TruncatedModel]:
    """The whole causal language model, and its blocks as :func:`load_truncated` gives them.

    Both are the same modules: what is hooked in one runs in the other.

    Raises:
        ModelSourceError: as :func:`load_truncated`.
    """
    model = load_chat_model(config, device, dtype)
    decoder = _decoder(model)
    blocks = find_blocks(decoder, config.n_layers, config.name)
    return model, TruncatedModel(decoder, blocks, device, config)


def find_blocks(decoder: Any, n_blocks: int, name: str) -> nn.ModuleList:
    """The list of transformer blocks: the outermost ModuleList of that length."""
    from torch import nn

    found = [
        (path.count("."), module)
        for path, module in decoder.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == n_blocks
    ]
    if not found:
        raise ModelSourceError(f"{name}: cannot find the blocks of {type(decoder).__name__}")
    return min(found, key=lambda item: item[0])[1]


def _load(auto_class: Any, config: ModelConfig, n_blocks: int | None, dtype: torch.dtype) -> Any:
    import torch

    folder = weights_folder(config)
    weight_files(folder, config.gguf_file)
    try:
        with _quiet():
            model = _first_that_loads(auto_class, folder, config, n_blocks, dtype)
    except (torch.OutOfMemoryError, ModelSourceError):
        raise
    # transformers, safetensors and the unpickler each have their own; one line says which.
    except Exception as error:
        raise ModelSourceError(_why(error, config)) from error
    return model.eval().requires_grad_(False)


def _first_that_loads(
    auto_class: Any, folder: Any, config: ModelConfig, n_blocks: int | None, dtype: torch.dtype
) -> Any:
    """The text model alone, shortened, if that can be had; else the closest to it."""
    import torch

    whole = _hf_config(folder, None, config)
    wrapped = whole.get_text_config() is not whole
    asked = n_blocks if n_blocks != whole.get_text_config().num_hidden_layers else None
    ways = [(wrapped, asked)]
    if wrapped:
        ways.append((False, asked))
    if asked is not None:
        ways += [(text_only, None) for text_only, _ in ways]
    failures: list[Exception] = []
    for text_only, n in ways:
        try:
            model = _from_pretrained(auto_class, folder, config, n, dtype, text_only)
        except torch.OutOfMemoryError:
            raise
        # What a class that does not fit raises differs by class; the first is the one to tell.
        except Exception as error:
            failures.append(error)
            if not _may_go_another_way(error):
                break
            continue
        if n is None and n_blocks is not None and asked is not None:
            del find_blocks(_decoder(model), config.n_layers, config.name)[n_blocks:]
        return model
    raise failures[0]


def _from_pretrained(
    auto_class: Any,
    folder: Any,
    config: ModelConfig,
    n_blocks: int | None,
    dtype: torch.dtype,
    text_only: bool,
) -> Any:
    from transformers import AutoModelForImageTextToText

    hf_config = _hf_config(folder, n_blocks, config)
    text = hf_config.get_text_config()
    wrapper = hf_config is not text and not text_only
    if wrapper and auto_class.__name__ == "AutoModelForCausalLM" and not _knows(auto_class, folder):
        auto_class = AutoModelForImageTextToText
    options: dict[str, Any] = {
        "config": text if text_only else hf_config,
        "dtype": dtype,
        "output_loading_info": True,
        **({"gguf_file": config.gguf_file} if config.gguf_file else {}),
        **({"key_mapping": dict(_TEXT_ONLY)} if text_only else {}),
        # Tensors with a part for every layer are cut to fit below.
        **({"ignore_mismatched_sizes": True} if n_blocks is not None else {}),
    }
    # transformers' SDPA path leaves out Gemma 2's soft cap on attention scores, which changes
    # every activation after the first block.
    capped = getattr(text, "attn_logit_softcapping", None) is not None
    try:
        model, report = auto_class.from_pretrained(
            folder, attn_implementation="eager" if capped else "sdpa", **options
        )
    except ValueError as error:
        if "attention" not in str(error):
            raise
        # GPT-OSS, Bloom, Mamba … have no SDPA: whatever they do instead.
        model, report = auto_class.from_pretrained(folder, **options)
    if missing := sorted(report["missing_keys"]):
        raise ModelSourceError(
            f"the weights of {config.name} lack {missing[0]}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}: "
            "they are incomplete, or config.json is another model's"
        )
    _cut_by_layer(model, folder, report.get("mismatched_keys") or (), config)
    return model


def _cut_by_layer(model: Any, folder: Any, mismatched: Any, config: ModelConfig) -> None:
    """Fill tensors that hold a part for every layer with the parts of the layers kept."""
    import torch
    from safetensors import safe_open

    for entry in mismatched:
        name = entry[0]
        match = _BY_LAYER.search(name)
        files = [path for path in weight_files(folder) if path.suffix == ".safetensors"]
        if match is None or not files:
            shapes = " and ".join(str(list(shape)) for shape in entry[1:3])
            raise ModelSourceError(
                f"weights and config.json of {config.name} disagree: {name} is {shapes}"
            )
        target = model.get_parameter(name)
        for path in files:
            with safe_open(path, framework="pt") as handle:
                keys = [key for key in list(handle.keys()) if key.endswith(match[0])]
                for key in keys:
                    rows, columns = target.shape
                    with torch.no_grad():
                        target.copy_(handle.get_slice(key)[:rows, :columns])


def _hf_config(folder: Any, n_blocks: int | None, source: ModelConfig) -> Any:
    from transformers import AutoConfig

    gguf = {"gguf_file": source.gguf_file} if source.gguf_file else {}
    config = AutoConfig.from_pretrained(folder, **gguf)
    text = config.get_text_config()
    total = text.num_hidden_layers
    if n_blocks is None or n_blocks == total:
        return config
    # Gemma 3n and 4: the last layers use the keys and values of earlier ones.
    if shared := getattr(text, "num_kv_shared_layers", 0) or 0:
        text.num_kv_shared_layers = max(0, n_blocks - (total - shared))
    # layer_types, no_rope_layers and the like: one entry a layer.
    for key, value in list(vars(text).items()):
        if isinstance(value, list) and len(value) == total:
            setattr(text, key, value[:n_blocks])
    text.num_hidden_layers = n_blocks
    return config


def _knows(auto_class: Any, folder: Any) -> bool:
    from transformers import AutoConfig

    return type(AutoConfig.from_pretrained(folder)) in auto_class._model_mapping


def _may_go_another_way(error: Exception) -> bool:
    """Whether another class or the whole model may load where this did not."""
    import pickle

    from safetensors import SafetensorError

    if isinstance(error, pickle.UnpicklingError | SafetensorError | OSError):
        return False
    return "weights_only" not in str(error) and "safetensors" not in str(error).lower()


def _why(error: Exception, config: ModelConfig) -> str:
    import pickle

    from safetensors import SafetensorError

    name = config.name
    said = f"{type(error).__name__}: {one_line(error)}"
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return (
            f"{name} has pickle weights (.bin) that would have to run code to load: refused; "
            "convert them to safetensors"
        )
    if isinstance(error, SafetensorError) or "safetensors" in str(error).lower():
        return f"the weights of {name} are damaged or incomplete ({said}); download them again"
    return f"cannot load the model {name}: {said}"


def _decoder(model: Any) -> Any:
    """The text model inside a wrapper, a head or both; the model itself where it is that."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    decoder = decoder if decoder is not None else model.base_model
    # Llama 4's names its text model otherwise than its own prefix says.
    inner = getattr(model, "model", None)
    return (
        inner if decoder is model and inner is not None and hasattr(model, "lm_head") else decoder
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers' loading reports and bars: the dropped blocks are meant to be dropped."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
