"""SAEs: what an SAE is, without its weights; and the SAE itself, as a SAELens object.

Whatever layout it came in, ``load_sae`` returns a ``sae_lens`` SAE in float32 with
``encode`` and ``decode``. Inspecting a local SAE imports neither torch nor sae_lens.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import AutointerpError, HookError, SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.hub import hub_errors, one_line
from autointerp_core.sources.sae_config import (
    CONFIG_NAME,
    UNFOLDED,
    SAEConfig,
    config_from,
    hook_text,
    is_sparsify,
    read_config,
)
from autointerp_core.sources.sae_files import LocatedSAE, locate, release_config, with_weights

if TYPE_CHECKING:
    import torch
    from sae_lens import SAE

    from autointerp_core.sources.model import ModelConfig

__all__ = ["HookPoint", "LoadedSAE", "SAEConfig", "check_fits", "inspect_sae", "load_sae"]


@dataclass(frozen=True)
class LoadedSAE:
    """An SAE ready to use."""

    config: SAEConfig
    sae: SAE[Any]
    """``encode(x [n, d_in]) -> acts [n, d_sae]``, dense float32; ``decode`` undoes it."""
    fingerprint: str
    """``sha256:…`` over what decides its output; the same wherever and however it is stored."""


def inspect_sae(sae_path: str, sae_id: str | None = None) -> SAEConfig:
    """Find an SAE and read its config, not its weights.

    Args:
        sae_path: a local folder (SAELens' or sparsify's layout), a SAELens release, a hub
            repository, or ``demo``.
        sae_id: which one there: a subfolder, a SAELens id, or a hook such as
            ``blocks.19.hook_resid_post``; may be left out where there is only one.

    Raises:
        SAESourceError: not found, incomplete, or of a kind that is not supported.
        HookError: it reads at a hook that is not supported.
    """
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
    from autointerp_core.sources import sae_weights

    located = locate(sae_path, sae_id)
    config = _config(located)
    if config.normalize_activations in UNFOLDED and located.release is None:
        raise _unfolded(config)
    if located.release is not None:
        sae = _from_release(located, config)
    else:
        sae = _from_folder(with_weights(located), config)
    if sae.cfg.normalize_activations in UNFOLDED:
        raise _unfolded(config)
    if config.architecture == "groupmax":
        assert config.k is not None
        sae.activation_fn = _groupmax(config.k)
    if config.center_input:
        _centre(sae)
    sae.eval().requires_grad_(False)
    mark = sae_weights.fingerprint(sae, config)
    return LoadedSAE(config, sae.to(device=str(device)), mark)


def check_fits(sae: SAEConfig, model: ModelConfig) -> None:
    """Whether this SAE can read this model at all.

    Raises:
        HookError: the model has no such layer.
        SAESourceError: the SAE's input is not as wide as the model is there.
    """
    if (sae.hook.layer or 0) >= model.n_layers:
        raise HookError(
            f"{sae.hook.name} does not exist in {model.name}: it has {model.n_layers} layers, "
            f"0 to {model.n_layers - 1}; give the model this SAE was trained on"
            + (f" ({sae.model_name})" if sae.model_name else "")
        )
    width = model.hook_width(sae.hook)
    if width is not None and sae.d_in != width:
        raise SAESourceError(
            f"the SAE {sae.source} reads vectors of width {sae.d_in}, but {model.name} is "
            f"{width} wide at {sae.hook.name}; give the model this SAE was trained on"
            + (f" ({sae.model_name})" if sae.model_name else "")
        )


def _config(located: LocatedSAE) -> SAEConfig:
    if located.release is not None:
        config = release_config(located)
    else:
        assert located.folder is not None
        config = read_config(located.folder)
    name = located.folder.name if located.folder is not None else ""
    text = hook_text(config, name) or (located.release_id if located.release else None)
    if text is None and located.hook is None:
        raise SAESourceError(
            f"{located.source}: neither {CONFIG_NAME} nor the folder's name says which layer it "
            "reads; give sae_id, e.g. blocks.19.hook_resid_post"
        )
    hook = HookPoint.parse(text) if text is not None else located.hook
    assert hook is not None
    return config_from(
        config,
        hook=hook,
        layout="release" if located.release is not None else "saelens",
        source=located.source,
        folder=located.folder,
    )


def _from_folder(located: LocatedSAE, config: SAEConfig) -> SAE[Any]:
    from sae_lens import SAE

    from autointerp_core.sources import sae_weights

    def read(
        path: str | Path, device: str, cfg_overrides: dict[str, Any] | None
    ) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        folder = Path(path)
        raw = read_config(folder)
        if is_sparsify(raw):
            tensors = sae_weights.read_tensors(folder, sae_weights.SPARSIFY_FILE)
            return _topk_config(config), sae_weights.sparsify_state(tensors, config)
        tensors = sae_weights.read_tensors(folder, sae_weights.SAELENS_FILE)
        state = sae_weights.saelens_state(tensors, config)
        return {**_without_model_kwargs(raw), **(cfg_overrides or {}), "device": device}, state

    assert located.folder is not None
    try:
        return SAE.load_from_disk(located.folder, device="cpu", dtype="float32", converter=read)
    except AutointerpError:
        raise
    # SAELens checks with whatever exception comes to hand (KeyError, TypeError, RuntimeError).
    except Exception as error:
        raise SAESourceError(
            f"SAELens cannot load {config.source}: {type(error).__name__}: {one_line(error)}"
        ) from error


def _from_release(located: LocatedSAE, config: SAEConfig) -> SAE[Any]:
    from sae_lens import SAE

    release = located.release
    assert release is not None
    try:
        with hub_errors(SAESourceError, "SAE", release.repo_id), warnings.catch_warnings():
            # It warns of what is read from the config here: centring, missing scaling factors.
            warnings.simplefilter("ignore", UserWarning)
            sae: SAE[Any] = SAE.from_pretrained(
                release.name, located.release_id, device="cpu", dtype="float32"
            )
    except AutointerpError:
        raise
    except Exception as error:
        raise SAESourceError(
            f"SAELens cannot load {config.source}: {type(error).__name__}: {one_line(error)}"
        ) from error
    if sae.cfg.d_in != config.d_in or sae.cfg.d_sae != config.d_sae:
        raise SAESourceError(f"weights and config of {config.source} disagree in size")
    return sae


def _topk_config(config: SAEConfig) -> dict[str, Any]:
    """What sparsify's rule is called in SAELens.

    ``topk(relu(W_enc (x - b_dec) + b_enc))``: relu before or after picking the largest k gives
    the same, and decoder norms play no part (sparsify keeps them at one while training only).
    """
    return {
        "architecture": "topk",
        "d_in": config.d_in,
        "d_sae": config.d_sae,
        "k": config.k,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "rescale_acts_by_decoder_norm": False,
        "metadata": {
            "sae_lens_version": "6.0.0",
            "model_name": config.model_name,
            "hook_name": config.hook.name,
            "context_size": config.context_size,
            "prepend_bos": config.prepend_bos,
        },
    }


def _without_model_kwargs(raw: dict[str, Any]) -> dict[str, Any]:
    """SAELens warns of these on load; what matters of them is in ``SAEConfig.center_input``."""
    kept = {key: value for key, value in raw.items() if key != "model_from_pretrained_kwargs"}
    if isinstance(kept.get("metadata"), dict):
        kept["metadata"] = {
            key: value
            for key, value in kept["metadata"].items()
            if key != "model_from_pretrained_kwargs"
        }
    return kept


def _unfolded(config: SAEConfig) -> SAESourceError:
    return SAESourceError(
        f"{config.source} was trained with normalize_activations={config.normalize_activations!r}, "
        "whose scaling is not in its files: activations would be wrong; fold it into the weights "
        "with SAELens and save again"
    )


def _groupmax(k: int) -> torch.nn.Module:
    """sparsify's groupmax: of k equal groups of neighbouring latents, each keeps its largest."""
    import torch

    class GroupMax(torch.nn.Module):
        def forward(self, pre: torch.Tensor) -> torch.Tensor:
            """``pre`` [.., d_sae] -> [.., d_sae], at most k of them above zero."""
            groups = pre.relu().reshape(*pre.shape[:-1], k, -1)
            values, at = groups.max(dim=-1, keepdim=True)
            return torch.zeros_like(groups).scatter_(-1, at, values).flatten(-2)

    return GroupMax()


def _centre(sae: SAE[Any]) -> None:
    """Feed the SAE what TransformerLens' ``center_writing_weights`` would have.

    That option removes each residual vector's mean, which LayerNorm ignores; Hugging Face's
    model keeps it. The mean is put back after decoding, as SAELens does for layer_norm, so that
    a reconstruction is compared with the vector it was made from.
    """
    kept: dict[str, torch.Tensor] = {}

    def remove(x: torch.Tensor) -> torch.Tensor:
        kept["mean"] = x.mean(dim=-1, keepdim=True)
        return x - kept["mean"]

    def restore(x: torch.Tensor, _: Any) -> torch.Tensor:
        return x + kept["mean"]

    sae.reshape_fn_in = remove
    sae.reshape_fn_out = restore
