"""A GPU that is not there: tensors with shapes and devices, and no numbers.

torch's ``FakeTensorMode`` runs every operation's shape and device rules, and raises where tensors
of two devices meet, as a GPU would. What it cannot do, since there are no numbers, gets a
stand-in here that keeps the device rule: ``numpy`` of a tensor on a GPU is refused, ``tolist``
and ``item`` (which wait for the GPU and copy) are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

CUDA = torch.device("cuda", 0)
_FOUND = 5
"""How many elements are not zero, wherever somebody asks."""


@contextmanager
def fake_cuda() -> Iterator[FakeTensorMode]:
    """Everything in this block runs on tensors without numbers; ``cuda`` is a device."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with pytest.MonkeyPatch.context() as patch:
        real = {
            name: getattr(torch.Tensor, name) for name in ("numpy", "tolist", "item", "nonzero")
        }

        def numpy(self: torch.Tensor) -> Any:
            if not isinstance(self, FakeTensor):
                return real["numpy"](self)
            if self.device.type != "cpu":
                raise TypeError(f"can't convert {self.device} device type tensor to numpy")
            kind = torch.empty((), dtype=self.dtype, device="meta")
            return np.zeros(tuple(self.shape), dtype=str(kind.dtype).removeprefix("torch."))

        def tolist(self: torch.Tensor) -> Any:
            return (
                numpy(self.cpu()).tolist() if isinstance(self, FakeTensor) else real["tolist"](self)
            )

        def item(self: torch.Tensor) -> Any:
            return tolist(self) if isinstance(self, FakeTensor) else real["item"](self)

        def nonzero(self: torch.Tensor, *, as_tuple: bool = False) -> Any:
            if not isinstance(self, FakeTensor):
                return real["nonzero"](self, as_tuple=as_tuple)
            found = torch.zeros((_FOUND, self.ndim), dtype=torch.long, device=self.device)
            return tuple(found.unbind(1)) if as_tuple else found

        def getitem(self: torch.Tensor, index: Any) -> Any:
            return indexed(self, index) if isinstance(self, FakeTensor) else read(self, index)

        def contiguous(self: torch.Tensor, **how: Any) -> torch.Tensor:
            found: torch.Tensor = torch.ops.aten.contiguous.default(self, **how)
            return found

        read = torch.Tensor.__getitem__
        for name, stand_in in (
            ("__getitem__", getitem),
            ("contiguous", contiguous),
            ("__invert__", lambda self: torch.bitwise_not(self)),
            ("numpy", numpy),
            ("tolist", tolist),
            ("item", item),
            ("nonzero", nonzero),
            ("__float__", lambda self: float(item(self))),
            ("__int__", lambda self: int(item(self))),
            # Whether all is done is what is asked so: it is, or a loop over tokens had no end.
            ("__bool__", lambda self: isinstance(self, FakeTensor) or bool(item(self))),
        ):
            patch.setattr(torch.Tensor, name, stand_in)
        made = torch.tensor

        def tensor(data: Any, *, device: Any = None, **how: Any) -> torch.Tensor:
            found = made(data, **how)
            # Made anew: of a list's numbers fake tensors keep a real copy, and would move that.
            like = found.shape, found.dtype
            return found if device is None else torch.empty(like[0], dtype=like[1], device=device)

        patch.setattr(torch, "tensor", tensor)
        # A random state is a number, too.
        patch.setattr(torch.random, "fork_rng", lambda _devices: nullcontext())
        with mode:
            yield mode


def indexed(tensor: torch.Tensor, index: Any) -> torch.Tensor:
    """``tensor[index]`` by torch's own operations.

    Python's brackets ask a build of torch for its CUDA before anything else.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(part is Ellipsis for part in parts):
        at = next(i for i, part in enumerate(parts) if part is Ellipsis)
        used = sum(part is not None and part is not Ellipsis for part in parts)
        parts[at : at + 1] = [slice(None)] * (tensor.ndim - used)
    places: list[torch.Tensor | None] = []
    dim = 0
    for part in parts:
        if part is None:
            tensor = tensor.unsqueeze(dim)
        elif isinstance(part, slice):
            bounds = (part.start, part.stop, part.step or 1)
            tensor = torch.ops.aten.slice.Tensor(tensor, dim, *bounds)
        elif isinstance(part, int):
            tensor = tensor.select(dim, part)
            continue
        else:
            places += [None] * (dim - len(places)) + [torch.as_tensor(part)]
        dim += 1
    return torch.ops.aten.index.Tensor(tensor, places) if places else tensor


def move(module: torch.nn.Module, mode: FakeTensorMode, device: torch.device = CUDA) -> None:
    """Parameters and buffers as tensors without numbers on ``device``, in place."""

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        return mode.from_tensor(tensor.detach()).to(device)

    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = torch.nn.Parameter(moved(parameter), requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = moved(buffer)
