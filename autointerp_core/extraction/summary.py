"""Firings on disk → masks, exact statistics and examples, without the model.

Features are taken in blocks of a bounded number of firings, so memory depends neither on
the number of tokens nor on the number of features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import save

from autointerp_core.extraction.firings import REFERENCE_SEQUENCES
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.files import atomic_file, write_bytes
from autointerp_core.store.study import AFTER, BEFORE, SPECIAL, Pass, TokenStore
from autointerp_core.store.study_record import Masks
from autointerp_core.store.tokenstore import OUTSIDE

FIRINGS_PER_BLOCK = 1_000_000
PER_QUANTILE = 5
_SLACK = 16
"""Peaks looked at beyond those asked for, so that identical windows rarely need a second look."""
_QUARTERS = 4


def reference_median(tokens: TokenStore, norms: NDArray[np.float32]) -> float:
    """Median activation norm over positions ≥ 1 of the first 64 sequences; 0.0 where none.

    ``norms`` holds at least those sequences' norms, in token order.
    """
    bounds = tokens.sequences[: REFERENCE_SEQUENCES + 1]
    keep = np.ones(int(bounds[-1]), dtype=bool)
    keep[bounds[:-1][np.diff(bounds) > 0]] = False
    return float(np.median(norms[: len(keep)][keep])) if keep.any() else 0.0


def counted_positions(
    flags: NDArray[np.uint8], norms: NDArray[np.float32], masks: Masks, median: float
) -> NDArray[np.uint8]:
    """1 for positions that count; 0 for special tokens, sinks, and what was not asked for."""
    counted: NDArray[np.bool_] = flags & OUTSIDE == 0
    if masks.special:
        counted &= flags & SPECIAL == 0
    if masks.sinks and median > 0:
        counted &= norms <= masks.sink_factor * median
    return counted.astype(np.uint8)


def write_counted(tokens: TokenStore, found: Pass, masks: Masks, median: float) -> int:
    """Write ``counted.bin`` from the norms in the shards; returns how many positions count."""
    total = 0
    with atomic_file(tokens.folder / "counted.bin") as handle:
        for shard, offset in zip(found.handles(), found.shard_offsets(), strict=True):
            norms = shard.get_tensor("norm")
            flags = np.asarray(tokens.flags[offset : offset + len(norms)])
            counted = counted_positions(flags, norms, masks, median)
            total += int(counted.sum())
            handle.write(counted.tobytes())
    return total


def summarise(
    tokens: TokenStore,
    found: Pass,
    n_counted: int,
    n_examples: int,
    progress: ProgressCallback,
) -> None:
    """Write ``features.parquet`` and ``peaks.safetensors`` of one pass."""
    statistics: list[dict[str, NDArray[Any]]] = []
    top_tokens: list[list[str]] = []
    peaks: list[_Peaks] = []
    n_rows = len(found.features)
    for first, last in _blocks(found.counts()):
        row, token, value = found.firings(first, last)
        keep = np.asarray(tokens.counted[token]) > 0
        row, token, value = row[keep] - first, token[keep], value[keep]
        best = _sequence_peaks(tokens, row, token, value)
        chosen = _choose(tokens, best, last - first, n_examples)
        peaks.append(chosen)
        statistics.append(
            _statistics(row, np.abs(value), last - first, n_counted)
            | {"num_examples": np.bincount(best.row, minlength=last - first)}
        )
        top_tokens += _top_tokens(tokens, chosen, last - first)
        progress(Progress("summarising", last, n_rows, "features"))
    per_row = np.concatenate([p.per_row for p in peaks])
    data = save(
        {
            "indptr": np.concatenate([[0], np.cumsum(per_row)]).astype(np.int64),
            "token": np.concatenate([p.token for p in peaks]),
            "activation": np.concatenate([p.value for p in peaks]),
            "group": np.concatenate([p.group for p in peaks]),
        }
    )
    write_bytes(found.folder / "peaks.safetensors", data)
    table = pa.table(
        {"feature": found.features.astype(np.int64)}
        | {name: np.concatenate([s[name] for s in statistics]) for name in statistics[0]}
        | {"top_tokens": pa.array(top_tokens, type=pa.list_(pa.string()))}
    )
    with atomic_file(found.folder / "features.parquet") as handle:
        pq.write_table(table, handle)


@dataclass(frozen=True)
class _Peaks:
    """Peaks of a block, by row. ``row`` is relative to the block's first feature."""

    row: NDArray[np.int64]
    token: NDArray[np.int64]
    value: NDArray[np.float32]
    group: NDArray[np.uint8]
    per_row: NDArray[np.int64]


def _blocks(counts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    first = 0
    ends = np.cumsum(counts)
    while first < len(counts):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + FIRINGS_PER_BLOCK, "right")))
        yield first, last
        first = last


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
) -> _Peaks:
    """The peak of every (row, sequence): its first position of strongest activation.

    Strength is magnitude: of a signed SAE a peak may be below zero. Returned by row, then
    strength descending, then token.
    """
    if not len(row):
        none = np.zeros(0, dtype=np.int64)
        empty = np.zeros(0, dtype=np.float32)
        return _Peaks(none, none, empty, none.astype(np.uint8), none)
    sequence = tokens.sequence_of(token)
    new = np.concatenate([[True], (np.diff(row) != 0) | (np.diff(sequence) != 0)])
    segment = np.cumsum(new) - 1
    strength = np.abs(value)
    highest = np.maximum.reduceat(strength, np.flatnonzero(new))
    at = np.flatnonzero(strength == highest[segment])
    at = at[np.concatenate([[True], np.diff(segment[at]) != 0])]
    at = at[np.lexsort((token[at], -strength[at], row[at]))]
    group = np.zeros(len(at), dtype=np.uint8)
    return _Peaks(row[at], token[at], value[at], group, np.zeros(0, dtype=np.int64))


def _choose(tokens: TokenStore, best: _Peaks, n_rows: int, n_examples: int) -> _Peaks:
    """Top examples (identical windows once), then evenly spaced ones from each quarter."""
    per_row = np.bincount(best.row, minlength=n_rows)
    starts = np.concatenate([[0], np.cumsum(per_row)])
    rank = np.arange(len(best.row)) - starts[best.row]
    near = np.flatnonzero(rank < n_examples + _SLACK)
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
    return _Peaks(
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


def _top_tokens(tokens: TokenStore, chosen: _Peaks, n_rows: int) -> list[list[str]]:
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
