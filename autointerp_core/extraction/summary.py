"""Firings on disk → masks, exact statistics and examples, without the model.

Many shards are merged into few runs first (:mod:`.merge_runs`); then features are taken in blocks
of a bounded number of firings, by several processes where there are many. So time a firing and
memory depend neither on the number of tokens nor on that of features or shards.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import save

from autointerp_core.children import cores
from autointerp_core.extraction.firings import REFERENCE_SEQUENCES
from autointerp_core.extraction.merge_runs import few_runs, row_blocks
from autointerp_core.extraction.summary_process import Work, read_part, summarise_in_processes
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.feature_summary import STATISTICS, ChosenPeaks, Summary
from autointerp_core.store.files import atomic_file, write_bytes
from autointerp_core.store.study import SPECIAL, Pass, TokenStore
from autointerp_core.store.study_record import Masks
from autointerp_core.store.tokenstore import OUTSIDE

FIRINGS_PER_BLOCK = 1_000_000
_MANY_FIRINGS = 20_000_000
"""From so many on, starting processes costs less than it saves."""


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
    processes: int | None = None,
) -> None:
    """Write ``features.parquet`` and ``peaks.safetensors`` of one pass.

    Args:
        processes: how many share the work; the result is the same for any number. None: this
            one alone, or one a core where there is much to do.
    """
    folder = found.folder / "merging"
    n_rows = len(found.features)

    def told(done: int, total: int) -> None:
        progress(Progress("merging", done, total, "firings"))

    try:
        runs = few_runs(found, folder, tokens.n_tokens, told)
        work = Work(tokens, found, runs, n_counted, n_examples)
        counts = np.zeros(n_rows, dtype=np.int64)
        for run in runs:
            counts += run.counts()
        blocks = list(row_blocks(counts, FIRINGS_PER_BLOCK))
        many = int(counts.sum()) >= _MANY_FIRINGS
        n = min(processes or (cores() if many else 1), len(blocks))
        if n > 1:
            folder.mkdir(exist_ok=True)
            parts = summarise_in_processes(work, blocks, folder, n, progress)
            _write(found, map(read_part, parts))
        else:
            _write(found, _one_by_one(work, blocks, progress))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _one_by_one(
    work: Work, blocks: Sequence[tuple[int, int]], progress: ProgressCallback
) -> Iterator[Summary]:
    for first, last in blocks:
        yield work.block(first, last)
        progress(Progress("summarising", last, blocks[-1][1], "features"))


def _write(found: Pass, parts: Iterable[Summary]) -> None:
    """Both files, from the summaries of blocks in order."""
    statistics: list[dict[str, NDArray[Any]]] = []
    top_tokens: list[list[str]] = []
    peaks: list[ChosenPeaks] = []
    for made in parts:
        peaks.append(made.peaks)
        statistics.append(made.statistics)
        top_tokens += made.top_tokens
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
    columns = [name for name in STATISTICS if name in statistics[0]]
    table = pa.table(
        {"feature": found.features.astype(np.int64)}
        | {name: np.concatenate([s[name] for s in statistics]) for name in columns}
        | {"top_tokens": pa.array(top_tokens, type=pa.list_(pa.string()))}
    )
    with atomic_file(found.folder / "features.parquet") as handle:
        pq.write_table(table, handle)
