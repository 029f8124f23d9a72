"""Which decoder directions are most like each feature's: written once, so that pages read it.

A few numbers a feature beside its pass: the nearest features of the whole SAE, extracted or
not, by the cosine of their decoder rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from autointerp_core.extraction.memory import Blocks
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.files import write_bytes
from autointerp_core.store.neighbours import NEIGHBOURS_FILE

if TYPE_CHECKING:
    import torch

N_NEIGHBOURS = 20
_BLOCK_ELEMENTS = 1 << 24
"""Cosines in memory at once."""


def write_neighbours(
    pass_folder: Path,
    decoder: torch.Tensor,
    features: NDArray[np.int32],
    progress: ProgressCallback,
) -> None:
    """Write the nearest directions of ``features``, most alike first.

    Args:
        pass_folder: of the pass that holds ``features``.
        decoder: ``[d_sae, d_in]``, a row a feature; a row of zeros is like no other.
    """
    import torch

    d_sae = len(decoder)
    n = min(N_NEIGHBOURS, d_sae - 1)
    step = max(1, _BLOCK_ELEMENTS // d_sae)
    ids: list[NDArray[np.int32]] = [np.zeros((0, n), dtype=np.int32)]
    cosines: list[NDArray[np.float32]] = [np.zeros((0, n), dtype=np.float32)]
    with torch.inference_mode():
        rows = decoder.float()
        inverse = 1.0 / rows.norm(dim=-1).clamp_min(1e-12)

        def nearest(start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
            own = torch.as_tensor(features[start:stop].astype(np.int64)).to(rows.device)
            cosine = (rows[own] * inverse[own, None]) @ rows.T
            cosine *= inverse
            cosine.scatter_(1, own[:, None], -torch.inf)  # itself is no neighbour
            values, found = cosine.topk(n, dim=-1)
            return values, found

        for start, (values, found) in Blocks(step).over(len(features), nearest):
            ids.append(found.int().cpu().numpy())
            cosines.append(values.clamp(-1.0, 1.0).cpu().numpy())
            done = start + len(found)
            progress(Progress("neighbours", done, len(features), "features"))
    data = save({"ids": np.concatenate(ids), "cosines": np.concatenate(cosines)})
    write_bytes(pass_folder / NEIGHBOURS_FILE, data)
