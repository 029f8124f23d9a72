"""An SAE's weights: read without unpickling, checked against the config, fingerprinted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hub import one_line
from autointerp_core.sources.paths import listing
from autointerp_core.sources.sae_config import SAEConfig

if TYPE_CHECKING:
    import torch
    from sae_lens import SAE

SAELENS_FILE = "sae_weights.safetensors"
SPARSIFY_FILE = "sae.safetensors"
_PICKLES = (".pt", ".bin", ".pth")


def read_tensors(folder: Path, filename: str) -> dict[str, torch.Tensor]:
    """All tensors of an SAE in float32 on the CPU.

    A folder with only a ``.pt`` or ``.bin`` is read by torch's restricted unpickler, which runs
    no code from the file.

    Raises:
        SAESourceError: no weights, damaged ones, or a pickle that would have to run code.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / filename
    if not path.is_file():
        others = sorted(folder.glob("*.safetensors"))
        path = others[0] if len(others) == 1 else path
    try:
        tensors = load_file(path) if path.is_file() else _read_pickle(folder, filename)
    except (SafetensorError, OSError) as error:
        raise SAESourceError(
            f"{path} is damaged or incomplete ({one_line(error)}); copy or download it again"
        ) from error
    for name, tensor in tensors.items():
        tensors[name] = tensor.to(torch.float32)
        if not bool(torch.isfinite(tensors[name]).all()):
            raise SAESourceError(f"the weights in {folder} hold NaN or infinity in {name!r}")
    return tensors


def _read_pickle(folder: Path, filename: str) -> dict[str, torch.Tensor]:
    import torch

    pickles = sorted(path for path in folder.iterdir() if path.suffix in _PICKLES)
    if not pickles:
        raise SAESourceError(f"no weights ({filename}) in {folder}; it holds {listing(folder)}")
    path = pickles[0]
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # Besides UnpicklingError, a damaged file ends in RuntimeError, EOFError or worse.
    except Exception as error:
        raise SAESourceError(
            f"{path} is refused: loading it would run code from the file (pickle), or it is "
            f"damaged; save the weights as {filename}"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise SAESourceError(
            f"{path} holds no plain dictionary of tensors; save the weights as {filename}"
        )
    return {str(name): tensor.contiguous() for name, tensor in content.items()}


def saelens_state(tensors: dict[str, torch.Tensor], config: SAEConfig) -> dict[str, torch.Tensor]:
    """Check tensors of the SAELens layout against the config; drops a scaling factor of ones.

    Raises:
        SAESourceError: a tensor is missing, has another shape, or is not known.
    """
    import torch

    state = dict(tensors)
    scaling = state.pop("scaling_factor", None)
    if scaling is not None and not torch.allclose(scaling, torch.ones_like(scaling)):
        raise SAESourceError(f"{config.source} has a finetuning scaling factor: not supported")
    d_in, d_sae = config.d_in, config.d_sae
    expected: dict[str, tuple[int, ...]] = {
        "W_enc": (d_in, d_sae),
        "W_dec": (d_sae, d_in),
        "b_dec": (d_in,),
    }
    biases = {"gated": ("b_gate", "b_mag", "r_mag"), "jumprelu": ("b_enc", "threshold")}
    for name in biases.get(config.architecture, ("b_enc",)):
        expected[name] = (d_sae,)
    if config.architecture == "gated":
        state.pop("b_enc", None)  # old files carry an unused one
    _check_shapes(state, expected, config.source)
    return state


def sparsify_state(tensors: dict[str, torch.Tensor], config: SAEConfig) -> dict[str, torch.Tensor]:
    """Rename and transpose sparsify's tensors into SAELens' TopK layout.

    Args:
        tensors: ``encoder.weight`` [d_sae, d_in], ``encoder.bias`` [d_sae],
            ``W_dec`` [d_sae, d_in], ``b_dec`` [d_in].

    Raises:
        SAESourceError: a tensor is missing, has another shape, or is not known.
    """
    d_in, d_sae = config.d_in, config.d_sae
    expected: dict[str, tuple[int, ...]] = {
        "encoder.weight": (d_sae, d_in),
        "encoder.bias": (d_sae,),
        "W_dec": (d_sae, d_in),
        "b_dec": (d_in,),
    }
    _check_shapes(tensors, expected, config.source)
    return {
        "W_enc": tensors["encoder.weight"].T.contiguous(),
        "b_enc": tensors["encoder.bias"],
        "W_dec": tensors["W_dec"],
        "b_dec": tensors["b_dec"],
    }


def _check_shapes(
    tensors: dict[str, torch.Tensor], expected: dict[str, tuple[int, ...]], source: str
) -> None:
    for name, shape in expected.items():
        if name not in tensors:
            raise SAESourceError(
                f"the weights of {source} lack {name!r}; they hold {', '.join(sorted(tensors))}"
            )
        found = tuple(tensors[name].shape)
        if found != shape:
            raise SAESourceError(
                f"weights and config of {source} disagree: {name} is {list(found)}, "
                f"cfg.json means {list(shape)}"
            )
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise SAESourceError(
            f"the weights of {source} hold tensors its cfg.json does not explain: "
            f"{', '.join(unknown)}"
        )


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
    digest = hashlib.sha256(json.dumps(switches, sort_keys=True).encode())
    for name, tensor in sorted(sae.state_dict().items()):
        values = tensor.detach().to("cpu", torch.float32).contiguous()
        digest.update(f"\n{name} {list(values.shape)}\n".encode())
        digest.update(values.numpy().data)
    return f"sha256:{digest.hexdigest()}"
