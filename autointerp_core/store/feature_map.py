"""The map of a study's features as it is kept beside the study: a place in the plane for each.

No part of what a study is: it can be deleted and made again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from autointerp_core.errors import StudyError
from autointerp_core.store.files import write_bytes

MAP_FILE = "map.safetensors"
"""``features`` i32[N], ascending; ``places`` f32[N, 2]; ``cluster`` i32[N]."""
VERSION = 1
ALONE = -1
"""Cluster of a feature that stands in none."""


@dataclass(frozen=True, kw_only=True)
class MapRecord:
    """How a map was made; the same record and the same SAE give the same map."""

    neighbours: int
    """Nearest directions that each feature is drawn to."""
    min_dist: float
    """How close points may come to each other."""
    seed: int
    least_cluster: int
    """Features that a cluster must have to count."""
    sae: str
    """The SAE's fingerprint."""
    made_with: str
    """``umap-learn 0.5.12``."""


@dataclass(frozen=True)
class FeatureMap:
    """Where each feature stands: alike decoder directions are near each other.

    Distances across the map mean little; what is near what means something.
    """

    features: NDArray[np.int32]
    """Ascending, ``[N]``."""
    places: NDArray[np.float32]
    """``[N, 2]``."""
    cluster: NDArray[np.int32]
    """``[N]``: cluster of the map that a feature stands in, largest cluster first; or ``ALONE``."""
    record: MapRecord


def write_feature_map(study: Path, made: FeatureMap) -> None:
    """Write the map of a study, whole or not at all.

    Raises:
        DiskFull: no space is left.
        OutputError: the study's folder cannot be written.
    """
    metadata = {"version": str(VERSION), "record": json.dumps(asdict(made.record))}
    arrays = {"features": made.features, "places": made.places, "cluster": made.cluster}
    write_bytes(study / MAP_FILE, save(arrays, metadata=metadata))


def read_feature_map(study: Path) -> FeatureMap | None:
    """The map of a study; None where none was made.

    Raises:
        StudyError: the file is damaged, or a newer version wrote it.
    """
    path = study / MAP_FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np") as handle:
            about = handle.metadata() or {}
            if int(about["version"]) > VERSION:
                raise StudyError(
                    f"{path} was written by a newer version (format {about['version']}, this one "
                    f"reads up to {VERSION}); update Autointerp Explorer"
                )
            found = FeatureMap(
                features=handle.get_tensor("features"),
                places=handle.get_tensor("places"),
                cluster=handle.get_tensor("cluster"),
                record=MapRecord(**json.loads(about["record"])),
            )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path} is damaged ({error}); delete it and make it again") from error
    n = len(found.features)
    if found.places.shape != (n, 2) or found.cluster.shape != (n,):
        raise StudyError(f"{path} is damaged (sizes differ); delete it and make it again")
    return found


def map_stamp(study: Path) -> int:
    """Changes whenever the map does; 0 where there is none."""
    path = study / MAP_FILE
    return path.stat().st_mtime_ns if path.exists() else 0
