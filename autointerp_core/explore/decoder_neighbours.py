"""Features whose decoder directions point the same way, read from the SAE's weight file.

The file is memory-mapped and read in blocks as bytes: no torch, and an SAE of several
gigabytes is never held in memory at once.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import AutointerpError, SAESourceError
from autointerp_core.sources.demo import DEMO
from autointerp_core.sources.sae_files import locate
from autointerp_core.store.study import Study

_NAME = "W_dec"
_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_BLOCK_BYTES = 1 << 26


@dataclass(frozen=True)
class Neighbour:
    """``cosine`` of the two decoder directions."""

    feature: int
    cosine: float


def neighbours(study: Study, feature: int, limit: int = 10) -> list[Neighbour]:
    """The study's features most alike in direction, most alike first.

    Raises:
        SAESourceError: the SAE's weights are not on this computer, or cannot be read so.
    """
    raw, kind = _matrix(_weights(study), study.info.d_sae)
    own = _floats(raw[feature : feature + 1], kind)[0]
    own /= np.linalg.norm(own) or 1.0
    cosine = np.zeros(len(raw), dtype=np.float32)
    step = max(_BLOCK_BYTES // (raw.shape[1] * 4), 1)
    for start in range(0, len(raw), step):
        block = _floats(raw[start : start + step], kind)
        norms = np.linalg.norm(block, axis=1)
        cosine[start : start + step] = block @ own / np.maximum(norms, 1e-12)
    known = study.features[study.features != feature]
    best = known[np.argsort(-cosine[known], kind="stable")[:limit]]
    return [Neighbour(int(f), float(cosine[f])) for f in best]


def _weights(study: Study) -> Path:
    record = study.info.sae
    path = record.path or ""
    if path != DEMO and not (path and os.path.isdir(Path(path).expanduser())):
        raise SAESourceError("the SAE's weights are not in a folder on this computer")
    try:
        folder = locate(path, record.sae_id).folder
    except AutointerpError as error:
        raise SAESourceError(f"the SAE is not where it was: {error}") from error
    found = sorted(folder.glob("*.safetensors")) if folder is not None else []
    if not found:
        raise SAESourceError("the SAE's weights are not in the safetensors format")
    return found[0]


def _matrix(path: Path, d_sae: int) -> tuple[NDArray[Any], str]:
    """The decoder as raw numbers, a row a feature, and their type's name."""
    try:
        with path.open("rb") as handle:
            length = struct.unpack("<Q", handle.read(8))[0]
            entry = json.loads(handle.read(length))[_NAME]
        kind, shape, begin = entry["dtype"], entry["shape"], entry["data_offsets"][0]
        if kind not in _TYPES or shape[0] != d_sae or len(shape) != 2:
            raise ValueError(f"{_NAME} is {kind} {shape}")
        offset = 8 + length + begin
        return np.memmap(path, _TYPES[kind], "r", offset, tuple(shape)), kind
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise SAESourceError(f"the decoder in {path.name} cannot be read: {error}") from error


def _floats(raw: NDArray[Any], kind: str) -> NDArray[np.float32]:
    if kind == "BF16":
        wide: NDArray[np.float32] = (raw.astype(np.uint32) << 16).view(np.float32)
        return wide
    return raw.astype(np.float32)
