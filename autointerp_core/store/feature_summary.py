"""From firings to what is shown of a feature: exact statistics, and which peaks are examples.

Pure functions of arrays; extraction writes what they give, and a study uses them for a feature
whose firings are kept and that nobody has asked for yet.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autointerp_core.store.tokenstore import TokenStore

BEFORE, AFTER = 16, 15
"""Tokens shown before and after a peak unless asked otherwise."""
PER_QUANTILE = 5
SLACK = 16
"""Peaks looked at beyond those asked for, so that identical windows rarely need a second look."""
_QUARTERS = 4


@dataclass(frozen=True)
class ChosenPeaks:
    """Peaks by row; ``group`` 0: top examples, 1 to 4: those of a quarter of the strengths."""

    row: NDArray[np.int64]
    token: NDArray[np.int64]
    value: NDArray[np.float32]
    group: NDArray[np.uint8]
    per_row: NDArray[np.int64]


STATISTICS = ("fired", "density", "max", "mean", "q25", "q50", "q75", "num_examples")
"""Columns of ``features.parquet`` between ``feature`` and ``top_tokens``."""


class Summary(NamedTuple):
    """What is made of the firings of neighbouring rows."""

    statistics: dict[str, NDArray[Any]]
    """Columns of ``features.parquet``, less ``feature`` and ``top_tokens``."""
    peaks: ChosenPeaks
    top_tokens: list[list[str]]


def summarise_rows(
    tokens: TokenStore,
    row: NDArray[np.int64],
    token: NDArray[np.int64],
    value: NDArray[np.float32],
    n_rows: int,
    n_counted: int,
    n_examples: int,
) -> Summary:
    """Statistics and chosen peaks of rows ``[0, n_rows)``, from all their firings.

    Args:
        row: of each firing, ascending; with it ``token`` (ascending in a row) and ``value``.
        n_counted: tokens that count, of which densities are shares.
        n_examples: top examples a row.
    """
    keep = np.asarray(tokens.counted[token]) > 0
    row, token, value = row[keep], token[keep], value[keep]
    best = _sequence_peaks(tokens, row, token, value)
    chosen = _choose(tokens, best, n_rows, n_examples)
    found = _statistics(row, np.abs(value), n_rows, n_counted)
    found |= {"num_examples": np.bincount(best.row, minlength=n_rows)}
    return Summary(found, chosen, _top_tokens(tokens, chosen, n_rows))


def _statistics(
    row: NDArray[np.int64], value: NDArray[np.float32], n_rows: int, n_counted: int
) -> dict[str, Any]:
    fired = np.bincount(row, minlength=n_rows)
    starts = np.concatenate([[0], np.cumsum(fired)[:-1]])
    ordered = value[np.lexsort((value, row))].astype(np.float64)
    total = np.bincount(row, weights=value, minlength=n_rows)
    live = fired > 0

    def quantile(q: float) -> NDArray[np.float64]:
        """Linear interpolation between order statistics, as ``numpy.quantile`` has it."""
        out = np.zeros(n_rows)
        at = q * (fired[live] - 1)
        low = np.floor(at).astype(np.int64)
        high = np.minimum(low + 1, fired[live] - 1)
        a, b = ordered[starts[live] + low], ordered[starts[live] + high]
        out[live] = a + (b - a) * (at - low)
        return out

    return {
        "fired": fired,
        "density": fired / max(n_counted, 1),
        "max": quantile(1.0).astype(np.float32),
        "mean": np.where(live, total / np.maximum(fired, 1), 0.0),
        "q25": quantile(0.25),
        "q50": quantile(0.5),
        "q75": quantile(0.75),
    }


def _sequence_peaks(
    tokens: TokenStore,
    row: NDArray[np.int64],
    token: NDArray[np.int64],
    value: NDArray[np.float32],
) -> ChosenPeaks:
    """The peak of every (row, sequence): its first position of strongest activation.

    Strength is magnitude: of a signed SAE a peak may be below zero. Returned by row, then
    strength descending, then token.
    """
    if not len(row):
        none = np.zeros(0, dtype=np.int64)
        empty = np.zeros(0, dtype=np.float32)
        return ChosenPeaks(none, none, empty, none.astype(np.uint8), none)
    sequence = tokens.sequence_of(token)
    new = np.concatenate([[True], (np.diff(row) != 0) | (np.diff(sequence) != 0)])
    segment = np.cumsum(new) - 1
    strength = np.abs(value)
    highest = np.maximum.reduceat(strength, np.flatnonzero(new))
    at = np.flatnonzero(strength == highest[segment])
    at = at[np.concatenate([[True], np.diff(segment[at]) != 0])]
    at = at[np.lexsort((token[at], -strength[at], row[at]))]
    group = np.zeros(len(at), dtype=np.uint8)
    return ChosenPeaks(row[at], token[at], value[at], group, np.zeros(0, dtype=np.int64))


def _choose(tokens: TokenStore, best: ChosenPeaks, n_rows: int, n_examples: int) -> ChosenPeaks:
    """Top examples (identical windows once), then evenly spaced ones from each quarter."""
    per_row = np.bincount(best.row, minlength=n_rows)
    starts = np.concatenate([[0], np.cumsum(per_row)])
    rank = np.arange(len(best.row)) - starts[best.row]
    near = np.flatnonzero(rank < n_examples + SLACK)
    bounds = np.searchsorted(best.row[near], np.arange(n_rows + 1))
    windows = window_ids(tokens, best.token[near])
    picked: list[int] = []
    for r in range(n_rows):
        seen: set[bytes] = set()
        kept: list[int] = []
        for i in range(bounds[r], bounds[r + 1]):
            if windows[i] not in seen:
                seen.add(windows[i])
                kept.append(int(near[i]))
                if len(kept) == n_examples:
                    break
        position = int(starts[r] + bounds[r + 1] - bounds[r])
        while len(kept) < n_examples and position < starts[r + 1]:
            ahead = np.arange(position, min(position + 1024, int(starts[r + 1])))
            for j, window in zip(ahead, window_ids(tokens, best.token[ahead]), strict=True):
                if window not in seen and len(kept) < n_examples:
                    seen.add(window)
                    kept.append(int(j))
            position += len(ahead)
        picked += kept
    top = np.asarray(picked, dtype=np.int64)
    parts, groups = [top], [np.zeros(len(top), dtype=np.uint8)]
    for quarter in range(_QUARTERS):
        low, high = per_row * quarter // _QUARTERS, per_row * (quarter + 1) // _QUARTERS
        step = np.arange(PER_QUANTILE)
        ranks = low[:, None] + (high - low)[:, None] * (2 * step + 1) // (2 * PER_QUANTILE)
        wanted = (starts[:-1, None] + ranks)[np.broadcast_to((high > low)[:, None], ranks.shape)]
        wanted = np.setdiff1d(wanted, top)
        parts.append(wanted)
        groups.append(np.full(len(wanted), quarter + 1, dtype=np.uint8))
    index, group = np.concatenate(parts), np.concatenate(groups)
    order = np.lexsort((index, group, best.row[index]))
    index, group = index[order], group[order]
    row = best.row[index]
    return ChosenPeaks(
        row, best.token[index], best.value[index], group, np.bincount(row, minlength=n_rows)
    )


def window_ids(tokens: TokenStore, token: NDArray[np.int64]) -> list[bytes]:
    """The token ids of each token's window, as comparable bytes."""
    if not len(token):
        return []
    start, stop = tokens.windows(token, BEFORE, AFTER)
    at = start[:, None] + np.arange(int((stop - start).max()))
    inside = at < stop[:, None]
    ids = tokens.ids[np.minimum(at, tokens.n_tokens - 1)]
    matrix = np.ascontiguousarray(np.where(inside, ids, np.uint32(0xFFFFFFFF)))
    return [line.tobytes() for line in matrix]


def _top_tokens(tokens: TokenStore, chosen: ChosenPeaks, n_rows: int) -> list[list[str]]:
    """Up to five texts that top examples peak on, most frequent first."""
    top = chosen.group == 0
    row, vocab = chosen.row[top], tokens.vocab
    peak = chosen.token[top]
    texts = [vocab[i] for i in tokens.ids[peak].tolist()]
    # Half a character's bytes are no text: the whole character is what the feature peaks on.
    parts = np.flatnonzero(tokens.in_parts(peak))
    for i, text in zip(parts.tolist(), tokens.unit_texts(peak[parts]), strict=True):
        texts[i] = text or texts[i]
    bounds = np.searchsorted(row, np.arange(n_rows + 1))
    out = []
    for r in range(n_rows):
        # most_common keeps first-seen order among equals: the stronger example wins.
        counts = Counter(texts[bounds[r] : bounds[r + 1]])
        out.append([text for text, _ in counts.most_common(5)])
    return out
