"""From weights under SAELens' names to an SAE that encodes the vectors a hook gives.

SAELens' own classes do the arithmetic. What they have no class for keeps its class and gets
another activation function, and a skip connection where there is one.
"""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import AutointerpError, SAESourceError
from autointerp_core.sources.hub import hub_errors, one_line
from autointerp_core.sources.layouts import saelens
from autointerp_core.sources.layouts.base import Weights
from autointerp_core.sources.releases import Release
from autointerp_core.sources.sae_config import SAEConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from sae_lens import SAE

_LATENT_PARAMETERS = ("b_enc", "b_gate", "b_mag", "r_mag", "threshold")


def build(weights: Weights, config: SAEConfig) -> SAE[Any]:
    """An SAE of SAELens' class in float32 on the CPU.

    Raises:
        SAESourceError: SAELens cannot make it.
    """
    import torch
    from sae_lens import SAE

    content = {
        **weights.switches,
        "architecture": weights.architecture,
        "d_in": config.d_in,
        "d_sae": config.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "metadata": {
            "sae_lens_version": "6.0.0",
            "model_name": config.model_name,
            "hook_name": config.hook.name,
            "context_size": config.context_size,
            "prepend_bos": config.prepend_bos,
        },
    }
    try:
        sae: SAE[Any] = SAE.load_from_disk(
            "", device="cpu", dtype="float32", converter=lambda *_, **__: (content, weights.state)
        )
    # SAELens checks with whatever exception comes to hand (KeyError, TypeError, RuntimeError).
    except Exception as error:
        raise _not_loaded(config, error) from error
    if weights.activation is not None:
        sae.activation_fn = weights.activation
    if weights.skip is not None:
        sae.register_parameter("W_skip", torch.nn.Parameter(weights.skip))
    return sae


def finish(sae: SAE[Any], config: SAEConfig) -> SAE[Any]:
    """Make a loaded SAE take the vectors a hook gives, [.., d_in], and freeze it."""
    # hook_z comes with its heads side by side, as the output projection reads it.
    sae.turn_off_forward_pass_hook_z_reshaping()
    if config.center_input:
        _centre(sae)
    return sae.eval().requires_grad_(False)


def fold_scaling(sae: SAE[Any], config: SAEConfig, record: dict[str, Any]) -> None:
    """Fold the input scaling of a SAELens training checkpoint into its weights, in place.

    Raises:
        SAESourceError: the scaling that the config means is not what lies beside it.
    """
    from safetensors.torch import load_file

    assert config.folder is not None
    if config.normalize_activations == "expected_average_only_in":
        factor = record.get("scaling_factor")
        if not isinstance(factor, int | float) or not factor > 0:
            raise saelens.unfolded(config)
        sae.fold_activation_norm_scaling_factor(float(factor))
        return
    path = config.folder / saelens.WHITENING_NAME
    if not path.is_file():
        raise saelens.unfolded(config)
    try:
        tensors = load_file(path)
        sae.fold_activation_whitening(tensors["mean"], tensors["matrix"], tensors["inverse_matrix"])
    except Exception as error:
        raise SAESourceError(
            f"the whitening in {path} cannot be folded into {config.source}: {one_line(error)}"
        ) from error


def from_release(release: Release, sae_id: str, config: SAEConfig) -> SAE[Any]:
    """An SAE of SAELens' directory, as SAELens' own loader reads it.

    Raises:
        SAESourceError: it cannot be downloaded or loaded, or its weights are not of the size in
            its config.
    """
    from sae_lens import SAE

    try:
        with hub_errors(SAESourceError, "SAE", release.repo_id), warnings.catch_warnings():
            # It warns of what is read from the config here: centring, missing scaling factors.
            warnings.simplefilter("ignore", UserWarning)
            sae: SAE[Any] = SAE.from_pretrained(release.name, sae_id, device="cpu", dtype="float32")
    except AutointerpError:
        raise
    except Exception as error:
        raise _not_loaded(config, error) from error
    if sae.cfg.d_in != config.d_in or sae.cfg.d_sae != config.d_sae:
        raise SAESourceError(f"weights and config of {config.source} disagree in size")
    return sae


def _not_loaded(config: SAEConfig, error: Exception) -> SAESourceError:
    return SAESourceError(
        f"SAELens cannot load {config.source}: {type(error).__name__}: {one_line(error)}"
    )


def restricted(sae: SAE[Any], latents: Sequence[int] | torch.Tensor) -> SAE[Any]:
    """An SAE of some latents of an elementwise one, in the order given: the same arithmetic.

    Only for :data:`~autointerp_core.sources.sae_config.ELEMENTWISE` architectures, where a
    latent's activation does not depend on the others.
    """
    import torch

    chosen = torch.as_tensor(latents, dtype=torch.long, device=sae.W_dec.device)
    fewer = copy.copy(sae)
    # A shallow copy shares its tables of parameters: give it its own before changing them.
    fewer._parameters = dict(sae._parameters)
    fewer.cfg = copy.copy(sae.cfg)
    fewer.cfg.d_sae = len(chosen)

    def keep(name: str, tensor: torch.Tensor) -> None:
        fewer._parameters[name] = torch.nn.Parameter(tensor.contiguous(), requires_grad=False)

    with torch.no_grad():
        keep("W_enc", sae.W_enc[:, chosen])
        keep("W_dec", sae.W_dec[chosen])
        for name in _LATENT_PARAMETERS:
            if sae._parameters.get(name) is not None:
                keep(name, sae._parameters[name][chosen])
    # The closures of the original's normalisation write to the original.
    fewer._setup_activation_normalization()
    return fewer


def fingerprint(sae: SAE[Any], config: SAEConfig) -> str:
    """SHA-256 over everything that decides what ``encode`` and ``decode`` give.

    Names, shapes and float32 values of the tensors and the switches in the config; not where
    the files lie, nor the precision they are stored in.
    """
    import torch

    switches = {
        key: value
        for key, value in sae.cfg.to_dict().items()
        if key not in ("dtype", "device", "metadata")
    }
    switches |= {"architecture": config.architecture, "center_input": config.center_input}
    if config.k is not None:
        switches.setdefault("k", config.k)
    digest = hashlib.sha256(json.dumps(switches, sort_keys=True).encode())
    for name, tensor in sorted(sae.state_dict().items()):
        values = tensor.detach().to("cpu", torch.float32).contiguous()
        digest.update(f"\n{name} {list(values.shape)}\n".encode())
        digest.update(values.numpy().data)
    return f"sha256:{digest.hexdigest()}"


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
