"""Which tokens a feature's decoder direction raises and lowers most, seen directly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from autointerp_core.errors import HookError
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.files import write_bytes

if TYPE_CHECKING:
    import torch

    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.model import ModelConfig

N_LOGITS = 10


def load_direction_head(
    config: ModelConfig, hook: HookPoint, device: torch.device
) -> Callable[[torch.Tensor], torch.Tensor]:
    """From decoder rows at ``hook`` [n, width] to logits [n, vocab].

    What attention's heads or an MLP's neurons write goes through the module that reads it into
    the residual stream first.

    Raises:
        HookError: vectors at ``hook`` do not go into the residual stream as they are.
        ModelSourceError: the model's final norm is not known.
    """
    import torch

    from autointerp_core.sources.model import load_head, load_truncated

    if not (hook.adds_to_stream or hook.read_by_projection):
        raise HookError(
            f"vectors at {hook.name} are not added to the residual stream, so a decoder direction "
            "there raises no token by itself"
        )
    head = load_head(config, device)
    if hook.adds_to_stream:
        return head
    # In float32 as the head is, and only as long as rows are projected.
    model = load_truncated(config, hook.blocks_needed, torch.float32, torch.device("cpu"))
    return lambda rows: head(model.project(hook, rows))


def write_logits(
    path: Path,
    decoder: torch.Tensor,
    head: Callable[[torch.Tensor], torch.Tensor],
    features: NDArray[np.int32],
    block: int,
    progress: ProgressCallback,
) -> None:
    """Top and bottom logits of ``features``: decoder row → final norm → unembedding.

    ``decoder`` is ``[d_sae, d_out]``; ``head`` maps ``[n, d_out]`` to ``[n, vocab]``;
    ``block`` features are done at once.
    """
    import torch

    parts: dict[str, list[NDArray[np.generic]]] = {}
    with torch.inference_mode():
        for start in range(0, len(features), block):
            rows = torch.as_tensor(features[start : start + block].astype(np.int64))
            logits = head(decoder[rows.to(decoder.device)].float())
            n = min(N_LOGITS, logits.shape[-1])
            for side, largest in (("top", True), ("bottom", False)):
                values, ids = logits.topk(n, dim=-1, largest=largest)
                parts.setdefault(f"{side}_ids", []).append(ids.int().cpu().numpy())
                parts.setdefault(f"{side}_values", []).append(values.float().cpu().numpy())
            progress(
                Progress("logits", min(start + block, len(features)), len(features), "features")
            )
    write_bytes(path, save({name: np.concatenate(p) for name, p in parts.items()}))
