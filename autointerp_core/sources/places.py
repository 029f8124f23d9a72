"""Where a family of models keeps each hook: TransformerLens' meaning, Hugging Face's modules.

TransformerLens describes a hundred architectures by adapters: which module of a block is
``mlp``, which norm stands before or after it, what ``hook_mlp_out`` is an alias of. That
description is read here without building a bridge, so a hook becomes the input or output of a
plain Hugging Face module, read by a module hook at full speed.

Does not: run anything, or know a hook that is no module's input or output, apart from two that
can be computed from one (a norm before its weight; an output the block scales before adding).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import HookError
from autointerp_core.sources.hooks import HOOK_KINDS, HookPoint
from autointerp_core.sources.hub import one_line
from autointerp_core.sources.model_files import ModelConfig, weights_folder

if TYPE_CHECKING:
    import torch

INPUT = "input"
OUTPUT = "output"
_DEFAULT_EPSILON = 1e-5
# Families that TransformerLens does not list, whose blocks are built and named like those of one
# that it does (each has a row in the tests, against brute force).
_BUILT_LIKE = {
    "ministral": "MistralForCausalLM",
    "helium": "LlamaForCausalLM",
    "diffllama": "LlamaForCausalLM",
    "persimmon": "StableLmForCausalLM",
    "phimoe": "MixtralForCausalLM",
    "gemma3n_text": "Gemma3nForConditionalGeneration",
}


@dataclass(frozen=True)
class Place:
    """A module's input or output inside a block, and what to make of it."""

    path: str
    """Module path inside the block; empty for the block itself."""
    side: str
    """``"input"`` or ``"output"``."""
    scale: float = 1.0
    """What the block multiplies it with before adding it to the residual stream."""
    normalized: bool = False
    """Take the norm of it, without the module's weight and bias."""

    def module_in(self, block: Any) -> Any:
        """The module, or None where this block has none of that name."""
        module = block
        for part in filter(None, self.path.split(".")):
            module = getattr(module, part, None)
        return module

    def read(self, value: torch.Tensor, module: Any) -> torch.Tensor:
        """A float32 copy of ``value`` (some blocks add to it in place later)."""
        import torch

        # Reduced precision: the norm is taken in float32, as the models themselves do.
        x = value.to(torch.float32, copy=True)
        if self.normalized:
            x = _normalized(x, module)
        return x * self.scale if self.scale != 1.0 else x


class BlockMap:
    """Places of the hooks of one architecture's blocks."""

    def __init__(self, block: Any, architecture: str) -> None:
        """``block``: the adapter's description of a block (TransformerLens' ``BlockBridge``)."""
        self._block = block
        self.architecture = architecture

    def place(self, hook: HookPoint, block: Any) -> Place:
        """Where ``hook`` is read in ``block``, Hugging Face's module.

        Raises:
            HookError: this architecture, or this block of it, has no such hook.
        """
        found = self._place(hook.kind, block)
        if found is None:
            known = [kind for kind in HOOK_KINDS if self._place(kind, block) is not None]
            names = ", ".join(HOOK_KINDS[kind] for kind in ("resid_pre", "resid_post"))
            more = "".join(f", {HOOK_KINDS[kind]}" for kind in known if "resid_p" not in kind)
            raise HookError(
                f"{hook.name} does not exist in {self.architecture}; block {hook.layer} has "
                f"{names}{more}, and its modules' inputs and outputs, such as "
                f"layers.{hook.layer}.{next(iter(block._modules), 'mlp')}.output"
            )
        return found

    def _place(self, kind: str, block: Any) -> Place | None:
        name = HOOK_KINDS[kind]
        place = _mlp_in(self._block) if kind == "mlp_in" else _resolve(self._block, "", name, block)
        # A mixture of experts has no one place behind its activation function.
        if place is not None and kind == "mlp.hook_post" and place.side == OUTPUT:
            return None
        return place if place is not None and place.module_in(block) is not None else None


def block_map(config: ModelConfig) -> BlockMap:
    """TransformerLens' description of this model's blocks.

    Raises:
        HookError: TransformerLens does not know the architecture.
    """
    import torch
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
    from transformer_lens.model_bridge.sources import _bridge_builder
    from transformer_lens.model_bridge.sources.transformers import (
        determine_architecture_from_hf_config,
    )
    from transformers import AutoConfig

    gguf = {"gguf_file": config.gguf_file} if config.gguf_file else {}
    whole = AutoConfig.from_pretrained(weights_folder(config), **gguf)
    said = ""
    for candidate in (whole, whole.get_text_config()):
        try:
            architecture = determine_architecture_from_hf_config(_with_architecture(candidate))
            described = _bridge_builder.build_bridge_config_from_hf(
                candidate, architecture, config.name, torch.float32
            )
            adapter = _described(SUPPORTED_ARCHITECTURES[architecture])(described)
            return BlockMap(adapter.component_mapping["blocks"], architecture)
        # Adapters check in their own ways (ValueError, KeyError, AttributeError, ImportError).
        except Exception as error:
            said = said or one_line(error)
    raise HookError(
        f"TransformerLens does not know {config.name} ({whole.model_type}), so only the residual "
        "stream (hook_resid_pre, hook_resid_post), hook_embed and module names such as "
        f"layers.3.mlp.output can be read ({said[:120]})"
    )


def _described(adapter: Any) -> Any:
    """The adapter without its demand for libraries that only images and sound need."""
    return type(adapter.__name__, (adapter,), {"required_libraries": []})


def _with_architecture(config: Any) -> Any:
    """A text model's config inside a wrapper, or a GGUF's, does not say its class."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if like := _BUILT_LIKE.get(config.model_type):
        config.architectures = [like]
    elif not config.architectures and config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        config.architectures = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config.model_type]]
    return config


def _resolve(component: Any, path: str, name: str, block: Any) -> Place | None:
    """Follow a hook's name, and the aliases it stands for, down to a module."""
    first, _, rest = name.partition(".")
    if rest:
        inner = component.submodules.get(first)
        if inner is None and first == "attn":
            inner = component.submodules.get("self_attn")  # Gemma 3n's description
        if inner is None:
            return None
        return _resolve(inner, _join(path, inner.name), rest, block)
    for alias in _aliases(component, path, first, block):
        if (place := _resolve(component, path, alias, block)) is not None:
            return place
    if first in ("hook_attn_out", "hook_mlp_out"):
        return _scaled(component, path, first)
    if first == "hook_in" and component.name is None:
        # No module holds this MLP (OPT): it begins with its first one.
        return (
            _resolve(component, path, "in.hook_in", block) if "in" in component.submodules else None
        )
    sides = {"hook_in": INPUT, "hook_out": OUTPUT}
    if first in sides and component.name is not None:
        return Place(path, sides[first])
    if first == "hook_normalized" and hasattr(component, "hook_normalized"):
        return Place(path, INPUT, normalized=True)
    return None


def _aliases(component: Any, path: str, name: str, block: Any) -> list[str]:
    alias = component.hook_aliases.get(name, [])
    aliases = [alias] if isinstance(alias, str) else list(alias)
    # A dense layer among layers of experts has an ordinary MLP under other names.
    dense = component.submodules.get("dense_out")
    if name == "hook_post" and dense is not None:
        place = Place(_join(path, dense.name), INPUT)
        if place.module_in(block) is not None:
            return ["dense_out.hook_in"]
    return [other for other in aliases if other != name]


def _scaled(component: Any, path: str, name: str) -> Place | None:
    """What a block multiplies before adding it (Granite): no module gives that itself."""
    scale = getattr(component, "residual_contribution_scale", None)
    which = "scaled_attn_submodule" if name == "hook_attn_out" else "scaled_mlp_submodule"
    inner = component.submodules.get(getattr(component, which, None) or "")
    if scale is None or inner is None or inner.name is None:
        return None
    return replace(Place(_join(path, inner.name), OUTPUT), scale=float(scale))


def _mlp_in(block: Any) -> Place | None:
    """``hook_mlp_in``: the residual stream as the MLP's branch takes it, before any norm."""
    from transformer_lens.model_bridge.generalized_components.block import ParallelBlockBridge

    inner = block.submodules
    if getattr(block, "mlp_reads_resid_directly", False):
        return Place(inner["mlp"].name, INPUT)
    if "ln2" in inner:
        return Place(inner["ln2"].name, INPUT)
    return Place("", INPUT) if isinstance(block, ParallelBlockBridge) else None


def _join(path: str, name: str | None) -> str:
    return ".".join(part for part in (path, name) if part)


def _normalized(x: torch.Tensor, norm: Any) -> torch.Tensor:
    """LayerNorm or RMSNorm, whichever ``norm`` is, before its weight and bias."""
    if "rms" not in type(norm).__name__.lower():
        x = x - x.mean(dim=-1, keepdim=True)
    epsilon = getattr(norm, "eps", getattr(norm, "variance_epsilon", _DEFAULT_EPSILON))
    return x * (x.pow(2).mean(dim=-1, keepdim=True) + epsilon).rsqrt()
