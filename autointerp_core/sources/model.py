"""Language models: the public face of model loading.

Importing this module, and inspecting a local model, imports neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autointerp_core.errors import ModelSourceError, ParameterError
from autointerp_core.sources.hub import one_line
from autointerp_core.sources.model_files import (
    ModelConfig,
    embedding_rows,
    inspect_model,
    model_fingerprint,
    weights_folder,
)
from autointerp_core.sources.model_load import (
    TruncatedModel,
    find_hook,
    load_chat_model,
    load_head,
    load_truncated,
    load_whole,
)

if TYPE_CHECKING:
    import torch

__all__ = [
    "DTYPES",
    "ModelConfig",
    "TruncatedModel",
    "embedding_rows",
    "find_hook",
    "inspect_model",
    "load_chat_model",
    "load_head",
    "load_tokenizer",
    "load_truncated",
    "load_whole",
    "model_fingerprint",
    "resolve_device",
    "resolve_dtype",
]

DTYPES = ("auto", "float32", "bfloat16", "float16")


def load_tokenizer(config: ModelConfig) -> Any:
    """The model's fast tokenizer (a slow one has no offsets into the text).

    Raises:
        ModelSourceError: there is none, or only a slow one.
    """
    from transformers import AutoTokenizer

    folder = weights_folder(config)
    gguf = {"gguf_file": config.gguf_file} if config.gguf_file else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **gguf)
    # Whatever a missing or damaged file leads to in transformers or tokenizers.
    except Exception as error:
        raise ModelSourceError(
            f"cannot load the tokenizer of {config.name}: {type(error).__name__}: "
            f"{one_line(error)}; the folder needs a tokenizer.json"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise ModelSourceError(
            f"{config.name} has only a slow tokenizer ({type(tokenizer).__name__}); "
            "a fast one (tokenizer.json) is needed"
        )
    return tokenizer


def resolve_device(device: str | None) -> torch.device:
    """The device to compute on: the one given, else CUDA where there is one, else the CPU.

    Raises:
        ParameterError: no such device, or not on this machine.
    """
    import torch

    given = "auto" if device is None else str(device).strip().lower()
    if given in ("auto", ""):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(given)
    except RuntimeError as error:
        raise ParameterError(
            f"unknown device {device!r}; expected cpu, cuda, cuda:N, mps or auto"
        ) from error
    if chosen.type == "cpu":
        return torch.device("cpu")
    if chosen.type == "mps" and torch.backends.mps.is_available():
        return chosen
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (chosen.index or 0) < count:
            return chosen
        there = f"this machine has {count}" if count else "this machine (or torch build) has none"
        raise ParameterError(f"device {device!r} asks for a CUDA GPU, but {there}; use cpu")
    raise ParameterError(f"device {device!r} is not available here; use cpu, cuda or cuda:N")


def resolve_dtype(dtype: str, config: ModelConfig, device: torch.device) -> torch.dtype:
    """The precision the model runs in; ``auto``: the checkpoint's on CUDA, else float32.

    Raises:
        ParameterError: not one of :data:`DTYPES`.
    """
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in DTYPES:
        raise ParameterError(f"unknown dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
    if dtype != "auto":
        return known[dtype]
    # A checkpoint in something else (float64, float8) has no faster path here.
    return known.get(config.dtype, torch.float32) if device.type == "cuda" else torch.float32
