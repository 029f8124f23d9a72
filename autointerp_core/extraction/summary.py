"""Firings on disk → masks, exact statistics and examples, without the model.

Features are taken in blocks of a bounded number of firings, so memory depends neither on
the number of tokens nor on the number of features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import save

from autointerp_core.extraction.firings import REFERENCE_SEQUENCES
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.feature_summary import ChosenPeaks, summarise_rows
from autointerp_core.store.files import atomic_file, write_bytes
from autointerp_core.store.study import SPECIAL, Pass, TokenStore
from autointerp_core.store.study_record import Masks
from autointerp_core.store.tokenstore import OUTSIDE

FIRINGS_PER_BLOCK = 1_000_000


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
    peaks: list[ChosenPeaks] = []
    n_rows = len(found.features)
    for first, last in _blocks(found.counts()):
        row, token, value = found.firings(first, last)
        made = summarise_rows(
            tokens, row - first, token, value, last - first, n_counted, n_examples
        )
        peaks.append(made.peaks)
        statistics.append(made.statistics)
        top_tokens += made.top_tokens
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


def _blocks(counts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    first = 0
    ends = np.cumsum(counts)
    while first < len(counts):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + FIRINGS_PER_BLOCK, "right")))
        yield first, last
        first = last
