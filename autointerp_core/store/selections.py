"""Selections: sets of features that somebody put together, kept under a name made of their content.

So an address can name ten thousand features in twelve characters. Each is a features file as
``--feature-indices`` takes it, ``{"feature_indices": [...]}``; the same set has the same name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autointerp_core.home import home
from autointerp_core.store.files import write_bytes

_NAME = re.compile(r"[0-9a-f]{12}")


def is_name(text: str) -> bool:
    """Whether this can be the name of a selection."""
    return bool(_NAME.fullmatch(text))


def name_of(features: Iterable[int]) -> str:
    """The name of a set of features, kept or not."""
    return hashlib.sha256(_content(features)).hexdigest()[:12]


def _content(features: Iterable[int]) -> bytes:
    indices = sorted({int(feature) for feature in features})
    return json.dumps({"feature_indices": indices}, separators=(",", ":")).encode()


def keep(features: Iterable[int]) -> str:
    """Keep a set of features; returns its name.

    Raises:
        DiskFull: no space is left.
        OutputError: the home folder cannot be written.
    """
    data = _content(features)
    name = hashlib.sha256(data).hexdigest()[:12]
    if not _path(name).exists():
        write_bytes(_path(name), data)
    return name


def read(name: str) -> NDArray[np.int64] | None:
    """The features of a selection, ascending; None where it is not known on this computer."""
    try:
        loaded = json.loads(_path(name).read_bytes()) if is_name(name) else None
        if loaded is None:
            return None
        return np.asarray(loaded["feature_indices"], dtype=np.int64)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None  # never kept here, or damaged: then nobody knows what was in it


def _path(name: str) -> Path:
    return home() / "selections" / f"{name}.json"
