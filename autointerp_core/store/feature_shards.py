"""Firings on disk: shards, and passes, which are the features that were extracted together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from autointerp_core.store.files import write_bytes
from autointerp_core.store.tokenstore import IntArray

FloatArray = NDArray[np.float32]

FEATURES_FILE = "features.npy"


class Firings(NamedTuple):
    """Firings by row of a pass, then token; three arrays of one length."""

    row: IntArray
    token: IntArray
    """Index into all tokens of the study."""
    activation: FloatArray


@dataclass(frozen=True)
class ShardFirings:
    """All that one shard's file holds: what a range of sequences makes each row do.

    Token numbers are relative to ``first_token``, the study token at which the shard starts.
    """

    indptr: IntArray
    """``[F + 1]``: firings of row f are ``indptr[f]:indptr[f + 1]``, ascending by token."""
    token: NDArray[np.uint32]
    activation: FloatArray
    norm: FloatArray
    """Activation norm at the hook of every token of the shard, fired on or not."""
    first_token: int

    def only(self, rows: IntArray) -> ShardFirings:
        """The same with these rows alone, in this order."""
        counts = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        at = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], counts)
        return ShardFirings(
            indptr, self.token[at], self.activation[at], self.norm, self.first_token
        )


def write_shard(path: Path, firings: ShardFirings) -> None:
    """Write a shard's file, whole or not at all."""
    data = save(
        {
            "indptr": firings.indptr,
            "token": firings.token,
            "activation": firings.activation,
            "norm": firings.norm,
        },
        metadata={"first_token": str(firings.first_token)},
    )
    write_bytes(path, data)


def read_shard(path: Path) -> ShardFirings:
    """Read a whole shard."""
    with safe_open(path, framework="np") as handle:
        return ShardFirings(
            indptr=handle.get_tensor("indptr"),
            token=handle.get_tensor("token"),
            activation=handle.get_tensor("activation"),
            norm=handle.get_tensor("norm"),
            first_token=int(handle.metadata()["first_token"]),
        )


def shard_intact(path: Path) -> bool:
    """Whether a shard's file is there and whole (a rename is atomic, a bad disk is not)."""
    if not path.exists():
        return False
    try:
        with safe_open(path, framework="np") as handle:
            return "first_token" in (handle.metadata() or {})
    except SafetensorError:
        return False


class ShardRows(NamedTuple):
    """Firings of some rows in one shard, row after row."""

    counts: IntArray
    """How many each row has."""
    token: IntArray
    """Relative to the shard's first token, ascending in a row."""
    activation: FloatArray


class Pass:
    """Features extracted together: their firings (by shard) and what was made of them.

    The firings may be those of ``source``: a pass that keeps the firings of more features than
    were asked for, in shards of its own. Rows are always those of this pass' features.
    """

    def __init__(self, folder: Path, source: Path | None = None):
        self.folder, self.source = folder, source or folder
        self.features: NDArray[np.int32] = self._features()
        self._columns: IntArray | None = None
        if source is not None:
            self._columns = _places(read_features(source), self.features)
        self.shards = sorted((self.source / "shards").glob("*.safetensors"))
        self._open: list[Any] | None = None

    def _features(self) -> NDArray[np.int32]:
        return read_features(self.folder)

    def beside(self, file_name: str, row: int) -> tuple[Path, int] | None:
        """Where a file that holds a line a feature has this row's: folder and line there."""
        if (self.folder / file_name).exists():
            return self.folder, row
        if self._columns is not None and (self.source / file_name).exists():
            return self.source, int(self._columns[row])
        return None

    def has(self, file_name: str) -> bool:
        """Whether :meth:`beside` finds this file."""
        return (self.folder / file_name).exists() or (self.source / file_name).exists()

    def rows(self, features: Sequence[int] | NDArray[Any]) -> IntArray:
        """Row of each feature in this pass's arrays; -1 where it is not here."""
        return _places(self.features, features)

    def handles(self) -> list[Any]:
        if self._open is None:
            self._open = [safe_open(path, framework="np") for path in self.shards]
        return self._open

    def shard_offsets(self) -> list[int]:
        """First token of each shard."""
        return [int(handle.metadata()["first_token"]) for handle in self.handles()]

    def counts(self) -> IntArray:
        """Firings of each row over all shards, masked positions included."""
        total = np.zeros(len(self.features), dtype=np.int64)
        for handle in self.handles():
            total += self._own(np.diff(handle.get_tensor("indptr")))
        return total

    def each_shard(self) -> Iterator[tuple[int, ShardRows]]:
        """Every firing once, a shard at a time, with the shard's first token."""
        for handle, offset in zip(self.handles(), self.shard_offsets(), strict=True):
            yield offset, self._read(handle, 0, len(self.features))

    def weighted_sums(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of each row, the sum of its activations, each times the weight of its token.

        Reads every firing once, a shard at a time.
        """
        total = np.zeros(len(self.features))
        for offset, found in self.each_shard():
            total += _sums(
                found.activation.astype(np.float64) * weights[found.token + offset], found
            )
        return total

    def squared_sums(self) -> NDArray[np.float64]:
        """Of each row, the sum of its squared activations."""
        total = np.zeros(len(self.features))
        for _, found in self.each_shard():
            total += _sums(found.activation.astype(np.float64) ** 2, found)
        return total

    def firings(self, first: int, last: int) -> Firings:
        """Firings of rows ``[first, last)``, by row, then token."""
        parts = []
        for handle, offset in zip(self.handles(), self.shard_offsets(), strict=True):
            found = self._read(handle, first, last)
            if len(found.token):
                parts.append(found._replace(token=found.token + offset))
        counts, token, value = interleave(parts, last - first)
        return Firings(np.repeat(np.arange(first, last), counts), token, value)

    def _own(self, of_source: IntArray) -> IntArray:
        """Of a value a row of the source, those of this pass' rows."""
        return of_source if self._columns is None else of_source[self._columns]

    def counts_in(self, shard: int) -> IntArray:
        """Firings of each row in one shard."""
        return self._own(np.diff(self.handles()[shard].get_tensor("indptr")))

    def shard_rows(self, shard: int, first: int, last: int, indptr: IntArray) -> ShardRows:
        """Firings of rows ``[first, last)`` in one shard, whose ``indptr`` was read before."""
        return self._read(self.handles()[shard], first, last, indptr)

    def _read(self, handle: Any, first: int, last: int, whole: IntArray | None = None) -> ShardRows:
        """Firings of rows ``[first, last)`` in one shard."""
        if self._columns is None:
            known = whole if whole is not None else handle.get_slice("indptr")
            indptr = known[first : last + 1]
            runs = [(int(indptr[0]), int(indptr[-1]))]
            counts = np.diff(indptr)
        else:
            columns = self._columns[first:last]
            indptr = whole if whole is not None else handle.get_tensor("indptr")
            counts = indptr[columns + 1] - indptr[columns]
            # Neighbouring rows of the source lie end to end: read as one.
            cuts = np.flatnonzero(np.diff(columns) != 1) + 1
            heads, tails = np.append(0, cuts), np.append(cuts, len(columns)) - 1
            starts, stops = indptr[columns[heads]], indptr[columns[tails] + 1]
            runs = list(zip(starts.tolist(), stops.tolist(), strict=True))
        runs = [run for run in runs if run[0] < run[1]]
        if not runs:
            return ShardRows(counts, np.zeros(0, np.int64), np.zeros(0, np.float32))
        token, value = handle.get_slice("token"), handle.get_slice("activation")
        return ShardRows(
            counts,
            np.concatenate([token[low:high] for low, high in runs]).astype(np.int64),
            np.concatenate([value[low:high] for low, high in runs]),
        )

    @cached_property
    def peaks(self) -> dict[str, NDArray[Any]]:
        with safe_open(self.folder / "peaks.safetensors", framework="np") as handle:
            return {
                name: handle.get_tensor(name) for name in ("indptr", "token", "activation", "group")
            }

    @cached_property
    def table(self) -> pd.DataFrame:
        frame: pd.DataFrame = pq.read_table(self.folder / "features.parquet").to_pandas()
        return frame


def read_features(folder: Path) -> NDArray[np.int32]:
    """Features of a pass' folder, sorted."""
    features: NDArray[np.int32] = np.load(folder / FEATURES_FILE, allow_pickle=False)
    return features


def _places(features: NDArray[np.int32], wanted: Sequence[int] | NDArray[Any]) -> IntArray:
    """Place of each wanted feature among sorted ones; -1 where it is not there."""
    asked = np.asarray(wanted, dtype=np.int64)
    place = np.minimum(np.searchsorted(features, asked), len(features) - 1)
    return np.where(features[place] == asked, place, -1)


def interleave(parts: Sequence[ShardRows], n_rows: int) -> ShardRows:
    """Firings of the same rows from several places, row after row; in a row in the order given.

    Nothing is sorted: how many each place has of a row says where they go.
    """
    per_row = np.zeros(n_rows, dtype=np.int64)
    for part in parts:
        per_row += part.counts
    begin = np.cumsum(per_row) - per_row
    total = int(per_row.sum())
    token = np.empty(total, dtype=np.int64)
    value = np.empty(total, dtype=np.float32)
    for part in parts:
        own = np.cumsum(part.counts) - part.counts
        goes = np.repeat(begin - own, part.counts) + np.arange(len(part.token))
        token[goes], value[goes] = part.token, part.activation
        begin = begin + part.counts
    return ShardRows(per_row, token, value)


def _sums(value: NDArray[np.float64], found: ShardRows) -> NDArray[np.float64]:
    """The sum of ``value`` (one a firing) over each row."""
    running = np.concatenate([[0.0], np.cumsum(value)])
    return np.diff(running[np.concatenate([[0], np.cumsum(found.counts)])])
