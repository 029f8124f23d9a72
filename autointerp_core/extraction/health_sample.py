"""The tokens a health check looks at, run through the model as they are and changed on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autointerp_core.arrays import BoolArray, Int64Array
from autointerp_core.extraction.fit import CHUNK_TOKENS
from autointerp_core.extraction.memory import is_out_of_memory
from autointerp_core.extraction.summary import counted_positions
from autointerp_core.store.study_record import Masks
from autointerp_core.store.tokenstore import TokenPart, TokenStore

if TYPE_CHECKING:
    import torch

    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.model import TruncatedModel

_BATCH_TOKENS = 2_048
Change = Callable[[Int64Array], Int64Array]
"""What is done to a sequence's token ids; the text tokens keep their order and number."""


@dataclass(frozen=True)
class Sample:
    """Sequences from the start of a study, and which of their positions are looked at."""

    ids: tuple[Int64Array, ...]
    """Token ids of each sequence."""
    looked_at: tuple[BoolArray, ...]
    """Of each position, whether it counts."""
    chunks: Int64Array
    """Chunk of each position looked at, over all sequences, from 0, none left out."""

    @property
    def n_tokens(self) -> int:
        """Positions looked at."""
        return len(self.chunks)

    def first(self, n_tokens: int) -> Sample:
        """The sequences that hold the first ``n_tokens`` positions looked at."""
        ids: list[Int64Array] = []
        looked_at: list[BoolArray] = []
        missing = n_tokens
        for sequence, counted in zip(self.ids, self.looked_at, strict=True):
            if missing <= 0:
                break
            kept = counted & (np.cumsum(counted) <= missing)
            ids.append(sequence)
            looked_at.append(kept)
            missing -= int(kept.sum())
        return Sample(tuple(ids), tuple(looked_at), self.chunks[:n_tokens])

    def changed(self, change: Change, shift: int = 0) -> Sample:
        """The same positions of changed sequences.

        Args:
            shift: how many tokens ``change`` puts before the text; below 0, how many it takes.
        """
        looked_at = [
            np.concatenate([np.zeros(shift, dtype=bool), counted])
            if shift >= 0
            else counted[-shift:]
            for counted in self.looked_at
        ]
        return Sample(tuple(change(ids) for ids in self.ids), tuple(looked_at), self.chunks)

    def vectors(
        self, model: TruncatedModel, hooks: Sequence[HookPoint]
    ) -> dict[HookPoint, torch.Tensor]:
        """Vectors at each hook [n_tokens, width], float32 on the model's device."""
        import torch

        found: dict[HookPoint, list[torch.Tensor]] = {hook: [] for hook in hooks}
        for batch in self._batches():
            lines = _run(model, [self.ids[i] for i in batch], hooks)
            for i, captured in zip(batch, lines, strict=True):
                kept = torch.from_numpy(np.flatnonzero(self.looked_at[i])).to(model.device)
                for hook in hooks:
                    found[hook].append(captured[hook][kept])
        return {hook: torch.cat(parts) for hook, parts in found.items()}

    def _batches(self) -> list[list[int]]:
        batches: list[list[int]] = []
        for i, ids in enumerate(self.ids):
            width = max([len(ids), *(len(self.ids[j]) for j in batches[-1])]) if batches else 0
            if batches and width * (len(batches[-1]) + 1) <= _BATCH_TOKENS:
                batches[-1].append(i)
            else:
                batches.append([i])
        return batches


def take_sample(
    model: TruncatedModel,
    hooks: Sequence[HookPoint],
    tokens: TokenStore | TokenPart,
    masks: Masks,
    median: float,
    n_tokens: int,
    every: int = 1,
) -> tuple[Sample, dict[HookPoint, torch.Tensor]]:
    """A study's first ``n_tokens`` counted positions, and their vectors at each hook.

    Args:
        hooks: the SAE's own first: what is a sink is decided there.
        every: look at every so manieth of them.
    """
    import torch

    ids: list[Int64Array] = []
    looked_at: list[BoolArray] = []
    chunks: list[Int64Array] = []
    found: dict[HookPoint, list[torch.Tensor]] = {hook: [] for hook in hooks}
    missing, before = n_tokens, 0
    for batch in _batches(tokens):
        if missing <= 0:
            break
        sequences = [np.asarray(tokens.ids[low:high]).astype(np.int64) for low, high in batch]
        lines = _run(model, sequences, hooks)
        for own, (low, high), captured in zip(sequences, batch, lines, strict=True):
            norms = captured[hooks[0]].norm(dim=-1).cpu().numpy()
            flags = np.asarray(tokens.flags[low:high])
            counted = counted_positions(flags, norms, masks, median) > 0
            counted &= np.cumsum(counted) <= missing
            n = int(counted.sum())
            place = n_tokens - missing + np.arange(n)
            missing -= n
            thinned = place % every == 0
            chunks.append(before + np.arange(n, dtype=np.int64)[thinned] // CHUNK_TOKENS)
            before += -(-n // CHUNK_TOKENS)
            counted[counted] = thinned
            ids.append(own)
            looked_at.append(counted)
            kept = torch.from_numpy(np.flatnonzero(counted)).to(model.device)
            for hook in hooks:
                found[hook].append(captured[hook][kept])
    vectors = {hook: torch.cat(parts) for hook, parts in found.items() if parts}
    numbered = np.unique(np.concatenate([np.zeros(0, np.int64), *chunks]), return_inverse=True)[1]
    return Sample(tuple(ids), tuple(looked_at), numbered.astype(np.int64)), vectors


def _batches(tokens: TokenStore | TokenPart) -> Iterator[list[tuple[int, int]]]:
    """Bounds of sequences one after another, as many as fit a batch; empty ones left out."""
    batch: list[tuple[int, int]] = []
    width = 0
    for sequence in range(tokens.n_sequences):
        low, high = (int(x) for x in tokens.sequences[sequence : sequence + 2])
        if low == high:
            continue
        if batch and max(width, high - low) * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch, width = [], 0
        batch.append((low, high))
        width = max(width, high - low)
    if batch:
        yield batch


def _run(
    model: TruncatedModel, sequences: Sequence[Int64Array], hooks: Sequence[HookPoint]
) -> list[dict[HookPoint, torch.Tensor]]:
    """Vectors [length, width] of each sequence; in halves where memory runs out."""
    import torch

    padded = torch.zeros((len(sequences), max(map(len, sequences))), dtype=torch.long)
    for line, ids in enumerate(sequences):
        padded[line, : len(ids)] = torch.from_numpy(ids)
    try:
        captured = model.run(padded.to(model.device), hooks)
    except (RuntimeError, MemoryError) as error:
        if len(sequences) == 1 or not is_out_of_memory(error):
            raise
    else:
        return [
            {hook: captured[hook][line, : len(ids)].float() for hook in hooks}
            for line, ids in enumerate(sequences)
        ]
    middle = len(sequences) // 2
    return _run(model, sequences[:middle], hooks) + _run(model, sequences[middle:], hooks)
