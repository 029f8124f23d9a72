"""Running the first blocks of a model up to the hooks asked for, on Hugging Face's modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import HookError, ModelSourceError
from autointerp_core.sources.hooks import EMBED, MODULE, HookPoint
from autointerp_core.sources.model_files import ModelConfig
from autointerp_core.sources.places import INPUT, OUTPUT, BlockMap, Place, block_map

if TYPE_CHECKING:
    import torch
    from torch import nn


class _Stop(Exception):
    """Raised by the last hook needed: nothing after it has to run."""


class TruncatedModel:
    """The first blocks of a model, as Hugging Face implements them.

    The residual stream is taken at block borders, before any final norm: ``resid_pre`` of a
    block is the output of the block before it, so it needs no block of its own. Every other
    hook is a module's input or output in its block (see ``places``).
    """

    def __init__(
        self,
        model: Any,
        blocks: nn.ModuleList,
        device: torch.device,
        config: ModelConfig,
    ) -> None:
        """``model``: Hugging Face's text model; ``blocks``: the list of its blocks."""
        self._model = model
        self._blocks = blocks
        self._config = config
        self._map: BlockMap | None = None
        self.device = device

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks loaded, Hugging Face's modules."""
        return self._blocks

    @property
    def n_blocks(self) -> int:
        """How many blocks are loaded."""
        return len(self._blocks)

    def run(self, ids: torch.Tensor, hooks: Sequence[HookPoint]) -> dict[HookPoint, torch.Tensor]:
        """Vectors at each hook.

        Args:
            ids: token ids [b, s], padded on the right with any valid id.
            hooks: at least one.

        Returns:
            For each hook a float32 tensor [b, s, width] on the model's device, heads side by
            side. What stands at padded positions means nothing.

        Raises:
            HookError: a hook needs more blocks than are loaded, or this model has no such hook.
        """
        import torch

        places = {hook: self.locate(hook) for hook in hooks}
        captured: dict[HookPoint, torch.Tensor] = {}

        def keep(hook: HookPoint, place: Place, value: Any) -> None:
            if hook not in captured:
                vectors = self._shaped(_tensor(value), ids.shape, hook)
                captured[hook] = place.read(vectors, places[hook][0])
            if len(captured) == len(places):
                raise _Stop

        handles = [_watch(module, place, hook, keep) for hook, (module, place) in places.items()]
        try:
            with torch.inference_mode():
                # No attention mask: attention is causal and padding stands on the right, so no
                # real token ever sees a padded one. Without a mask SDPA takes its fastest path.
                self._model(input_ids=ids.to(self.device), use_cache=False)
        except _Stop:
            return captured
        finally:
            for handle in handles:
                handle.remove()
        lacking = next(hook.name for hook in places if hook not in captured)
        raise ModelSourceError(f"the model ended without passing {lacking}")

    def project(self, hook: HookPoint, vectors: torch.Tensor) -> torch.Tensor:
        """What the module that reads ``hook`` makes of ``vectors`` [n, width], without its bias.

        Returns:
            [n, d_model], float32.

        Raises:
            HookError: as :meth:`run`.
        """
        import torch

        module, _ = self.locate(hook)
        dtype = next(module.parameters()).dtype
        with torch.inference_mode():
            given = vectors.to(self.device, dtype)
            made: torch.Tensor = module(given) - module(torch.zeros_like(given[:1]))
        return made.float()

    def width(self, hook: HookPoint) -> int | None:
        """How wide vectors at ``hook`` are, where a module's shape tells.

        Raises:
            HookError: as :meth:`run`.
        """
        module, place = self.locate(hook)
        # GPT-2's Conv1D says nx (in) and nf (out).
        names = ("in_features", "nx") if place.side == INPUT else ("out_features", "nf")
        found = (getattr(module, name, None) for name in names)
        return next((int(width) for width in found if isinstance(width, int)), None)

    def has(self, hook: HookPoint) -> bool:
        """Whether :meth:`run` can give this hook."""
        try:
            self.locate(hook)
        except HookError:
            return False
        return True

    def drop_blocks(self, n: int) -> None:
        """Keep only the first ``n`` blocks (at least one stays: its input is a hook as well)."""
        del self._blocks[max(n, 1) :]

    def _shaped(self, value: torch.Tensor, shape: torch.Size, hook: HookPoint) -> torch.Tensor:
        """[b, s, width], whatever a module makes of it (OPT: all tokens in a row; heads apart)."""
        active = getattr(self._model.config, "altup_active_idx", None)
        if active is not None and value.ndim == 4:
            value = value[active]  # Gemma 3n: several streams, of which one is the residual
        tokens = shape.numel()
        if value.shape[:2] == shape or (value.ndim == 2 and len(value) == tokens):
            return value.reshape(*shape, -1)
        raise HookError(
            f"{hook.name} is not one vector a token in {self._config.name}: its shape is "
            f"{list(value.shape)} for {shape[0]} sequences of {shape[1]} tokens"
        )

    def locate(self, hook: HookPoint) -> tuple[nn.Module, Place]:
        """The module a hook is read at, and which side of it.

        Raises:
            HookError: too few blocks are loaded, or the model has none of that kind.
        """
        if hook.kind == EMBED:
            # Where a norm belongs to the embedding (Bloom), TransformerLens reads behind it.
            normed = getattr(self._model, "word_embeddings_layernorm", None)
            return normed or self._model.get_input_embeddings(), Place("", OUTPUT)
        if hook.blocks_needed > self.n_blocks:
            raise HookError(f"{hook.name} needs more than the {self.n_blocks} blocks loaded")
        assert hook.layer is not None
        if hook.kind == "resid_pre" and hook.layer > 0:
            return self._blocks[hook.layer - 1], Place("", OUTPUT)
        if hook.kind in ("resid_pre", "resid_post"):
            side = INPUT if hook.kind == "resid_pre" else OUTPUT
            return self._blocks[hook.layer], Place("", side)
        block = self._blocks[hook.layer]
        if hook.kind == MODULE:
            path, _, side = hook.module.rpartition(".")
            place = Place(path, side)
        else:
            if self._map is None:
                self._map = block_map(self._config)
            place = self._map.place(hook, block)
        module = place.module_in(block)
        if module is None:
            inside = ", ".join(name for name, _ in block.named_children())
            raise HookError(
                f"{hook.name} does not exist in this model: block {hook.layer} "
                f"({type(block).__name__}) has no {place.path or 'such module'}; it has {inside}"
            )
        return module, place


def _watch(
    module: nn.Module,
    place: Place,
    hook: HookPoint,
    keep: Callable[[HookPoint, Place, Any], None],
) -> Any:
    if place.side == OUTPUT:

        def on_output(_: nn.Module, _args: Any, output: Any) -> None:
            keep(hook, place, output)

        return module.register_forward_hook(on_output)

    def on_input(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keep(hook, place, args[0] if args else kwargs.get("hidden_states", kwargs))

    return module.register_forward_pre_hook(on_input, with_kwargs=True)


def _tensor(value: Any) -> torch.Tensor:
    """The vectors among what a module takes or gives: the first tensor."""
    import torch

    if isinstance(value, torch.Tensor):
        return value
    values = value.values() if isinstance(value, dict) else value
    found = next((item for item in values if isinstance(item, torch.Tensor)), None)
    if found is None:
        raise ModelSourceError(f"a hooked module handles no tensor but {type(value).__name__}")
    return found
