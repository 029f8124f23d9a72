"""A study's control: what to extract to see the same features with meaningless directions.

A random direction does not fire as often as a trained one at the same threshold: on half of all
tokens, or on none. So where latents fire on their own (no top-k), each one's threshold is set on a
sample of the study's tokens so that it fires as often as the feature it stands for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autointerp_core.arrays import Float64Array
from autointerp_core.errors import AutointerpError, SAESourceError
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.health_sample import take_sample
from autointerp_core.home import home
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.sources.control_sae import (
    ControlSAE,
    check_kind,
    randomise,
    read_control,
    write_control,
)
from autointerp_core.store.study import Study

if TYPE_CHECKING:
    import torch
    from sae_lens import SAE

    from autointerp_core.sources.sae import LoadedSAE

_SAMPLE = 8_000
"""Tokens on which thresholds are set."""
_BLOCK = 512


def control_request(
    study: Study,
    kind: str,
    features: tuple[int, ...] | None = None,
    *,
    seed: int = 0,
    device: str | None = None,
    progress: ProgressCallback = silent,
) -> ExtractionConfig:
    """Describe the control SAE of a study, and say how its study is extracted.

    Args:
        kind: ``shuffled`` or ``random-sae``.
        features: which; None: those that the study holds.

    Raises:
        ParameterError: there is no such kind.
        SAESourceError: the SAE's weights (or the study's model or dataset) are not at hand.
    """
    check_kind(kind)
    folder = home() / "controls" / f"{study.id}-{kind}-{seed}"
    request = _request(study, folder, features, device)
    record = study.info.sae
    control = ControlSAE(kind, seed, study.id, str(record.path), record.sae_id)
    kept = read_control(str(folder))
    # Of the same study, but its SAE may have been moved since.
    if kept is None or kept.sae_path != control.sae_path:
        progress(Progress("preparing", message=f"making the {kind} control of {study.id}"))
        loaded = _load(study)
        write_control(folder, control, _thresholds(study, loaded, control, device, progress))
    return request


def _request(
    study: Study, folder: Path, features: tuple[int, ...] | None, device: str | None
) -> ExtractionConfig:
    info = study.info
    lacking = [
        name
        for name, there in (
            ("the path of its SAE's weights", info.sae.path),
            ("the path of its dataset", info.dataset.path),
            ("its rows and how it was made", info.identity),
        )
        if not there
    ]
    if lacking or info.identity is None:
        raise SAESourceError(
            f"no control can be made of study {info.id}: it does not say {' and '.join(lacking)}; "
            "a control is extracted from the SAE's weights, so give a study that was extracted here"
        )
    stored = tuple(int(feature) for feature in study.features)
    return ExtractionConfig(
        model_path=info.model_path,
        sae_path=str(folder),
        dataset_path=str(info.dataset.path),
        features=stored if features is None else features,
        column=info.column,
        n_rows=info.dataset.n_rows or info.identity.rows,
        context_size=info.context_size,
        prepend_bos=info.tokenisation.prepend_bos,
        pack=bool(info.identity.pack),
        chat_roles=info.identity.chat_roles,
        masks=info.identity.masks,
        dtype=info.identity.dtype,
        device=device,
    )


def _load(study: Study) -> LoadedSAE:
    from autointerp_core.sources.sae import load_sae

    record = study.info.sae
    try:
        loaded = load_sae(str(record.path), record.sae_id)
    except AutointerpError as error:
        raise SAESourceError(
            f"no control can be made of study {study.id}: its SAE's weights are not at hand "
            f"({error})"
        ) from error
    if loaded.fingerprint != record.fingerprint:
        raise SAESourceError(
            f"no control can be made of study {study.id}: the SAE at {record.path} is another one "
            "by now; put the old one back, or make a new study"
        )
    return loaded


def _thresholds(
    study: Study,
    loaded: LoadedSAE,
    control: ControlSAE,
    device: str | None,
    progress: ProgressCallback,
) -> dict[str, torch.Tensor] | None:
    """Parameters that make each latent of the control fire as often as the study's; or None.

    None of a family that takes the strongest of all latents: it fires as often by itself.
    """
    if not loaded.config.elementwise:
        return None
    sae = loaded.sae
    vectors = _vectors(study, loaded, device, progress)
    randomise(sae, loaded.config, control)
    projected = _projected(sae, vectors)
    return _parameters(sae, _at_density(projected, _densities(study)))


def _vectors(
    study: Study, loaded: LoadedSAE, device: str | None, progress: ProgressCallback
) -> torch.Tensor:
    """Vectors at the SAE's hook of the study's first counted tokens ``[n, d_in]``."""
    from autointerp_core.sources.model import (
        inspect_model,
        load_truncated,
        resolve_device,
        resolve_dtype,
    )

    info = study.info
    assert info.identity is not None
    model = inspect_model(info.model_path, progress)
    place = resolve_device(device)
    hook = loaded.config.hook
    dtype = resolve_dtype(info.identity.dtype, model, place)
    truncated = load_truncated(model, hook.blocks_needed, dtype, place)
    median = info.sinks.reference_median if info.sinks is not None else 0.0
    _, found = take_sample(truncated, [hook], study.tokens, info.identity.masks, median, _SAMPLE)
    if hook not in found:
        raise SAESourceError(f"no control can be made of study {study.id}: no token of it counts")
    return found[hook].float().cpu()


def _densities(study: Study) -> Float64Array:
    """Density of every latent; those that were not extracted take the median."""
    table = study.table
    known = table["density"].to_numpy(dtype=np.float64)
    middle = float(np.median(known)) if len(known) else 0.0
    found = np.full(study.info.d_sae, middle)
    found[table["feature"].to_numpy()] = known
    return found


def _projected(sae: SAE[Any], vectors: torch.Tensor) -> torch.Tensor:
    """What each latent reads of each token before its bias ``[n, d_sae]``, a block at a time."""
    import torch

    with torch.inference_mode():
        read = sae.process_sae_in(vectors)
        width = sae.W_enc.shape[1]
        return torch.cat(
            [read @ sae.W_enc[:, at : at + _BLOCK] for at in range(0, width, _BLOCK)], dim=1
        )


def _at_density(projected: torch.Tensor, density: Float64Array) -> torch.Tensor:
    """Of each latent the value that a share ``density`` of tokens exceeds ``[d_sae]``."""
    import torch

    n = len(projected)
    ordered = projected.sort(dim=0, descending=True).values
    above = np.clip(np.round(density * n), 0, n - 1).astype(np.int64)
    ranks = torch.from_numpy(above)[None]
    upper = ordered.gather(0, (ranks - 1).clamp(min=0))[0]
    lower = ordered.gather(0, ranks)[0]
    middle: torch.Tensor = (upper + lower) / 2
    # One that fires on less than a token of the sample: just below the strongest it saw.
    return torch.where(torch.from_numpy(density) > 0, middle, ordered[0] + 1)


def _parameters(sae: SAE[Any], threshold: torch.Tensor) -> dict[str, torch.Tensor]:
    """The biases with which latents fire above ``threshold`` of what they read."""
    import torch

    own = sae._parameters
    if own.get("b_gate") is not None:
        return {"b_gate": -threshold, "b_mag": -threshold * torch.exp(own["r_mag"].detach())}
    jump = own.get("threshold")
    return {"b_enc": (0.0 if jump is None else jump.detach()) - threshold}
