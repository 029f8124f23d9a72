"""Our own engine: one forward pass up to the hook, one ``encode`` for all features.

The shards that hold the reference sequences come first, then the health check (so that a
wrong hook is told early), then the other shards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autointerp_core.extraction.behind import Behind
from autointerp_core.extraction.firings import (
    BATCH_TOKENS,
    CUDA_BATCH_TOKENS,
    REFERENCE_SEQUENCES,
    Batching,
    Extractor,
    Gathered,
    Shard,
    begin_together,
)
from autointerp_core.extraction.health import measure_health
from autointerp_core.extraction.memory import release_memory
from autointerp_core.extraction.meter import Meter
from autointerp_core.extraction.pair import load_to_hook
from autointerp_core.extraction.resolve import ResolvedExtraction
from autointerp_core.extraction.summary import reference_median
from autointerp_core.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    import torch

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
        produce_together([Job(features, resolved, writer)], progress)


class Job:
    """One study's part in a pass of the model."""

    def __init__(self, asked: NDArray[np.int32], resolved: ResolvedExtraction, writer: StudyWriter):
        self.asked, self.resolved, self.writer = asked, resolved, writer
        writer.tokens()
        self.wanted = writer.begin_keeping(asked)
        self.todo = {shard.index for shard in self.wanted.todo}
        self._extractor: Extractor | None = None

    @property
    def shards(self) -> list[Shard]:
        return self.wanted.shards

    def extractor(self, model: TruncatedModel, batching: Batching) -> Extractor:
        """Of the features that are kept as things stand."""
        features = self.wanted.features
        if self._extractor is None or self._extractor.features is not features:
            sae, hook = self.resolved.sae, self.resolved.hook
            self._extractor = Extractor(model, sae, hook, features, batching)
        return self._extractor

    def put(self, shard: Shard, made: Gathered) -> None:
        """Keep a shard."""
        firings, wanted = made.firings(), self.wanted.features
        if made.extractor.features is not wanted:  # begun before others were too much to keep
            firings = firings.only(np.searchsorted(made.extractor.features, wanted))
        self.wanted.put(shard, firings)

    def look(self, progress: ProgressCallback) -> None:
        """Where all features turn out to be too large to keep, keep only those asked for."""
        if why := self.writer.too_much(self.wanted, self.asked):
            progress(Progress("extracting", message=why))
            self.wanted = self.writer.keep_only(self.asked, self.wanted)


def produce_together(jobs: Sequence[Job], progress: ProgressCallback) -> None:
    """Bring features into the studies of several SAEs of one model, which runs once for all.

    The jobs' tokens are the same, and cut in the same shards.
    """
    running = [job for job in jobs if job.todo or job.writer.is_new]
    if running:
        # A call of its own: the model is freed when it returns, before the summary.
        _compute(running, progress)
        release_memory()
    for job in jobs:
        job.writer.finish_kept(job.wanted, job.asked)


def _compute(jobs: Sequence[Job], progress: ProgressCallback) -> None:
    """Everything that needs the model: shards to do, and new studies' references."""
    deepest = max(jobs, key=lambda job: job.resolved.hook.blocks_needed)
    resolved, tokens = deepest.resolved, deepest.writer.tokens()
    limit = CUDA_BATCH_TOKENS if resolved.device.type == "cuda" else BATCH_TOKENS
    new = any(job.writer.is_new for job in jobs)
    with _model(resolved, neighbour=new, progress=progress) as model:
        batching = Batching(resolved.config.batch_sequences, limit)
        shards = deepest.shards
        meter = Meter(progress, tokens, [s for s in shards if any(s.index in j.todo for j in jobs)])
        split = sum(shard.first < REFERENCE_SEQUENCES for shard in shards)
        for part in (shards[:split], shards[split:]):
            with Behind(_apart(resolved.device)) as behind:
                for shard in part:
                    active = [job for job in jobs if shard.index in job.todo]
                    if active:
                        extractors = [job.extractor(model, batching) for job in active]
                        made = begin_together(extractors, tokens, shard)
                        behind.give(*_ending(active, made, shard, progress, meter))
            for job in jobs:
                if job.writer.is_new:
                    _reference(model, job.wanted.norms(job.shards[:split]), job)
            model.drop_blocks(resolved.hook.blocks_needed)


def _apart(device: torch.device) -> bool:
    """Whether shards are sorted and written while the next one is computed.

    On a GPU, which works meanwhile. On a CPU the model uses every core, and the two together take
    a hundredth of its time: a thread would only have a kill cost more than one shard.
    """
    return device.type == "cuda"


def _ending(
    jobs: Sequence[Job],
    made: Sequence[Gathered],
    shard: Shard,
    progress: ProgressCallback,
    meter: Meter,
) -> tuple[Callable[[], None], Callable[[], None]]:
    """What is left to do of a shard, and what has to wait for it."""

    def keep() -> None:
        for job, gathered in zip(jobs, made, strict=True):
            job.put(shard, gathered)

    def go_on() -> None:
        for job in jobs:
            job.look(progress)
        release_memory()
        meter.finished(shard)

    return keep, go_on


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


def _reference(model: TruncatedModel, norms: NDArray[np.float32], job: Job) -> None:
    """Sink threshold and health: what the record of a new study starts with."""
    resolved, writer = job.resolved, job.writer
    tokens, hook = writer.tokens(), resolved.hook
    median = reference_median(tokens, norms) if len(norms) else 0.0
    health = measure_health(
        model,
        resolved.sae,
        hook,
        hook.neighbours(resolved.model.n_layers),
        tokens,
        resolved.config.masks,
        median,
        resolved.reading,
    )
    writer.begin_study(median, health)
