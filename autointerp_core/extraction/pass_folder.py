"""The folder of a pass that is being made: its features, how it is cut, the shards so far."""

from __future__ import annotations

import io
import json
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autointerp_core.extraction.firings import Shard
from autointerp_core.store.feature_shards import (
    FEATURES_FILE,
    ShardFirings,
    read_features,
    read_shard,
    shard_intact,
    write_shard,
)
from autointerp_core.store.files import write_bytes

Features = NDArray[np.int32]


class OpenPass:
    """A pass being made: features, and the shards that an engine fills."""

    def __init__(self, folder: Path, features: Features, shards: list[Shard]):
        self.folder, self.features, self.shards = folder, features, shards

    @property
    def todo(self) -> list[Shard]:
        """Shards without a whole file, in order."""
        return [shard for shard in self.shards if not shard_intact(shard.path(self.folder))]

    def put(self, shard: Shard, firings: ShardFirings) -> None:
        """Keep a shard's firings; once this returns, no kill loses them.

        Raises:
            DiskFull: no space is left; shards put before stay.
        """
        write_shard(shard.path(self.folder), firings)

    def norms(self, shards: list[Shard]) -> NDArray[np.float32]:
        """Activation norm of every token of these shards (which are done), in order."""
        found = [read_shard(shard.path(self.folder)).norm for shard in shards]
        return np.concatenate(found) if found else np.zeros(0, dtype=np.float32)


def pass_name(features: Features) -> str:
    """Named by its features, so that the same request finds its unfinished pass again."""
    return sha256(features.astype("<i4").tobytes()).hexdigest()[:12]


def write_features(folder: Path, features: Features) -> None:
    if not (folder / FEATURES_FILE).exists():
        buffer = io.BytesIO()
        np.save(buffer, features, allow_pickle=False)
        write_bytes(folder / FEATURES_FILE, buffer.getvalue())


def holds(folder: Path, features: Features) -> bool:
    """Whether an unfinished pass holds all of ``features``."""
    if not (folder / FEATURES_FILE).exists():
        return False
    return bool(np.isin(features, read_features(folder)).all())


def shard_tokens(folder: Path) -> int | None:
    """Tokens a shard of a pass, where it is cut as the config says."""
    path = folder / "plan.json"
    return int(json.loads(path.read_bytes())["shard_tokens"]) if path.exists() else None


def shards_size(folder: Path) -> int:
    """Bytes of a pass' shards so far."""
    return sum(path.stat().st_size for path in folder.glob("shards/0*"))
