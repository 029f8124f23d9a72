"""Our own engine: one forward pass up to the hook, one ``encode`` for all features.

The shards that hold the reference sequences come first, then the health check (so that a
wrong hook is told early), then the other shards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autointerp_core.extraction.firings import (
    BATCH_TOKENS,
    CUDA_BATCH_TOKENS,
    REFERENCE_SEQUENCES,
    Batching,
    Extractor,
    Shard,
)
from autointerp_core.extraction.health import measure_health
from autointerp_core.extraction.memory import release_memory
from autointerp_core.extraction.meter import Meter
from autointerp_core.extraction.pair import load_to_hook
from autointerp_core.extraction.resolve import ResolvedExtraction
from autointerp_core.extraction.summary import reference_median
from autointerp_core.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from autointerp_core.extraction.pass_folder import OpenPass
    from autointerp_core.extraction.study_writer import StudyWriter
    from autointerp_core.sources.model import TruncatedModel


class NativeEngine:
    """All missing features in one pass, a shard of sequences at a time."""

    name = "native"

    def check(self) -> None:
        """Needs nothing beyond what the package needs."""

    def study_id(self, resolved: ResolvedExtraction) -> str:
        return resolved.study_id

    def produce(
        self,
        features: NDArray[np.int32],
        resolved: ResolvedExtraction,
        writer: StudyWriter,
        progress: ProgressCallback,
    ) -> None:
        """As :class:`~autointerp_core.extraction.engines.Engine` has it."""
        writer.tokens()
        wanted = writer.begin_keeping(features)
        todo = wanted.todo
        if todo or writer.is_new:
            # A call of its own: the model is freed when it returns, before the summary.
            wanted = _compute(wanted, todo, features, resolved, writer, progress)
            release_memory()
        writer.finish_kept(wanted, features)


def _compute(
    wanted: OpenPass,
    todo: list[Shard],
    asked: NDArray[np.int32],
    resolved: ResolvedExtraction,
    writer: StudyWriter,
    progress: ProgressCallback,
) -> OpenPass:
    """Everything that needs the model: shards to do, and a new study's reference.

    Returns:
        ``wanted``, or the pass of ``asked`` alone where the others turned out too large to keep.
    """
    tokens, config = writer.tokens(), resolved.config
    limit = CUDA_BATCH_TOKENS if resolved.device.type == "cuda" else BATCH_TOKENS
    with _model(resolved, neighbour=writer.is_new, progress=progress) as model:
        batching = Batching(config.batch_sequences, limit)

        def ready(features: NDArray[np.int32]) -> Extractor:
            return Extractor(model, resolved.sae, resolved.hook, features, batching)

        extractor = ready(wanted.features)
        meter = Meter(progress, tokens, todo)
        split = sum(shard.first < REFERENCE_SEQUENCES for shard in wanted.shards)
        shards = wanted.shards
        for part in (shards[:split], shards[split:]):
            for shard in (each for each in part if each in todo):
                wanted.put(shard, extractor.extract(tokens, shard))
                release_memory()
                meter.finished(shard)
                if why := writer.too_much(wanted, asked):
                    progress(Progress("extracting", message=why))
                    wanted = writer.keep_only(asked, wanted)
                    extractor = ready(wanted.features)
            if writer.is_new:
                _reference(model, wanted.norms(wanted.shards[:split]), resolved, writer)
    return wanted


@contextmanager
def _model(
    resolved: ResolvedExtraction, *, neighbour: bool, progress: ProgressCallback
) -> Iterator[TruncatedModel]:
    """The model up to the hook, and one block more while the health check needs it."""
    _tell_of_more_gpus(resolved, progress)
    model = load_to_hook(resolved.pair, more=int(neighbour), progress=progress)
    try:
        yield model
    finally:
        del model
        if resolved.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()


def _tell_of_more_gpus(resolved: ResolvedExtraction, progress: ProgressCallback) -> None:
    import torch

    count = torch.cuda.device_count() if resolved.device.type == "cuda" else 0
    if count > 1 and resolved.config.device is None:
        told = f"note: one of {count} GPUs is used; --engine ray uses them all"
        progress(Progress("preparing", message=told))


def _reference(
    model: TruncatedModel,
    norms: NDArray[np.float32],
    resolved: ResolvedExtraction,
    writer: StudyWriter,
) -> None:
    """Sink threshold and health: what the record of a new study starts with."""
    tokens, hook = writer.tokens(), resolved.hook
    median = reference_median(tokens, norms) if len(norms) else 0.0
    neighbours = hook.neighbours(resolved.model.n_layers)
    health = measure_health(
        model,
        resolved.sae,
        hook,
        neighbours,
        tokens,
        resolved.config.masks,
        median,
        resolved.reading,
    )
    model.drop_blocks(hook.blocks_needed)
    writer.begin_study(median, health)
