"""Decoder neighbours as they are kept beside a pass."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from autointerp_core.errors import StudyError

NEIGHBOURS_FILE = "neighbours.safetensors"
"""``ids`` i32[F, n] and ``cosines`` f32[F, n] of a pass' features, most alike first."""


class Neighbour(NamedTuple):
    """``cosine`` of the two decoder directions."""

    feature: int
    cosine: float


def read_neighbours(pass_folder: Path, row: int) -> list[Neighbour] | None:
    """The nearest features of the SAE to the feature in a row; None where none were kept.

    Raises:
        StudyError: the file is damaged.
    """
    path = pass_folder / NEIGHBOURS_FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np") as handle:
            ids = handle.get_slice("ids")[row : row + 1][0]
            cosines = handle.get_slice("cosines")[row : row + 1][0]
    except (OSError, SafetensorError, IndexError) as error:
        raise StudyError(f"{path} is damaged ({error}); delete it") from error
    return [Neighbour(int(i), float(c)) for i, c in zip(ids, cosines, strict=True)]


def neighbour_table(pass_folder: Path) -> tuple[NDArray[np.int32], NDArray[np.float32]] | None:
    """Ids and cosines ``[F, n]`` of a pass' features, most alike first; None where none were kept.

    Raises:
        StudyError: the file is damaged.
    """
    path = pass_folder / NEIGHBOURS_FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np") as handle:
            return handle.get_tensor("ids"), handle.get_tensor("cosines")
    except (OSError, SafetensorError) as error:
        raise StudyError(f"{path} is damaged ({error}); delete it") from error
