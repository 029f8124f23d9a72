"""Giving freed memory back, so that the peak does not creep up with the number of shards."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


def release_memory() -> None:
    """Ask the C library to return freed pages to the system; nothing where it cannot.

    Batches differ in size, so glibc's heap fragments: without this a long extraction holds a
    tenth more than a short one although the same tensors are alive.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
