"""Hook points: where in the model the SAE reads, under TransformerLens' names.

Only the residual stream at block borders is known here (``hook_resid_pre`` and
``hook_resid_post``); every other hook is refused by name rather than guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from autointerp_core.errors import HookError

KINDS = ("resid_pre", "resid_post")

# TransformerBridge's own names for a block's input and output, beside the old ones.
_BRIDGE_NAMES = {"in": "resid_pre", "out": "resid_post"}

_TRANSFORMER_LENS = re.compile(r"blocks\.(\d+)\.hook_(\w+)")
# What sparsify (and Hugging Face) call a block: its output is the residual after it.
_MODULE = re.compile(
    r"(?:(?:model|transformer|gpt_neox|language_model|base_model)\.)*(?:layers|h)\.(\d+)(?:\.output)?"
)
# A place inside a block.
_ELSEWHERE = re.compile(r"(?:\w+\.)*(?:blocks|layers|h)\.\d+\.(?!hook_resid_(?:pre|post)$)")
# A real model has far fewer; a longer number is a typing mistake, not a layer.
_MAX_DIGITS = 5


@dataclass(frozen=True, order=True)
class HookPoint:
    """A place in the residual stream.

    Attributes:
        layer: index of the transformer block, from 0.
        kind: ``"resid_pre"`` (what enters the block) or ``"resid_post"`` (what leaves it).
    """

    layer: int
    kind: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.layer < 0:
            raise HookError(
                f"no such hook point: layer {self.layer}, {self.kind!r}; "
                "expected a layer from 0 and resid_pre or resid_post"
            )

    @property
    def name(self) -> str:
        """TransformerLens' name, e.g. ``blocks.9.hook_resid_post``."""
        return f"blocks.{self.layer}.hook_{self.kind}"

    @property
    def blocks_needed(self) -> int:
        """How many transformer blocks must run before the value is known."""
        return self.layer + 1 if self.kind == "resid_post" else self.layer

    @classmethod
    def parse(cls, text: str) -> HookPoint:
        """Read a hook name; Hugging Face module names (``layers.9``) mean the block's output.

        Raises:
            HookError: it is no hook name, or a hook other than the residual stream's.
        """
        given = text.strip()
        match = _MODULE.fullmatch(given)
        kind = "resid_post"
        if match is None and (match := _TRANSFORMER_LENS.fullmatch(given)):
            kind = _BRIDGE_NAMES.get(match[2], match[2])
        if match and kind in KINDS and len(match[1]) <= _MAX_DIGITS:
            return cls(int(match[1]), kind)
        # hook_z, mlp, attn… are hooks all right, only not ours: say which ones are.
        if kind not in KINDS or _ELSEWHERE.match(given):
            raise HookError(
                f"hook {given!r} is not supported: only the residual stream is so far, "
                "blocks.N.hook_resid_pre and blocks.N.hook_resid_post"
            )
        raise HookError(
            f"{given!r} is no hook point; expected one like blocks.19.hook_resid_post "
            "or blocks.19.hook_resid_pre"
        )

    def neighbours(self, n_layers: int) -> list[HookPoint]:
        """The same kind of hook one layer below and one above, where the model has them."""
        return [
            HookPoint(layer, self.kind)
            for layer in (self.layer - 1, self.layer + 1)
            if 0 <= layer < n_layers
        ]

    def __str__(self) -> str:
        return self.name
