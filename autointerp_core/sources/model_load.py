"""Loading as much of a model as is needed, and running it up to a hook.

For extraction the first blocks only; for logits the last norm and the unembedding only; for
labels the whole model. Never more than that is read from disk or held in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import HookError, ModelSourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.hub import one_line
from autointerp_core.sources.model_files import ModelConfig, weight_files, weights_folder

if TYPE_CHECKING:
    import torch
    from torch import nn

_FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "norm_f")
# The block whose "output" is what enters block 0.
_INPUT = -1


class _Stop(Exception):
    """Raised by the last hook needed: nothing after it has to run."""


class TruncatedModel:
    """The first blocks of a model, as Hugging Face implements them.

    Values are taken at block borders, before any final norm. ``resid_pre`` of a block is the
    output of the block before it, so a hook needs no block beyond its own.
    """

    def __init__(self, model: nn.Module, blocks: nn.ModuleList, device: torch.device) -> None:
        self._model = model
        self._blocks = blocks
        self.device = device

    @property
    def n_blocks(self) -> int:
        """How many blocks are loaded."""
        return len(self._blocks)

    def run(self, ids: torch.Tensor, hooks: Sequence[HookPoint]) -> dict[HookPoint, torch.Tensor]:
        """Residual vectors at each hook.

        Args:
            ids: token ids [b, s], padded on the right with any valid id.
            hooks: at least one.

        Returns:
            For each hook a float32 tensor [b, s, d_model] on the model's device. What stands at
            padded positions means nothing.

        Raises:
            HookError: a hook needs more blocks than are loaded.
        """
        import torch

        wanted: dict[int, list[HookPoint]] = {}
        for hook in hooks:
            if hook.blocks_needed > self.n_blocks:
                raise HookError(f"{hook.name} needs more than the {self.n_blocks} blocks loaded")
            wanted.setdefault(hook.blocks_needed - 1, []).append(hook)
        last = max(wanted)
        captured: dict[HookPoint, torch.Tensor] = {}

        def keep(index: int, value: Any) -> None:
            hidden = value[0] if isinstance(value, tuple) else value
            for hook in wanted[index]:
                # A copy: some blocks add to their input in place.
                captured[hook] = hidden.to(torch.float32, copy=True)
            if index == last:
                raise _Stop

        def on_input(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            keep(_INPUT, args[0] if args else kwargs["hidden_states"])

        def on_output(index: int) -> Callable[[nn.Module, Any, Any], None]:
            return lambda _module, _args, output: keep(index, output)

        handles = [
            self._blocks[0].register_forward_pre_hook(on_input, with_kwargs=True)
            if index == _INPUT
            else self._blocks[index].register_forward_hook(on_output(index))
            for index in wanted
        ]
        try:
            with torch.inference_mode():
                # No attention mask: attention is causal and padding stands on the right, so no
                # real token ever sees a padded one. Without a mask SDPA takes its fastest path.
                self._model(input_ids=ids.to(self.device), use_cache=False)
        except _Stop:
            return captured
        finally:
            for handle in handles:
                handle.remove()
        raise ModelSourceError("the model ended before the hook: its blocks are not run in order")

    def drop_blocks(self, n: int) -> None:
        """Keep only the first ``n`` blocks (at least one stays: its input is a hook as well)."""
        del self._blocks[max(n, 1) :]


def load_truncated(
    config: ModelConfig, n_blocks: int, dtype: torch.dtype, device: torch.device
) -> TruncatedModel:
    """Load the first ``n_blocks`` blocks; later ones are never read.

    Raises:
        ModelSourceError: weights missing, damaged, or of a model that cannot be run.
        HookError: the model has fewer blocks.
    """
    if n_blocks > config.n_layers:
        raise HookError(f"{config.name} has {config.n_layers} layers, not {n_blocks}")
    from transformers import AutoModel

    kept = max(n_blocks, 1)
    model = _load(AutoModel, config, kept, dtype)
    blocks = _blocks(model, kept, config.name)
    return TruncatedModel(model.to(device), blocks, device)


def load_head(config: ModelConfig, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """The final norm and the unembedding, in float32, without a single block.

    Returns:
        A function from residual vectors [n, d_model] to logits [n, vocab]. Gemma's soft cap on
        logits, which changes no ranking, is not applied.

    Raises:
        ModelSourceError: as :func:`load_truncated`; or this architecture's final norm is unknown.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = _load(AutoModelForCausalLM, config, 0, torch.float32)
    unembed = model.get_output_embeddings()
    decoder = _decoder(model)
    norm = next((getattr(decoder, name) for name in _FINAL_NORMS if hasattr(decoder, name)), None)
    if norm is None or unembed is None:
        raise ModelSourceError(
            f"{config.name}: cannot find the final norm and unembedding of {type(model).__name__}; "
            "top and bottom logits are not available for it"
        )
    norm, unembed = norm.to(device), unembed.to(device)

    def head(vectors: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = unembed(norm(vectors.to(device, torch.float32)))
        return logits

    return head


def load_chat_model(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Any:
    """The whole causal language model, for generation.

    Raises:
        ModelSourceError: as :func:`load_truncated`.
    """
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM, config, None, dtype).to(device)


def _load(auto_class: Any, config: ModelConfig, n_blocks: int | None, dtype: torch.dtype) -> Any:
    import torch

    folder = weights_folder(config)
    weight_files(folder, config.gguf_file)
    gguf = {"gguf_file": config.gguf_file} if config.gguf_file else {}
    try:
        with _quiet():
            hf_config = _hf_config(folder, n_blocks, gguf)
            text = hf_config.get_text_config()
            # transformers' SDPA path leaves out Gemma 2's soft cap on attention scores, which
            # changes every activation after the first block.
            capped = getattr(text, "attn_logit_softcapping", None) is not None
            model, report = auto_class.from_pretrained(
                folder,
                config=hf_config,
                dtype=dtype,
                attn_implementation="eager" if capped else "sdpa",
                output_loading_info=True,
                **gguf,
            )
    except torch.OutOfMemoryError:
        raise
    # transformers, safetensors and the unpickler each have their own; one line says which.
    except Exception as error:
        raise ModelSourceError(_why(error, config)) from error
    if missing := sorted(report["missing_keys"]):
        raise ModelSourceError(
            f"the weights of {config.name} lack {missing[0]}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}: "
            "they are incomplete, or config.json is another model's"
        )
    return model.eval().requires_grad_(False)


def _hf_config(folder: Any, n_blocks: int | None, gguf: dict[str, str]) -> Any:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, **gguf)
    text = config.get_text_config()
    total = text.num_hidden_layers
    if n_blocks is None or n_blocks == total:
        return config
    # layer_types, no_rope_layers and the like: one entry a layer.
    for key, value in list(vars(text).items()):
        if isinstance(value, list) and len(value) == total:
            setattr(text, key, value[:n_blocks])
    text.num_hidden_layers = n_blocks
    return config


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
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    return decoder if decoder is not None else model.base_model


def _blocks(model: Any, n_blocks: int, name: str) -> nn.ModuleList:
    """The list of transformer blocks: the outermost ModuleList of that length."""
    from torch import nn

    found = [
        (path.count("."), module)
        for path, module in _decoder(model).named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == n_blocks
    ]
    if not found:
        raise ModelSourceError(f"{name}: cannot find the blocks of {type(model).__name__}")
    return min(found, key=lambda item: item[0])[1]


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
