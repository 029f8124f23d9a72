"""SAEs: what an SAE is, without its weights; and the SAE itself, as a SAELens object.

Whatever layout it came in, ``load_sae`` returns a ``sae_lens`` SAE in float32 with
``encode`` and ``decode``. Inspecting an SAE whose config or header says enough (SAELens,
sparsify, Gemma Scope, OpenMOSS, circuit-tracer) imports neither torch nor sae_lens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import HookError, SAESourceError
from autointerp_core.sources.control_sae import controlled_config, randomise, read_control
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.layouts import LAYOUTS, saelens
from autointerp_core.sources.releases import is_cross_layer
from autointerp_core.sources.sae_config import SAEConfig
from autointerp_core.sources.sae_files import LocatedSAE, locate, release_config, with_weights

if TYPE_CHECKING:
    import torch
    from sae_lens import SAE

    from autointerp_core.sources.model import ModelConfig
    from autointerp_core.sources.sae_sparse import Compact, Sparse

__all__ = [
    "HookPoint",
    "LoadedSAE",
    "SAEConfig",
    "check_fits",
    "context_size",
    "inspect_sae",
    "load_sae",
]

DEFAULT_CONTEXT = 1024
_WIDE = 16_384
"""Latents from which it pays to decode only those that fire."""


@dataclass(frozen=True)
class LoadedSAE:
    """An SAE ready to use."""

    config: SAEConfig
    sae: SAE[Any]
    """``encode(x [n, d_in]) -> acts [n, d_sae]``, dense float32; ``decode`` undoes it (but for a
    skip connection: see :meth:`reconstruct`)."""
    fingerprint: str
    """``sha256:…`` over what decides its output; the same wherever and however it is stored."""

    @property
    def hook_out(self) -> HookPoint | None:
        """What it predicts, where that is another place than it reads (a transcoder)."""
        return self.config.hook_out

    @property
    def predicts_output(self) -> bool:
        """Whether it is a transcoder: its reconstruction is of ``hook_out``."""
        return self.config.predicts_output

    def firing_encoder(self, latents: Sequence[int] | torch.Tensor | None = None) -> Compact:
        """What may fire of some latents: ``x [n, d_in] -> row of x, place in latents, value``.

        Of a top-k family all that was chosen, by latent, whatever ``latents`` says; of others all
        that is not zero, by row, then latent.
        """
        import torch

        from autointerp_core.sources.sae_sparse import compact_encoder, taken

        choose = self.topk_encoder()
        if choose is not None:

            def chosen(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
                values, found = choose(x)
                where = torch.arange(len(x), device=x.device)[:, None].expand_as(found)
                return where.flatten(), found.flatten(), values.flatten()

            return chosen
        compact = compact_encoder(self._some(latents))
        if compact is not None and (latents is None or self.config.elementwise):
            return compact
        encode = self.encoder(latents)

        def searched(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            acts = encode(x)
            return taken(acts, acts)

        return searched

    def _some(self, latents: Sequence[int] | torch.Tensor | None) -> SAE[Any]:
        """The SAE of some latents, where the architecture is elementwise; else all of it."""
        if latents is None or not self.config.elementwise:
            return self.sae
        from autointerp_core.sources.sae_build import restricted

        return restricted(self.sae, latents)

    def encoder(
        self, latents: Sequence[int] | torch.Tensor | None = None
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """``encode`` for some latents: ``x [n, d_in] -> acts [n, len(latents)]``.

        Of an elementwise architecture only those latents are computed; a top-k family needs all
        of them to know which fire. The numbers are the same either way.
        """
        import torch

        whole: Callable[[torch.Tensor], torch.Tensor] = self._some(latents).encode
        if latents is None or self.config.elementwise:
            return whole
        chosen = torch.as_tensor(latents, dtype=torch.long, device=self.sae.W_dec.device)
        return lambda x: whole(x)[:, chosen]

    def topk_encoder(self) -> Sparse | None:
        """Encode without a dense block, where the SAE is of a top-k family."""
        from autointerp_core.sources.sae_sparse import topk_encoder

        return topk_encoder(self.sae)

    def reconstruction(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the SAE makes of ``x`` [n, d_in], and the activations of what it is made from.

        Returns:
            As :meth:`reconstruct`; and activations ``[n, d_sae]``, or ``[n, k]`` of a wide SAE of a
            top-k family, of which no dense block is made.
        """
        choose = self.topk_encoder() if self.config.d_sae >= _WIDE else None
        if choose is None or not self.config.decodes_rows:
            acts = self.sae.encode(x)
            return self.reconstruct(x, acts), acts
        from autointerp_core.sources.sae_sparse import decode_chosen

        values, latents = choose(x)
        return self._skipped(x, decode_chosen(self.sae, values, latents)), values

    def _decode(self, acts: torch.Tensor) -> torch.Tensor:
        """``decode``; of a wide SAE only with the rows of latents that fire at all."""
        if acts.shape[-1] >= _WIDE and self.config.decodes_rows:
            from autointerp_core.sources.sae_sparse import decode_some

            firing = (acts != 0).any(dim=0).nonzero()[:, 0]
            if 2 * len(firing) < acts.shape[-1]:
                return decode_some(self.sae, acts[:, firing], firing)
        made: torch.Tensor = self.sae.decode(acts)
        return made

    def reconstruct(self, x: torch.Tensor, acts: torch.Tensor) -> torch.Tensor:
        """What the SAE makes of ``x`` [n, d_in], given its activations [n, d_sae].

        Returns:
            [n, d_out]: to be compared with ``x``, or with the value at ``hook_out`` for a
            transcoder.
        """
        return self._skipped(x, self._decode(acts))

    def _skipped(self, x: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """What was decoded, with the skip connection where there is one."""
        skip = getattr(self.sae, "W_skip", None)
        return made if skip is None else made + x.to(made.dtype) @ skip.T


def inspect_sae(sae_path: str, sae_id: str | None = None) -> SAEConfig:
    """Find an SAE and read its config, not its weights.

    Args:
        sae_path: a local folder of any supported layout, a SAELens release, a hub repository,
            ``demo``, or the folder of a control.
        sae_id: which one there: a subfolder or file, a SAELens id, or a hook such as
            ``blocks.19.hook_resid_post``; may be left out where there is only one.

    Raises:
        SAESourceError: not found, incomplete, or of a kind that is not supported.
        HookError: it reads at a hook that is not supported.
    """
    control = read_control(sae_path)
    if control is not None:
        return controlled_config(inspect_sae(control.sae_path, control.sae_id), control)
    return _config(locate(sae_path, sae_id))


def load_sae(
    sae_path: str, sae_id: str | None = None, device: str | torch.device = "cpu"
) -> LoadedSAE:
    """Load an SAE in float32, whatever precision it is stored in.

    Raises:
        SAESourceError: as :func:`inspect_sae`, or the weights are missing, damaged, hold NaN,
            contradict the config, or are a pickle that would have to run code.
        HookError: as :func:`inspect_sae`.
    """
    from autointerp_core.sources import sae_build

    control = read_control(sae_path)
    if control is not None:
        real = load_sae(control.sae_path, control.sae_id)
        randomise(real.sae, real.config, control)
        changed = controlled_config(real.config, control)
        mark = sae_build.fingerprint(real.sae, changed)
        return LoadedSAE(changed, real.sae.to(device=str(device)), mark)
    located = locate(sae_path, sae_id)
    config = _config(located)
    if located.release is not None:
        sae = sae_build.from_release(located.release, located.release_id, config)
        if sae.cfg.normalize_activations in saelens.UNFOLDED:
            raise saelens.unfolded(config)
    else:
        place = with_weights(located).place
        assert place is not None
        sae = sae_build.build(LAYOUTS[place.layout].weights(place, config), config)
        if sae.cfg.normalize_activations in saelens.UNFOLDED:
            sae_build.fold_scaling(sae, config, saelens.scaling(config.folder) or {})
    sae_build.finish(sae, config)
    mark = sae_build.fingerprint(sae, config)
    return LoadedSAE(config, sae.to(device=str(device)), mark)


def check_fits(sae: SAEConfig, model: ModelConfig) -> None:
    """Whether this SAE can read this model at all, and predict what it says it predicts.

    Raises:
        HookError: the model has no such layer.
        SAESourceError: the SAE's input, or what it predicts, is not as wide as the model is there.
    """
    own = f" ({sae.model_name})" if sae.model_name else ""
    places = [(sae.hook, sae.d_in, "reads")]
    if sae.hook_out is not None:
        places.append((sae.hook_out, sae.d_out or sae.d_in, "predicts"))
    for hook, size, does in places:
        if (hook.layer or 0) >= model.n_layers:
            raise HookError(
                f"{hook.name} does not exist in {model.name}: it has {model.n_layers} layers, "
                f"0 to {model.n_layers - 1}; give the model this SAE was trained on{own}"
            )
        width = model.hook_width(hook)
        if width is not None and size != width:
            raise SAESourceError(
                f"the SAE {sae.source} {does} vectors of width {size}, but {model.name} is "
                f"{width} wide at {hook.name}; give the model this SAE was trained on{own}"
            )


def context_size(sae: SAEConfig, asked: int | None, model_limit: int | None, bos: bool) -> int:
    """How many tokens a sequence has: as asked, else as the SAE was trained, else 1,024.

    Args:
        model_limit: the most the model can take, None where it does not say.
        bos: whether a BOS token takes the first position.

    Raises:
        SAESourceError: it leaves no room for a token beside BOS.
    """
    found = asked or sae.context_size or DEFAULT_CONTEXT
    if model_limit is not None:
        found = min(found, model_limit)
    if found <= bos:
        whose = "is asked for" if asked else f"is what the config of the SAE {sae.source} says"
        raise SAESourceError(
            f"context_size={found} {whose}, and BOS is prepended: that leaves no room for a "
            "token of text; give a larger context_size, such as 128"
        )
    return found


def _config(located: LocatedSAE) -> SAEConfig:
    if located.release is not None:
        return _release_config(located)
    place = located.place
    assert place is not None
    layout = LAYOUTS[place.layout]
    hook = layout.hooks(place).hook() or located.hook
    if hook is None:
        raise SAESourceError(
            f"{located.source}: neither its files nor the folder's name says which layer it "
            "reads; give sae_id, e.g. blocks.19.hook_resid_post"
        )
    return layout.config(place, hook, located.source)


def _release_config(located: LocatedSAE) -> SAEConfig:
    assert located.release is not None
    raw = release_config(located)
    hook = saelens.hook_names(raw).hook() or HookPoint.parse(located.release_id)
    config = saelens.config_from(raw, hook, "release", located.source, located.folder)
    if is_cross_layer(located.release, located.release_id):
        config = saelens.one_of_cross_layer(config)
    return config
