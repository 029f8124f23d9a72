"""What ``SaeVisData`` lists as top activations, held against the peaks a study gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autointerp_core.errors import AutointerpError
from autointerp_core.store.feature_summary import window_ids
from autointerp_core.store.study import Pass, TokenStore

if TYPE_CHECKING:
    from sae_dashboard.sae_vis_data import SaeVisData

    from autointerp_core.extraction.sae_dashboard.runner import Found, Rectangle

_ROUNDING = 1e-4
"""``SaeVisData`` keeps four decimal places."""


def check_peaks(
    tokens: TokenStore, rectangle: Rectangle, made: Pass, found: Found, data: SaeVisData
) -> None:
    """Every peak that ``SaeVisData`` lists must be ours, in our order.

    Raises:
        AutointerpError: they differ, so sae-dashboard does not do what this engine thinks.
    """
    peaks, offsets = made.peaks, made.peaks["indptr"]
    for row, feature in enumerate(made.features.tolist()):
        span = slice(int(offsets[row]), int(offsets[row + 1]))
        ours = peaks["token"][span][peaks["group"][span] == 0].tolist()
        theirs, full = _listed(tokens, rectangle, row, found, data.feature_data_dict[feature])
        short = not full and len(theirs) < len(ours)
        if short or theirs[: len(ours)] != ours[: len(theirs)]:
            raise AutointerpError(
                f"sae-dashboard lists other top activations of feature {feature} than the "
                "activations it computed have; please report this with its version"
            )


def _listed(
    tokens: TokenStore, rectangle: Rectangle, row: int, found: Found, feature: Any
) -> tuple[list[int], bool]:
    """Peaks in ``SaeVisData``'s top list: a sequence once, identical windows once.

    And whether the list is full: one that is not ends in zeros, so it has every firing.
    """
    listed = feature.sequence_data.seq_group_data[0].seq_data
    token = np.asarray(
        [rectangle.first[s.original_index] + s.qualifying_token_index for s in listed],
        dtype=np.int64,
    )
    # A window of a whole row lacks the row's first token: a peak there is named, not shown.
    places = [s.qualifying_token_index - 1 for s in listed]
    shown = np.asarray(
        [s.feat_acts[p] if p >= 0 else np.nan for s, p in zip(listed, places, strict=True)]
    )
    # Its values are rounded; the firings' own decide the order and which are above zero.
    span = slice(int(found.indptr[row]), int(found.indptr[row + 1]))
    fired, activation = found.token[span], found.activation[span]
    at = np.minimum(np.searchsorted(fired, token), max(len(fired) - 1, 0))
    known = fired[at] == token if len(fired) else np.zeros(len(token), dtype=bool)
    keep = known & (tokens.counted[np.minimum(token, tokens.n_tokens - 1)] > 0)
    if (shown[~keep] > 0).any() or (np.abs(shown[keep] - activation[at[keep]]) > _ROUNDING).any():
        return [-1], False
    full = bool(keep.all())
    token, value = token[keep], activation[at[keep]] if len(fired) else shown[:0]
    if full and len(value):
        # Which of several equal activations fell off the end of a full list is chance.
        above = value > value.min()
        token, value = token[above], value[above]
    token = token[np.lexsort((token, -value))]
    _, once = np.unique(tokens.sequence_of(token), return_index=True)
    token = token[np.sort(once)]
    seen: set[bytes] = set()
    fresh: list[int] = []
    for t, window in zip(token.tolist(), window_ids(tokens, token), strict=True):
        if window not in seen:
            seen.add(window)
            fresh.append(t)
    return fresh, full
