"""Between a CPU and a GPU without waiting: through pinned memory, in the order of the stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU's tensor on ``device``; what is done with it there comes after the copy."""
    if not _gpu(device):
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def on_its_way(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the CPU, to be read once :func:`arrival` says so."""
    import torch

    if not _gpu(tensor.device):
        return tensor.cpu()
    found = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return found.copy_(tensor, non_blocking=True)


def arrival(device: torch.device) -> Callable[[], None]:
    """To be called before what was on its way until now is read: it waits for just that."""
    import torch

    if not _gpu(device):
        return do_nothing
    wait: Callable[[], None] = torch.cuda.current_stream(device).record_event().synchronize
    return wait


def do_nothing() -> None:
    """What there is to wait for on a CPU."""


def _gpu(device: torch.device) -> bool:
    import torch

    return device.type == "cuda" and torch.cuda.is_available()
