"""What a layout is: a way of laying out one or several SAEs in a folder.

A layout recognises its own folders, reads configs without weights, and gives the weights
under SAELens' names. It finds nothing and downloads nothing: ``sae_files`` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.sae_config import HookNames, SAEConfig

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Place:
    """One SAE on disk."""

    layout: str
    folder: Path
    entry: str = ""
    """The file, where one folder holds several SAEs; empty where the folder is the SAE."""
    around: tuple[str, ...] = ()
    """Names around it, nearest first: folders above, the hub repository. Some layouts say the
    model, the hook or k only there."""

    @property
    def path(self) -> Path:
        return self.folder / self.entry if self.entry else self.folder


@dataclass(frozen=True)
class Weights:
    """An SAE in SAELens' terms: which class, with which switches and tensors."""

    architecture: str
    """A key of SAELens' registry."""
    state: dict[str, torch.Tensor]
    """Float32, under SAELens' names and shapes."""
    switches: dict[str, Any] = field(default_factory=dict)
    """Further fields of SAELens' config class (``k``, ``apply_b_dec_to_input`` …)."""
    activation: torch.nn.Module | None = None
    """Takes the place of the class's activation function, for what SAELens has no class for."""
    skip: torch.Tensor | None = None
    """``W_skip`` [d_out, d_in] of an SAE whose class has none."""


class Layout(Protocol):
    """One layout. Adding one is a module of this package and a line in its registry."""

    name: str
    files: str
    """What marks it, to be read by people: ``cfg.json + sae_weights.safetensors``."""

    config_reads_weights: bool
    """Whether ``config`` needs the weights' header: they must be there first."""

    def entries(self, folder: Path) -> list[str]:
        """The SAEs that lie directly in ``folder``: file names, or ``[""]`` for the folder."""

    def patterns(self, place: Place) -> list[str]:
        """File patterns inside ``place.folder`` that hold the weights, preferred first."""

    def hooks(self, place: Place) -> HookNames:
        """What the files say about where it reads.

        Raises:
            SAESourceError: the config cannot be read.
        """

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        """Read the config; weights' headers at most.

        Raises:
            SAESourceError: a value is missing, impossible, or means an SAE that cannot be used.
            HookError: it predicts a place that is no hook point.
        """

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        """Read the weights.

        Raises:
            SAESourceError: missing, damaged, not finite, or not what the config says.
        """
