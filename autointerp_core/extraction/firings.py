"""Sequences → firings: the one expensive pass, a shard of sequences at a time.

A shard is the unit of work and of loss: its file appears whole or not at all, and its
bytes depend only on the tokens, weights, threads and batch size. Every firing is kept,
masked positions included: masks are applied when shards are summarised, so windows can
show what a feature does on a BOS token or an attention sink, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import AutointerpError, OutOfMemory
from autointerp_core.extraction.memory import (
    Blocks,
    dense_elements,
    is_out_of_memory,
    memory_told,
    release_device_memory,
)
from autointerp_core.extraction.transfers import arrival, do_nothing, on_its_way, sent
from autointerp_core.store.feature_shards import ShardFirings
from autointerp_core.store.tokenstore import TokenPart, TokenStore

if TYPE_CHECKING:
    import torch

    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.model import TruncatedModel
    from autointerp_core.sources.sae import LoadedSAE

SHARD_TOKENS = 32_768
"""Tokens a shard holds, unless a single sequence is longer."""
BATCH_TOKENS = 4_096
"""Tokens, padding included, in one forward batch on CPU; larger ones gain nothing there."""
CUDA_BATCH_TOKENS = 65_536
REFERENCE_SEQUENCES = 64
"""The sink rule's reference median is over these first sequences (DESIGN §3)."""


@dataclass(frozen=True)
class Shard:
    """Sequences ``[first, last)`` and the file their firings go to."""

    index: int
    first: int
    last: int

    def path(self, folder: Path) -> Path:
        return folder / "shards" / f"{self.index:05d}.safetensors"


def plan_shards(sequences: NDArray[np.int64], shard_tokens: int = SHARD_TOKENS) -> list[Shard]:
    """Cut sequences (token offsets ``[S+1]``) into shards of about ``shard_tokens``.

    One cut always falls behind the reference sequences: the sink threshold and the health
    check are known early, and nothing is computed twice for them.
    """
    shards: list[Shard] = []
    first, n_sequences = 0, len(sequences) - 1
    while first < n_sequences:
        last = int(np.searchsorted(sequences, sequences[first] + shard_tokens, "right")) - 1
        last = min(max(last, first + 1), n_sequences)
        if first < REFERENCE_SEQUENCES < last:
            last = REFERENCE_SEQUENCES
        shards.append(Shard(len(shards), first, last))
        first = last
    return shards


@dataclass
class Batching:
    """How many sequences and tokens go through the model at once.

    Changes no result. Halved for good when the device runs out of memory.
    """

    sequences: int
    tokens: int

    def batches(self, lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Indices into ``lengths`` by batch, similar lengths together, empty ones left out."""
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] > 0]
        start = 0
        while start < len(order):
            stop = start + 1
            while (
                stop < len(order)
                and stop - start < self.sequences
                and (stop + 1 - start) * lengths[order[stop]] <= self.tokens
            ):
                stop += 1
            yield order[start:stop]
            start = stop

    def halve(self, size: int) -> None:
        """Lower the limits below a batch of ``size`` sequences that did not fit."""
        self.sequences = max(1, size // 2)


class Extractor:
    """Model and SAE, ready to turn sequences into firings of ``features`` (sorted)."""

    def __init__(
        self,
        model: TruncatedModel,
        sae: LoadedSAE,
        hook: HookPoint,
        features: NDArray[np.int32],
        batching: Batching,
    ):
        import torch

        self.model, self.sae, self.hook, self.batching = model, sae, hook, batching
        everything = len(features) == sae.config.d_sae
        self.features, self.n_features = features, len(features)
        self.columns = None if everything else torch.as_tensor(features, dtype=torch.long)
        # Of an elementwise SAE only what is kept is computed.
        self.encode = sae.firing_encoder(self.columns)
        self.chosen = sae.topk_encoder() is not None
        self.rows: NDArray[np.int64] | None = None
        if not everything:
            self.rows = np.full(sae.config.d_sae, -1, dtype=np.int64)
            self.rows[features] = np.arange(len(features))
        width = len(features) if sae.config.elementwise else sae.config.d_sae
        self.encoding = Blocks(dense_elements(model.device) // max(width, 1))

    def extract(self, tokens: TokenStore | TokenPart, shard: Shard) -> ShardFirings:
        """What one shard's sequences make every feature do.

        Raises:
            OutOfMemory: not even one sequence fits on the device.
            AutointerpError: activations are not finite.
        """
        return begin_together([self], tokens, shard)[0].firings()

    def add(self, at: NDArray[np.int64], x: torch.Tensor, into: Gathered) -> None:
        """Encode vectors ``x [n, d_in]`` at the hook, which are those of tokens ``at``.

        Nothing is waited for but by ReLU families, whose number of firings decides a size.
        """
        import torch

        told = "not even one token can be encoded; give another device, or free memory"
        with torch.inference_mode(), memory_told(x.device, told):
            norm = on_its_way(x.norm(dim=-1))
            for start, found in self.encoding.over(
                len(x), lambda low, high: self.encode(x[low:high])
            ):
                where, row, value = found
                into.parts.append(
                    (at[start:], on_its_way(where), on_its_way(row), on_its_way(value.float()))
                )
        into.norms.append((at, norm))
        into.arrived = arrival(x.device)

    def firing(
        self, row: NDArray[np.int64], value: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows of the features kept, and which of what was encoded fires.

        Raises:
            AutointerpError: a value is not finite.
        """
        # NaN is neither above zero nor not: it would vanish without a word.
        finite = np.isfinite(value)
        if not finite.all():
            raise self._overflowed(row[~finite])
        fires = value != 0 if self.sae.config.signed else value > 0
        if self.chosen and self.rows is not None:
            row = self.rows[row]
            fires &= row >= 0
        return row, fires

    def _overflowed(self, rows: NDArray[np.int64]) -> AutointerpError:
        """``rows`` are features' rows; of a top-k family, latents."""
        feature = int(rows[0])
        if self.columns is not None and not self.chosen:
            feature = int(self.columns[feature])
        return AutointerpError(
            f"the SAE {self.sae.config.source} overflows: feature {feature} has an activation at "
            f"{self.hook.name} that is no finite number; are its weights, or the model's, damaged?"
        )


class Gathered:
    """One SAE's share of a shard, encoded or about to be: :meth:`firings` waits for it."""

    def __init__(self, extractor: Extractor, n_tokens: int, first_token: int):
        self.extractor, self.n_tokens, self.first_token = extractor, n_tokens, first_token
        self.norms: list[tuple[NDArray[np.int64], torch.Tensor]] = []
        self.parts: list[tuple[NDArray[np.int64], torch.Tensor, torch.Tensor, torch.Tensor]] = []
        """Tokens that rows of a block are; row of the block, row of a feature, value."""
        self.arrived: Callable[[], None] = do_nothing

    def firings(self) -> ShardFirings:
        """All of them, by feature, then token.

        Raises:
            AutointerpError: activations are not finite.
        """
        self.arrived()
        norm = np.zeros(self.n_tokens, dtype=np.float32)
        for at, of_batch in self.norms:
            norm[at] = of_batch.numpy()
        if not np.isfinite(norm).all():
            raise AutointerpError(
                f"activations at {self.extractor.hook.name} are not finite; try dtype='float32'"
            )
        rows = [np.zeros(0, dtype=np.int64)]
        tokens = [np.zeros(0, dtype=np.int64)]
        values = [np.zeros(0, dtype=np.float32)]
        for at, where, latent, value in self.parts:
            activation = value.numpy()
            row, fires = self.extractor.firing(latent.numpy(), activation)
            rows.append(row[fires])
            tokens.append(at[where.numpy()[fires]])
            values.append(activation[fires])
        self.parts.clear()
        row, token, activation = (
            np.concatenate(rows),
            np.concatenate(tokens),
            np.concatenate(values),
        )
        order = np.argsort(row * (self.n_tokens + 1) + token)
        n_features = self.extractor.n_features
        indptr = np.zeros(n_features + 1, dtype=np.int64)
        np.cumsum(np.bincount(row, minlength=n_features), out=indptr[1:])
        return ShardFirings(
            indptr, token[order].astype(np.uint32), activation[order], norm, self.first_token
        )


def begin_together(
    extractors: Sequence[Extractor], tokens: TokenStore | TokenPart, shard: Shard
) -> list[Gathered]:
    """One shard through the model, which runs once, and through the SAEs of all extractors.

    The extractors share model and batching; each one's result is what it gives alone. On a GPU
    this returns while it still works.

    Raises:
        OutOfMemory: not even one sequence fits on the device.
    """
    offsets = np.asarray(tokens.sequences[shard.first : shard.last + 1])
    base, n_tokens = int(offsets[0]), int(offsets[-1] - offsets[0])
    ids = np.asarray(tokens.ids[base : base + n_tokens]).astype(np.int64)
    starts, lengths = offsets[:-1] - base, np.diff(offsets)
    model, batching = extractors[0].model, extractors[0].batching
    gathered = [Gathered(extractor, n_tokens, base) for extractor in extractors]
    hooks = list(dict.fromkeys(each.hook for each in extractors))
    for batch in batching.batches(lengths):
        for part, vectors in _forward(model, hooks, batching, ids, starts, lengths, batch):
            at = np.concatenate([np.arange(s, s + n) for s, n in part])
            for extractor, into in zip(extractors, gathered, strict=True):
                extractor.add(at, vectors[extractor.hook], into)
    return gathered


def _forward(
    model: TruncatedModel,
    hooks: Sequence[HookPoint],
    batching: Batching,
    ids: NDArray[np.int64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    batch: NDArray[np.int64],
) -> Iterator[tuple[list[tuple[int, int]], dict[HookPoint, torch.Tensor]]]:
    """Vectors ``[n, width]`` at each hook of the batch's real tokens, sequence after sequence.

    Yields once, or for each half (of a half …) when the device runs out of memory.
    """
    import torch

    padded = torch.zeros((len(batch), int(lengths[batch].max())), dtype=torch.long)
    for line, sequence in enumerate(batch):
        start, n = int(starts[sequence]), int(lengths[sequence])
        padded[line, :n] = torch.from_numpy(ids[start : start + n])
    flat: dict[HookPoint, torch.Tensor] | None = None
    try:
        captured = model.run(sent(padded, model.device), hooks)
        # By place, not by a mask: a GPU need not tell first how many there are.
        real = np.flatnonzero(np.arange(padded.shape[1]) < lengths[batch][:, None])
        places = sent(torch.from_numpy(real), captured[hooks[0]].device)
        flat = {hook: captured.pop(hook).flatten(0, 1)[places].float() for hook in hooks}
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            raise OutOfMemory(
                f"out of memory on {model.device} with a single sequence of "
                f"{padded.shape[1]} tokens; lower context_size, or give another device"
            ) from error
    if flat is None:  # outside the handler, so that the failed batch's tensors are freed
        release_device_memory()
        batching.halve(len(batch))
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            yield from _forward(model, hooks, batching, ids, starts, lengths, half)
        return
    yield [(int(starts[s]), int(lengths[s])) for s in batch], flat
