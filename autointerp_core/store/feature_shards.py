"""Firings on disk: shards, and passes, which are the features that were extracted together."""

from __future__ import annotations

from collections.abc import Sequence
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


class Pass:
    """Features extracted together: their firings (by shard) and what was made of them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.features: NDArray[np.int32] = np.load(folder / "features.npy", allow_pickle=False)
        self.shards = sorted((folder / "shards").glob("*.safetensors"))
        self._open: list[Any] | None = None

    def rows(self, features: Sequence[int] | NDArray[Any]) -> IntArray:
        """Row of each feature in this pass's arrays; -1 where it is not here."""
        wanted = np.asarray(features, dtype=np.int64)
        row = np.searchsorted(self.features, wanted)
        clipped = np.minimum(row, len(self.features) - 1)
        return np.where(self.features[clipped] == wanted, clipped, -1)

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
            total += np.diff(handle.get_tensor("indptr"))
        return total

    def weighted_sums(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of each row, the sum of its activations, each times the weight of its token.

        Reads every firing once, a shard at a time.
        """
        total = np.zeros(len(self.features))
        for handle, offset in zip(self.handles(), self.shard_offsets(), strict=True):
            token = handle.get_tensor("token").astype(np.int64) + offset
            value = handle.get_tensor("activation").astype(np.float64) * weights[token]
            running = np.concatenate([[0.0], np.cumsum(value)])
            total += np.diff(running[handle.get_tensor("indptr")])
        return total

    def squared_sums(self) -> NDArray[np.float64]:
        """Of each row, the sum of its squared activations."""
        total = np.zeros(len(self.features))
        for handle in self.handles():
            value = handle.get_tensor("activation").astype(np.float64) ** 2
            running = np.concatenate([[0.0], np.cumsum(value)])
            total += np.diff(running[handle.get_tensor("indptr")])
        return total

    def firings(self, first: int, last: int) -> Firings:
        """Firings of rows ``[first, last)``, by row, then token."""
        rows, tokens, values = [], [], []
        for handle, offset in zip(self.handles(), self.shard_offsets(), strict=True):
            indptr = handle.get_slice("indptr")[first : last + 1]
            low, high = int(indptr[0]), int(indptr[-1])
            if low == high:
                continue
            rows.append(np.repeat(np.arange(first, last), np.diff(indptr)))
            tokens.append(handle.get_slice("token")[low:high].astype(np.int64) + offset)
            values.append(handle.get_slice("activation")[low:high])
        if not rows:
            empty = np.zeros(0, dtype=np.int64)
            return Firings(empty, empty, np.zeros(0, dtype=np.float32))
        row = np.concatenate(rows)
        # Shards come in token order and each is sorted, so a stable sort by row is enough.
        order = np.argsort(row, kind="stable")
        return Firings(row[order], np.concatenate(tokens)[order], np.concatenate(values)[order])

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
