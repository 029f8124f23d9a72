"""Which feature of one SAE is which of another at the same hook point.

By decoder direction (cosine), and, where both studies hold the same tokens, by what makes them
fire (Pearson's correlation of activations over all counted tokens). Two measures because neither
is enough: a direction may be split, and features that fire together may write different things.
Only features that the studies hold are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autointerp_core.arrays import Float64Array
from autointerp_core.errors import SAESourceError
from autointerp_core.explore.compare import how_to_compare
from autointerp_core.explore.first_shards import MOST_COMPARED, tokens_read
from autointerp_core.extraction.feature_map import decoder_of
from autointerp_core.extraction.memory import Blocks
from autointerp_core.extraction.study_lock import study_lock
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.sae_matches import (
    NOBODY,
    Matches,
    Partners,
    matches_path,
    read_matches,
    write_matches,
)
from autointerp_core.store.study import Study

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

__all__ = ["NOBODY", "Matches", "Partners", "match", "matches_path", "read_matches", "up_to_date"]

_BLOCK_ELEMENTS = 1 << 24
_OTHER_TOKENS = "the two studies hold different tokens"


def match(a: Study, b: Study, progress: ProgressCallback) -> Matches:
    """Match the features of two studies' SAEs and keep the result beside study ``a``.

    A measure that cannot be taken is left out, with the reason.

    Raises:
        BadInput: the SAEs are not of one hook point of one model.
        SAESourceError: neither measure can be taken.
        Cancelled: raised by ``progress``.
    """
    how_to_compare(a.info, b.info)
    activations, no_firings = None, _OTHER_TOKENS
    if same_tokens(a, b):
        progress(Progress("read firings"))
        counted = _looked_at(a, b)
        activations = (activation_rows(a, counted), activation_rows(b, counted))
        no_firings = ""
    try:
        progress(Progress("read the SAEs"))
        directions, no_decoder = (_unit(a), _unit(b)), ""
    except SAESourceError as error:
        directions, no_decoder = None, str(error)
    if directions is None and activations is None:
        raise SAESourceError(f"there is nothing to match by: {no_firings}, and {no_decoder}")
    decoder = firings = None
    if directions is not None:
        best, best_b, _ = by_cosine(*directions, progress)
        decoder = _partners(a, b, best, best_b, directions, activations)
    if activations is not None:
        best, best_b = by_correlation(*activations, progress)
        firings = _partners(a, b, best, best_b, directions, activations)
    found = Matches(
        a.features, decoder, firings, a.info.sae_fingerprint, b.info.sae_fingerprint,
        _held(a, b), no_decoder, no_firings,
    )  # fmt: skip
    with study_lock(a.folder, progress):
        write_matches(a.folder, b.id, found)
    return found


def up_to_date(found: Matches, a: Study, b: Study) -> bool:
    """Whether matches are of these SAEs and of all features that the studies hold now."""
    saes = (a.info.sae_fingerprint, b.info.sae_fingerprint)
    return (found.sae_a, found.sae_b) == saes and found.passes == _held(a, b)


def _held(a: Study, b: Study) -> str:
    return " ".join(",".join(entry.name for entry in study.info.passes) for study in (a, b))


def same_tokens(a: Study, b: Study) -> bool:
    """Whether two studies hold the same sequences of the same tokens."""
    one, two = a.tokens, b.tokens
    return np.array_equal(one.sequences, two.sequences) and np.array_equal(one.ids, two.ids)


def activation_rows(study: Study, counted: NDArray[np.bool_]) -> csr_array:
    """Activations ``[F, T]`` by feature and counted token, float32, a row a feature.

    Args:
        counted: which of the study's tokens are, and make the columns.
    """
    from scipy.sparse import csr_array, vstack

    column = np.cumsum(counted) - 1
    parts, features = [], []
    for found in study.passes:
        row, token, value = found.firings(0, len(found.features))
        use = counted[token]
        shape = (len(found.features), int(counted.sum()))
        parts.append(csr_array((value[use], (row[use], column[token[use]])), shape=shape))
        features.append(found.features)
    order = np.argsort(np.concatenate(features), kind="stable")
    return csr_array(vstack(parts, format="csr")[order])


def _looked_at(a: Study, b: Study) -> NDArray[np.bool_]:
    """The tokens that count in both studies; where there are very many firings, the first ones."""
    counted = (np.asarray(a.tokens.counted) > 0) & (np.asarray(b.tokens.counted) > 0)
    counted[_until(a, b) :] = False
    return counted


def share_compared(a: Study, b: Study) -> float:
    """Share of the tokens whose firings are compared: 1, but where there are very many firings."""
    return _until(a, b) / max(a.tokens.n_tokens, 1)


def _until(a: Study, b: Study) -> int:
    return min(tokens_read(study, MOST_COMPARED) for study in (a, b))


def by_cosine(
    a: torch.Tensor, b: torch.Tensor, progress: ProgressCallback
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Of unit vectors ``[F, d]`` and ``[G, d]``: the row in the other that is most alike.

    Returns:
        For each of ``a`` the row of ``b``, for each of ``b`` the row of ``a``, and the cosine of
        the first.
    """
    import torch

    best_b = torch.full((len(b),), -2.0)
    row_b = torch.zeros(len(b), dtype=torch.long)
    rows, values = [], []
    step = max(1, _BLOCK_ELEMENTS // max(len(b), 1))
    with torch.inference_mode():
        for start, cosine in Blocks(step).over(len(a), lambda low, high: a[low:high] @ b.T):
            value, row = cosine.max(1)
            rows.append(row.numpy())
            values.append(value.numpy())
            down, at = cosine.max(0)
            better = down > best_b
            best_b[better], row_b[better] = down[better], at[better] + start
            progress(Progress("compare directions", start + len(cosine), len(a), "features"))
    return np.concatenate(rows), row_b.numpy(), np.concatenate(values)


def by_correlation(
    a: csr_array, b: csr_array, progress: ProgressCallback
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of activations ``[F, T]`` and ``[G, T]``: the row in the other that correlates most.

    ``NOBODY`` where nothing fires on any token of it.
    """
    n_a, n_b = a.shape[0], b.shape[0]
    tokens = b.T.tocsr()
    best_a, best_b = np.full(n_a, NOBODY), np.full(n_b, NOBODY)
    value_b = np.zeros(n_b)
    mean_a, spread_a = _moments(a)
    mean_b, spread_b = _moments(b)
    step = max(1, _BLOCK_ELEMENTS // max(n_b, 1))
    for start in range(0, n_a, step):
        stop = min(start + step, n_a)
        found = (a[start:stop] @ tokens).toarray().astype(np.float64) / a.shape[1]
        together = found > 0
        found -= mean_a[start:stop, None] * mean_b
        found /= np.maximum(spread_a[start:stop, None] * spread_b, 1e-30)
        found[~together] = 0.0
        row = found.argmax(1)
        some = found[np.arange(stop - start), row] > 0
        best_a[start:stop][some] = row[some]
        at = found.argmax(0)
        value = found[at, np.arange(n_b)]
        better = value > value_b
        value_b[better], best_b[better] = value[better], at[better] + start
        progress(Progress("compare firings", stop, n_a, "features"))
    return best_a, best_b


def _moments(rows: csr_array) -> tuple[Float64Array, Float64Array]:
    """Mean and standard deviation of each row, zeros included."""
    n = rows.shape[1]
    mean = np.asarray(rows.sum(1, dtype=np.float64)).ravel() / n
    squares = np.asarray((rows.astype(np.float64) ** 2).sum(1)).ravel() / n
    return mean, np.sqrt(np.maximum(squares - mean**2, 0.0))


def _unit(study: Study) -> torch.Tensor:
    import torch

    decoder = decoder_of(study)[torch.as_tensor(study.features.astype(np.int64))]
    unit: torch.Tensor = decoder / decoder.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return unit


def _partners(
    a: Study,
    b: Study,
    best: NDArray[np.int64],
    best_b: NDArray[np.int64],
    directions: tuple[torch.Tensor, torch.Tensor] | None,
    activations: tuple[csr_array, csr_array] | None,
) -> Partners:
    """Both measures of each pair (a row of ``a``, its row ``best`` of ``b``)."""
    has = best >= 0
    row = np.where(has, best, 0)
    cosine, correlation, jaccard = (np.full(len(best), np.nan, np.float32) for _ in range(3))
    if directions is not None:
        import torch

        cosine = (directions[0] * directions[1][torch.as_tensor(row)]).sum(-1).numpy()
    if activations is not None:
        one, two = activations[0], activations[1][row]
        mean_a, spread_a = _moments(one)
        mean_b, spread_b = _moments(two)
        shared = np.asarray(one.multiply(two).sum(1, dtype=np.float64)).ravel() / one.shape[1]
        below = spread_a * spread_b
        fine = below > 0
        ratio = (shared - mean_a * mean_b)[fine] / below[fine]
        correlation[fine] = np.clip(ratio, -1, 1).astype(np.float32)
        on_a, on_b = (one != 0).astype(np.float32), (two != 0).astype(np.float32)
        both = np.asarray(on_a.multiply(on_b).sum(1)).ravel()
        either = np.asarray(on_a.sum(1)).ravel() + np.asarray(on_b.sum(1)).ravel() - both
        jaccard = np.where(either > 0, both / np.maximum(either, 1), np.nan).astype(np.float32)
    cosine, correlation, jaccard = (
        np.where(has, each, np.nan).astype(np.float32) for each in (cosine, correlation, jaccard)
    )
    partner = np.where(has, b.features[row], NOBODY).astype(np.int32)
    mutual = has & (best_b[row] == np.arange(len(best)))
    return Partners(partner, cosine, correlation, jaccard, mutual)
