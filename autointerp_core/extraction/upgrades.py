"""What a study made by an earlier version lacks, added without the model."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import AutointerpError, SAESourceError
from autointerp_core.extraction.neighbours import write_neighbours
from autointerp_core.extraction.study_lock import study_lock
from autointerp_core.progress import ProgressCallback
from autointerp_core.sources.demo import DEMO
from autointerp_core.sources.sae_files import locate
from autointerp_core.store.neighbours import NEIGHBOURS_FILE
from autointerp_core.store.study import Study

_NAME = "W_dec"
_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def add_neighbours(study: Study, progress: ProgressCallback) -> int:
    """Write the decoder neighbours that the study lacks; returns of how many features.

    The decoder is read from the SAE's weight file. (An extraction into the study adds them,
    too, whatever form the SAE has.)

    Raises:
        SAESourceError: the weights are not on this computer, or cannot be read so.
        Cancelled: raised by ``progress``.
    """
    import torch

    with study_lock(study.folder, progress):
        lacking = [p for p in study.passes if not p.has(NEIGHBOURS_FILE)]
        if not lacking:
            return 0
        decoder = torch.from_numpy(_decoder(_weights(study), study.info.d_sae))
        for found in lacking:
            write_neighbours(found.folder, decoder, found.features, progress)
    return sum(len(found.features) for found in lacking)


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


def _decoder(path: Path, d_sae: int) -> NDArray[np.float32]:
    """The decoder ``[d_sae, d_in]``, a row a feature."""
    try:
        with path.open("rb") as handle:
            length = struct.unpack("<Q", handle.read(8))[0]
            entry = json.loads(handle.read(length))[_NAME]
        kind, shape, begin = entry["dtype"], entry["shape"], entry["data_offsets"][0]
        if kind not in _TYPES or shape[0] != d_sae or len(shape) != 2:
            raise ValueError(f"{_NAME} is {kind} {shape}")
        raw: NDArray[Any] = np.memmap(path, _TYPES[kind], "r", 8 + length + begin, tuple(shape))
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise SAESourceError(f"the decoder in {path.name} cannot be read: {error}") from error
    if kind == "BF16":
        wide: NDArray[np.float32] = (raw.astype(np.uint32) << 16).view(np.float32)
        return wide
    return raw.astype(np.float32)
