"""Memory: giving freed pages back, and what happens where there is not enough of it."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from autointerp_core.errors import AutointerpError, OutOfMemory

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

# What torch's allocators say. On the CPU, and on Apple's GPUs, it is a plain RuntimeError.
_TOLD = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on whatever device."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(_TOLD.search(str(error)))


class Blocks:
    """Rows done at once, halved for good where memory runs out. Changes no result."""

    def __init__(self, size: int):
        self.size = max(1, size)

    def over(self, n_rows: int, work: Callable[[int, int], T]) -> Iterator[tuple[int, T]]:
        """``work(start, stop)`` for blocks that cover ``[0, n_rows)``; each with its start.

        Raises:
            MemoryError, RuntimeError: not even one row fits.
        """
        start = 0
        while start < n_rows:
            stop = min(start + self.size, n_rows)
            found = _attempt(work, start, stop)
            if found:
                yield start, found[0]
                start = stop
            else:  # out here the failed block's tensors are freed
                release_device_memory()
                self.size = max(1, (stop - start) // 2)


_DENSE_ELEMENTS = 1 << 25
"""Elements of one dense block of SAE activations on a CPU, where larger ones gain nothing."""
_CUDA_SHARE = 32
"""A block takes one in so many bytes of a GPU: with what is made of it, about an eighth."""


def dense_elements(device: torch.device) -> int:
    """How many float32 one dense block of SAE activations may have; what outlives no batch.

    From the memory a GPU has, not from what is free: the same machine gives the same blocks.
    """
    import torch

    if device.type != "cuda" or not torch.cuda.is_available():
        return _DENSE_ELEMENTS
    total = torch.cuda.get_device_properties(device).total_memory
    return max(_DENSE_ELEMENTS, total // (4 * _CUDA_SHARE))


def _attempt(work: Callable[[int, int], T], start: int, stop: int) -> list[T]:
    """The result in a list; an empty one where memory ran out and fewer rows can be tried."""
    try:
        return [work(start, stop)]
    except (RuntimeError, MemoryError) as error:
        if stop - start == 1 or not is_out_of_memory(error):
            raise
    return []


def release_device_memory() -> None:
    """Give back what torch holds of a GPU's memory and does not use."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def memory_told(device: object, advice: str) -> Iterator[None]:
    """Turn a failed allocation into one line that says what to do.

    Raises:
        OutOfMemory: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, AutointerpError) or not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"out of memory on {device}; {advice}") from error
