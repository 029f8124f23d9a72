"""Changing a model's vectors where an SAE writes, while it runs: module hooks that add a change.

Where a hook can be read it can mostly be written: the module's output, or its input, is replaced.
Two places are not what a replaced module would make of them, and are written otherwise or not at
all: ``hook_resid_mid`` is a norm's input *and* goes on beside it, so the change is added to the
block's output too; a norm before its weight, and the MLP branch's own input in a parallel block,
are no module's input or output by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import AutointerpError, HookError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.places import INPUT, OUTPUT

if TYPE_CHECKING:
    import torch
    from torch import nn

    from autointerp_core.sources.model import TruncatedModel

Change = Callable[["torch.Tensor"], "torch.Tensor"]
"""From vectors at the place read [k, d_in] to what is added at the place written [k, d_out]."""


@dataclass
class Positions:
    """Which positions of the forward pass that runs are changed."""

    mask: torch.Tensor | None = None
    """[s], of all sequences of the batch alike; None: none."""
    read: dict[str, torch.Tensor] = field(default_factory=dict)


def check_writable(model: TruncatedModel, hook: HookPoint) -> None:
    """Whether vectors at ``hook`` can be changed.

    Raises:
        HookError: they can be read only, or there is no such hook.
    """
    module, place = model.locate(hook)
    block = None if hook.layer is None else model.blocks[min(hook.layer, model.n_blocks - 1)]
    branch_only = hook.kind == "mlp_in" and module is block
    if place.normalized or branch_only:
        raise HookError(
            f"{hook.name} can be read but not written in this model: it is no module's input or "
            "output by itself, so features of this SAE cannot be steered; take an SAE of the "
            "residual stream, of attention's or of the MLP's output"
        )


@contextmanager
def changing(
    model: TruncatedModel,
    read: HookPoint,
    write: HookPoint,
    change: Change,
    positions: Positions,
) -> Iterator[None]:
    """While the block lasts, ``change`` of what stands at ``read`` is added at ``write``.

    Only at ``positions``, which may be set anew before every forward pass. ``read`` may be
    ``write``, or a place that runs before it.

    Raises:
        HookError: ``write`` cannot be written.
    """
    check_writable(model, write)
    with ExitStack() as stack:
        apart = read != write
        if apart:
            module, place = model.locate(read)

            def keep(value: torch.Tensor) -> torch.Tensor:
                at = _shaped(value, positions, read)
                positions.read["x"] = place.read(at[:, positions.mask], module)
                return value

            _on(stack, module, place.side, keep, positions)
        module, place = model.locate(write)

        def add(value: torch.Tensor) -> torch.Tensor:
            at = _shaped(value, positions, write)
            here = at[:, positions.mask]
            x = positions.read.pop("x") if apart else place.read(here, module)
            delta = change(x.reshape(-1, x.shape[-1])).reshape(*here.shape[:2], -1)
            positions.read["delta"] = delta
            return _added(value, at, delta / place.scale, positions)

        _on(stack, module, place.side, add, positions)
        if write.kind == "resid_mid":
            assert write.layer is not None

            def beside(value: torch.Tensor) -> torch.Tensor:
                at = _shaped(value, positions, write)
                return _added(value, at, positions.read["delta"], positions)

            _on(stack, model.blocks[write.layer], OUTPUT, beside, positions)
        yield


def _added(
    value: torch.Tensor, at: torch.Tensor, delta: torch.Tensor, positions: Positions
) -> torch.Tensor:
    """``value`` with ``delta`` [b, k, d] added at the positions, in float32, as its own dtype."""
    made = at.float()
    made[:, positions.mask] += delta
    changed = made.to(value.dtype)
    if not bool(changed[:, positions.mask].isfinite().all()):
        raise AutointerpError(
            "the strength makes vectors that are no finite numbers; give a smaller one"
        )
    return changed.reshape(value.shape)


def _shaped(value: torch.Tensor, positions: Positions, hook: HookPoint) -> torch.Tensor:
    """A copy-on-write view [b, s, d] of what a module takes or gives."""
    assert positions.mask is not None
    s = len(positions.mask)
    if value.ndim == 3 and value.shape[1] == s:
        return value.clone()
    if value.ndim == 2 and len(value) % s == 0:  # OPT: all tokens in a row
        return value.reshape(-1, s, value.shape[-1]).clone()
    raise HookError(
        f"{hook.name} is not one vector a token in this model (its shape is {list(value.shape)}), "
        "so features of this SAE cannot be steered"
    )


def _on(
    stack: ExitStack,
    module: nn.Module,
    side: str,
    act: Callable[[torch.Tensor], torch.Tensor],
    positions: Positions,
) -> None:
    """Replace the first tensor on one side of a module by what ``act`` makes of it."""
    if side == INPUT:

        def on_input(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if positions.mask is None or not bool(positions.mask.any()):
                return None
            if args:
                return (act(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": act(kwargs["hidden_states"])}

        handle = module.register_forward_pre_hook(on_input, with_kwargs=True)
    else:

        def on_output(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
            if positions.mask is None or not bool(positions.mask.any()):
                return None
            if isinstance(output, tuple):
                return (act(output[0]), *output[1:])
            return act(output)

        handle = module.register_forward_hook(on_output)
    stack.callback(handle.remove)
