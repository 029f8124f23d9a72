"""What an SAE is, in one record for people and programs: ``autointerp inspect-sae``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autointerp_core.sources.sae import inspect_sae
from autointerp_core.sources.sae_config import SAEConfig
from autointerp_core.sources.sae_weights import PICKLES, tensor_infos


@dataclass(frozen=True)
class SAEDescription:
    """An SAE as its files describe it. None where they do not say."""

    source: str
    layout: str
    architecture: str
    d_in: int
    d_out: int
    d_sae: int
    k: int | None
    hook: str
    """Where it reads, in TransformerLens' words, else as a module's place."""
    hook_out: str | None
    """What it predicts; None where it reconstructs what it reads."""
    model: str | None
    """The model it was trained on."""
    dtype: str | None
    """The precision its weights are stored in."""
    normalisation: str
    """What is done to its input: ``none``, ``layer_norm``, ``constant_norm_rescale``, or a
    scaling that is folded into the weights on load (``expected_average_only_in``,
    ``dataset-wise``)."""
    context_size: int | None
    prepend_bos: bool
    signed: bool
    """Whether activations may be negative."""
    unusual: tuple[str, ...]
    """What is not as in most SAEs, a sentence each."""

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {**asdict(self), "unusual": list(self.unusual)}


def describe_sae(path: str, sae_id: str | None = None) -> SAEDescription:
    """Find an SAE and say what it is. Arguments and exceptions as for ``inspect_sae``."""
    config = inspect_sae(path, sae_id)
    return SAEDescription(
        source=config.source,
        layout=config.layout,
        architecture=config.architecture,
        d_in=config.d_in,
        d_out=config.d_out or config.d_in,
        d_sae=config.d_sae,
        k=config.k,
        hook=config.hook.name,
        hook_out=config.hook_out.name if config.hook_out is not None else None,
        model=config.model_name,
        dtype=config.dtype or _dtype_of_pickle(config),
        normalisation=config.normalize_activations,
        context_size=config.context_size,
        prepend_bos=config.prepend_bos,
        signed=config.signed,
        unusual=config.unusual,
    )


def _dtype_of_pickle(config: SAEConfig) -> str | None:
    """The precision of the first tensor of the only torch file there, None where there is none."""
    folder: Path | None = config.folder
    if folder is None:
        return None
    files = [path for path in folder.glob("*") if path.suffix in PICKLES]
    if len(files) != 1:
        return None
    matrices = [info for info in tensor_infos(files[0]).values() if len(info.shape) == 2]
    return matrices[0].dtype if matrices else None
