"""Which feature of one SAE is which of another's, as it is kept beside the first one's study.

No part of what a study is: it can be deleted and made again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from autointerp_core.errors import StudyError
from autointerp_core.store.files import write_bytes

VERSION = 1
NOBODY = -1


@dataclass(frozen=True)
class Partners:
    """For each feature of A, ``[F]``: its partner in B by one measure, and both measures of them.

    Measures that are not known are NaN.
    """

    partner: NDArray[np.int32]
    """A feature of B; ``NOBODY`` where none is like it at all."""
    cosine: NDArray[np.float32]
    """Of the two decoder directions."""
    correlation: NDArray[np.float32]
    """Pearson's, of the two activations over the tokens of both studies."""
    jaccard: NDArray[np.float32]
    """Tokens on which both fire, of those on which either does."""
    mutual: NDArray[np.bool_]
    """Whether the partner's own partner in A is this feature."""


@dataclass(frozen=True)
class Matches:
    """Features of A, ascending, and their partners; None where a measure could not be taken."""

    features: NDArray[np.int32]
    by_decoder: Partners | None
    by_firings: Partners | None
    sae_a: str
    sae_b: str
    """Fingerprints."""
    passes: str
    """Which features both studies held."""
    why_no_decoder: str = ""
    why_no_firings: str = ""


def matches_path(study: Path, other: str) -> Path:
    """Where the matches of a study with another (its id) are kept."""
    return study / "matches" / f"{other}.safetensors"


def write_matches(study: Path, other: str, found: Matches) -> None:
    """Write them, whole or not at all.

    Raises:
        DiskFull: no space is left.
        OutputError: the study's folder cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {"features": found.features}
    for name, partners in (("decoder", found.by_decoder), ("firings", found.by_firings)):
        if partners is not None:
            for each in fields(partners):
                array = getattr(partners, each.name)
                arrays[f"{name}.{each.name}"] = (
                    array.astype(np.uint8) if array.dtype == bool else array
                )
    metadata = {
        "version": str(VERSION), "sae_a": found.sae_a, "sae_b": found.sae_b,
        "passes": found.passes, "why_no_decoder": found.why_no_decoder,
        "why_no_firings": found.why_no_firings,
    }  # fmt: skip
    write_bytes(matches_path(study, other), save(arrays, metadata=metadata))


def read_matches(study: Path, other: str) -> Matches | None:
    """The matches of a study with another; None where none were made.

    Raises:
        StudyError: the file is damaged, or a newer version wrote it.
    """
    path = matches_path(study, other)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np") as handle:
            about = handle.metadata() or {}
            if int(about["version"]) > VERSION:
                raise StudyError(f"{path} was written by a newer version; update this one")
            return Matches(
                handle.get_tensor("features"),
                _partners(handle, "decoder"),
                _partners(handle, "firings"),
                about["sae_a"],
                about["sae_b"],
                about["passes"],
                about["why_no_decoder"],
                about["why_no_firings"],
            )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path} is damaged ({error}); delete it and compare again") from error


def _partners(handle: Any, name: str) -> Partners | None:
    if f"{name}.partner" not in set(handle.keys()):
        return None
    read = {each.name: handle.get_tensor(f"{name}.{each.name}") for each in fields(Partners)}
    return Partners(**{**read, "mutual": read["mutual"] > 0})
