"""What the writers of published layouts share: what is wanted, what is given back, weights."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

D_SAE = 64
K = 8


@dataclass(frozen=True)
class Published:
    """SAE files on disk, and what their publisher computes with them."""

    path: str
    sae_id: str | None
    encode: Callable[[Tensor], Tensor]
    """``x [n, d_in] -> acts [n, d_sae]``."""
    reconstruct: Callable[[Tensor], Tensor]
    """``x [n, d_in] -> [n, d_out]``."""


@dataclass(frozen=True)
class Wanted:
    """What a tiny SAE is made for."""

    layer: int
    d_in: int
    d_out: int
    reads: str
    """TransformerLens' name of the hook, without the block: ``hook_resid_post``."""
    predicts: str = "hook_mlp_out"
    d_sae: int = D_SAE
    k: int = K
    model: str = "tiny"
    scale: float = 1.0
    """About how large a component of the input is: thresholds and biases follow it."""
    seed: int = 0

    @property
    def hook_name(self) -> str:
        return "hook_embed" if self.reads == "hook_embed" else f"blocks.{self.layer}.{self.reads}"

    def tensors(self, *, transcoder: bool = False) -> dict[str, Tensor]:
        """Random weights that make roughly half of the latents' inputs positive."""
        random = torch.Generator().manual_seed(1000 * self.seed + self.layer)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=random)

        d_out = self.d_out if transcoder else self.d_in
        spread = math.sqrt(self.d_in)
        return {
            "W_enc": draw(self.d_in, self.d_sae) / spread,
            "b_enc": 0.1 * self.scale * draw(self.d_sae),
            # Norms are uneven on purpose: who uses them must be told from who does not.
            "W_dec": draw(self.d_sae, d_out) / math.sqrt(self.d_sae),
            "b_dec": 0.2 * self.scale * draw(d_out),
            "threshold": 0.3 * self.scale * draw(self.d_sae).abs(),
            "r_mag": 0.3 * draw(self.d_sae),
            "b_gate": 0.1 * self.scale * draw(self.d_sae),
            "b_mag": 0.1 * self.scale * draw(self.d_sae),
            "W_skip": draw(d_out, self.d_in) / spread,
        }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A JSON file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@cache
def reference(package: str, module: str) -> ModuleType:
    """A module of an oracle package, without the package's own imports.

    Their ``__init__`` files import trainers' needs (nnsight, MongoDB …) that no reference
    class uses.
    """
    for name in (package, *_bare(module)):
        if name in sys.modules:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(
                f"{name} is missing: pip install -r requirements-dev-nodeps.txt"
            )
        empty = ModuleType(name)
        empty.__path__ = list(spec.submodule_search_locations)
        empty.__spec__ = spec
        sys.modules[name] = empty
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def _bare(module: str) -> list[str]:
    parents = module.split(".")[:-1]
    return [".".join(parents[:n]) for n in range(2, len(parents) + 1)]


def jump_relu(pre: Tensor, threshold: Tensor) -> Tensor:
    """relu(pre) where pre is above its threshold: the rule of every JumpReLU SAE."""
    return functional.relu(pre) * (pre > threshold)


def top_k(pre: Tensor, k: int, by: Tensor | None = None) -> Tensor:
    """The k largest of each row (by other numbers, where given), the others zero."""
    at = (pre if by is None else by).topk(k, dim=-1).indices
    return torch.zeros_like(pre).scatter_(-1, at, pre.gather(-1, at))
