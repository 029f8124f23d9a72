"""Temporal SAEs (``conf.yaml`` beside ``latest_ckpt.safetensors``): known, and refused by name."""

from __future__ import annotations

import re
from pathlib import Path

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.layouts.base import Place, Weights
from autointerp_core.sources.layouts.saelens import temporal_refused
from autointerp_core.sources.sae_config import HookNames, SAEConfig

CONFIG = "conf.yaml"
WEIGHTS = "latest_ckpt.safetensors"


class TemporalLayout:
    name = "temporal"
    files = f"{CONFIG} + {WEIGHTS} (refused: needs whole sequences)"
    config_reads_weights = False

    def entries(self, folder: Path) -> list[str]:
        return [""] if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file() else []

    def patterns(self, place: Place) -> list[str]:
        return [WEIGHTS]

    def hooks(self, place: Place) -> HookNames:
        names = (place.folder.name, *place.around)
        found = next((m for name in names if (m := re.fullmatch(r"layer_(\d+)", name))), None)
        return HookNames(f"blocks.{int(found[1])}.hook_resid_post" if found else None)

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        raise temporal_refused(source)

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        raise SAESourceError(f"{config.source} is a temporal SAE")
