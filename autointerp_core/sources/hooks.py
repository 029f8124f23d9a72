"""Hook points: where in the model an SAE reads or writes, under TransformerLens' names.

A name says what is meant, not where a given family keeps it; ``places`` finds that. Module
names as Hugging Face has them (``layers.9.mlp``, ``model.layers.9.self_attn.o_proj.input``) are
understood too: the few that mean the same in every family become TransformerLens names, the
others stay module places, since what "the output of ``mlp``" is depends on the family.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType

from autointerp_core.errors import HookError

HOOK_KINDS = MappingProxyType(
    {
        "resid_pre": "hook_resid_pre",
        "resid_mid": "hook_resid_mid",
        "resid_post": "hook_resid_post",
        "attn_out": "hook_attn_out",
        "attn.z": "attn.hook_z",
        "attn.hook_out": "attn.hook_out",
        "mlp_in": "hook_mlp_in",
        "ln1.normalized": "ln1.hook_normalized",
        "ln2.normalized": "ln2.hook_normalized",
        "mlp.hook_in": "mlp.hook_in",
        "mlp.hook_post": "mlp.hook_post",
        "mlp.hook_out": "mlp.hook_out",
        "mlp_out": "hook_mlp_out",
    }
)
"""Kinds of hook inside a block, each with TransformerLens' name for it."""
EMBED = "embed"
"""The token embedding, before any position is added: the one hook outside the blocks."""
MODULE = "module"
"""A module's input or output, by Hugging Face's name inside the block."""

_KIND_OF = {name: kind for kind, name in HOOK_KINDS.items()}
# TransformerBridge's own names for a block's input and output, beside the old ones.
_KIND_OF |= {"hook_in": "resid_pre", "hook_out": "resid_post"}

# Module places that are the same hook in every family that has a module of that name.
_SAME_EVERYWHERE = {
    "input": "resid_pre",
    "output": "resid_post",
    "self_attn.o_proj.input": "attn.z",
    "attn.c_proj.input": "attn.z",
    "attention.dense.input": "attn.z",
    "mlp.input": "mlp.hook_in",
    "pre_feedforward_layernorm.output": "mlp.hook_in",
    "mlp.down_proj.input": "mlp.hook_post",
    "mlp.c_proj.input": "mlp.hook_post",
    "mlp.dense_4h_to_h.input": "mlp.hook_post",
    "post_feedforward_layernorm.output": "mlp_out",
}

_STREAM = frozenset(
    {
        "resid_pre",
        "resid_mid",
        "resid_post",
        "attn_out",
        "attn.hook_out",
        "mlp_in",
        "mlp.hook_out",
        "mlp_out",
        EMBED,
    }
)
_STREAM_MODULES = frozenset(
    f"{name}.output"
    for name in (
        "self_attn",
        "attn",
        "attention",
        "self_attention",
        "mlp",
        "feed_forward",
        "ffn",
        "block_sparse_moe",
    )
)
_TRANSFORMER_LENS = re.compile(r"blocks\.(\d+)\.([\w.]+)")
_ROOTS = r"(?:(?:model|transformer|gpt_neox|language_model|base_model|decoder|backbone)\.)*"
_MODULE = re.compile(_ROOTS + r"(?:layers|h)\.(\d+)((?:\.\w+)*)")
_EMBEDDING = re.compile(
    r"hook_embed|embed\.hook_out|"
    + _ROOTS
    + r"(?:embed_tokens|wte|embed_in|word_embeddings)(?:\.output)?"
)
# A real model has far fewer; a longer number is a typing mistake, not a layer.
_MAX_DIGITS = 5


@dataclass(frozen=True)
class HookPoint:
    """A place in a model where vectors are read.

    Attributes:
        layer: index of the transformer block, from 0; None for the embedding.
        kind: one of :data:`HOOK_KINDS`, :data:`EMBED` or :data:`MODULE`.
        module: with :data:`MODULE` only: module path inside the block and side, such as
            ``"mlp.output"``.
    """

    layer: int | None
    kind: str
    module: str = ""

    def __post_init__(self) -> None:
        inside = self.layer is not None and self.layer >= 0
        named = self.kind == MODULE and self.module.endswith((".input", ".output"))
        known = (self.kind in HOOK_KINDS and not self.module) or named
        if self.kind == EMBED and self.layer is None and not self.module:
            return
        if not (inside and known):
            raise HookError(
                f"no such hook point: layer {self.layer}, {self.kind!r} {self.module}".rstrip()
                + f"; expected a layer from 0 and one of {', '.join(HOOK_KINDS)}"
            )

    @property
    def name(self) -> str:
        """TransformerLens' name, e.g. ``blocks.9.hook_resid_post``; else the module's place."""
        if self.kind == EMBED:
            return "hook_embed"
        if self.kind == MODULE:
            return f"layers.{self.layer}.{self.module}"
        return f"blocks.{self.layer}.{HOOK_KINDS[self.kind]}"

    @property
    def slug(self) -> str:
        """Short, for names of studies: ``l9-resid-post``."""
        what = self.module if self.kind == MODULE else self.kind
        short = re.sub(r"[^a-z0-9]+", "-", what.lower())
        return short if self.layer is None else f"l{self.layer}-{short}"

    @property
    def blocks_needed(self) -> int:
        """How many transformer blocks must be there for the value to be known."""
        if self.layer is None:
            return 0
        return self.layer if self.kind == "resid_pre" else self.layer + 1

    @classmethod
    def parse(cls, text: str, hf_hook_name: str | None = None) -> HookPoint:
        """Read a hook name: TransformerLens', or a module's with ``.input`` or ``.output``.

        A module's name alone means its output, as in sparsify.

        Args:
            hf_hook_name: where the SAE's config says which Hugging Face module was read, that
                decides: TransformerLens names in configs are at times only near the truth
                (Gemma Scope 2's ``hook_mlp_in`` is read behind the norm).

        Raises:
            HookError: it is no hook name, or of a hook that is not supported.
        """
        if hf_hook_name is not None and (place := _from_module(hf_hook_name.strip())):
            return place
        given = text.strip()
        if _EMBEDDING.fullmatch(given):
            return cls(None, EMBED)
        if place := _from_module(given):
            return place
        match = _TRANSFORMER_LENS.fullmatch(given)
        if match and len(match[1]) <= _MAX_DIGITS:
            if kind := _KIND_OF.get(match[2]):
                return cls(int(match[1]), kind)
            raise HookError(
                f"hook {given!r} is not supported; supported are hook_embed and, in a block, "
                f"{', '.join(HOOK_KINDS.values())}; or a module such as "
                f"layers.{match[1]}.mlp.output"
            )
        raise HookError(
            f"{given!r} is no hook point; expected one like blocks.19.hook_resid_post, "
            "blocks.19.hook_mlp_out or layers.19.mlp"
        )

    @property
    def adds_to_stream(self) -> bool:
        """Whether vectors here are, or are added to, the residual stream."""
        if self.kind == MODULE:
            return self.module in _STREAM_MODULES
        return self.kind in _STREAM

    @property
    def read_by_projection(self) -> bool:
        """Whether the module read here writes into the residual stream by its weights alone."""
        return self.kind in ("attn.z", "mlp.hook_post")

    def at(self, layer: int) -> HookPoint:
        """The same kind of hook in another block."""
        return HookPoint(layer, self.kind, self.module)

    def neighbours(self, n_layers: int) -> list[HookPoint]:
        """The same kind of hook one layer below and one above, where the model has them."""
        if self.layer is None:
            return []
        return [
            self.at(layer) for layer in (self.layer - 1, self.layer + 1) if 0 <= layer < n_layers
        ]

    def __str__(self) -> str:
        return self.name


def _from_module(text: str) -> HookPoint | None:
    if _EMBEDDING.fullmatch(text):
        return HookPoint(None, EMBED)
    match = _MODULE.fullmatch(text)
    if match is None or len(match[1]) > _MAX_DIGITS:
        return None
    layer, place = int(match[1]), match[2].lstrip(".")
    if place.rpartition(".")[2] not in ("input", "output"):
        place = f"{place}.output" if place else "output"
    if kind := _SAME_EVERYWHERE.get(place):
        return HookPoint(layer, kind)
    return HookPoint(layer, MODULE, place)
