"""A pass' shards as few long runs, so that reading a block of features opens few files.

A shard is sorted by feature. To read one feature, or a block of them, every shard has to be
looked into: with as many blocks as shards that is work that grows with their product. So shards
are merged, :data:`FAN_IN` at a time and level by level, into runs that are sorted likewise, until
no more than :data:`FAN_IN` are left. Every firing is read and written once a level, a block of
rows at a time, however many there are.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from autointerp_core.store.feature_shards import Firings, Pass, ShardRows, interleave
from autointerp_core.store.files import writing
from autointerp_core.store.tokenstore import IntArray

FAN_IN = 32
"""Runs merged at once, and left at the end."""
_BLOCK = 4_000_000
"""Firings in memory while runs are merged."""
_U32 = 1 << 32


class Run(Protocol):
    """Firings of all rows of a pass on a stretch of its tokens."""

    def counts(self) -> IntArray:
        """How many each row has."""

    def rows(self, first: int, last: int) -> ShardRows:
        """Those of rows ``[first, last)``, tokens counted from the study's start."""


@dataclass(frozen=True)
class ShardRun:
    """A shard as it is."""

    found: Pass
    shard: int

    @cached_property
    def _indptr(self) -> IntArray:
        indptr: IntArray = self.found.handles()[self.shard].get_tensor("indptr")
        return indptr

    @cached_property
    def _offset(self) -> int:
        return int(self.found.handles()[self.shard].metadata()["first_token"])

    def counts(self) -> IntArray:
        return self.found.counts_in(self.shard)

    def rows(self, first: int, last: int) -> ShardRows:
        found = self.found.shard_rows(self.shard, first, last, self._indptr)
        return found._replace(token=found.token + self._offset)


@dataclass(frozen=True)
class FileRun:
    """Several shards merged: three arrays in files beside each other."""

    place: Path
    """The files' common name."""

    @cached_property
    def _indptr(self) -> IntArray:
        indptr: IntArray = np.load(self._file("indptr"), allow_pickle=False)
        return indptr

    def counts(self) -> IntArray:
        return np.diff(self._indptr)

    def rows(self, first: int, last: int) -> ShardRows:
        low, high = int(self._indptr[first]), int(self._indptr[last])
        token = np.load(self._file("token"), mmap_mode="r", allow_pickle=False)[low:high]
        value = np.load(self._file("value"), mmap_mode="r", allow_pickle=False)[low:high]
        return ShardRows(
            np.diff(self._indptr[first : last + 1]), token.astype(np.int64), np.array(value)
        )

    def _file(self, what: str) -> Path:
        return self.place.with_name(f"{self.place.name}.{what}.npy")

    def remove(self) -> None:
        """Delete its files."""
        for what in ("indptr", "token", "value"):
            self._file(what).unlink()


def few_runs(
    found: Pass, folder: Path, n_tokens: int, told: Callable[[int, int], None]
) -> list[Run]:
    """No more than :data:`FAN_IN` runs that hold all firings of a pass, in the order of tokens.

    Args:
        folder: for merged runs; made anew. Whoever calls this removes it.
        n_tokens: of the study.
        told: called with firings merged so far, and in all.

    Raises:
        DiskFull: no space is left for them.
    """
    runs: list[Run] = [ShardRun(found, shard) for shard in range(len(found.shards))]
    if len(runs) <= FAN_IN:
        return runs
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    total = int(found.counts().sum())
    level, done = 0, 0
    with writing(folder):
        folder.mkdir()
        while len(runs) > FAN_IN:
            waiting, runs = deque(runs), []
            while waiting:
                # Taken out, so that what a run knows by now (8 bytes a row) goes with it.
                group = [waiting.popleft() for _ in range(min(FAN_IN, len(waiting)))]
                made = _merge(group, folder / f"{level}-{len(runs)}", n_tokens)
                for run in group:
                    if isinstance(run, FileRun):
                        run.remove()
                done += int(made.counts().sum())
                runs.append(FileRun(made.place))
                told(min(done, total), total)
            level, done = level + 1, 0
    return runs


def _merge(runs: Sequence[Run], place: Path, n_tokens: int) -> FileRun:
    made = FileRun(place)
    per_row = np.zeros(len(runs[0].counts()), dtype=np.int64)
    for run in runs:
        per_row += run.counts()
    indptr = np.concatenate([[0], np.cumsum(per_row)]).astype(np.int64)
    np.save(made._file("indptr"), indptr, allow_pickle=False)
    total = int(indptr[-1])
    kind = np.uint32 if n_tokens < _U32 else np.int64
    shape = (max(total, 1),)  # a file of nothing cannot be mapped
    token = np.lib.format.open_memmap(made._file("token"), "w+", kind, shape)
    value = np.lib.format.open_memmap(made._file("value"), "w+", np.float32, shape)
    for first, last in row_blocks(per_row, _BLOCK):
        part = interleave([run.rows(first, last) for run in runs], last - first)
        into = slice(int(indptr[first]), int(indptr[last]))
        token[into], value[into] = part.token, part.activation
    token.flush()
    value.flush()
    return made


def firings_of(runs: Sequence[Run], first: int, last: int) -> Firings:
    """Firings of rows ``[first, last)``, by row, then token."""
    counts, token, value = interleave([run.rows(first, last) for run in runs], last - first)
    return Firings(np.repeat(np.arange(first, last), counts), token, value)


def row_blocks(counts: IntArray, firings: int) -> Iterator[tuple[int, int]]:
    """Neighbouring rows that have about so many firings together, at least one row."""
    first = 0
    ends = np.cumsum(counts)
    while first < len(counts):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + firings, "right")))
        yield first, last
        first = last
