"""One extraction from start to end: into a new study, or into one that lacks features.

Everything that can be wrong with the input is found before anything is written; then tokens,
then what the engine computes, and last what needs no new activations.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.engines import Elsewhere, load_engine
from autointerp_core.extraction.memory import memory_told
from autointerp_core.extraction.resolve import ResolvedExtraction, resolve
from autointerp_core.extraction.run_log import log_run
from autointerp_core.extraction.served import find_served, request_key
from autointerp_core.extraction.study_lock import study_lock
from autointerp_core.extraction.study_writer import StudyWriter
from autointerp_core.progress import ProgressCallback, silent
from autointerp_core.store.files import writing
from autointerp_core.store.study import Study

ADVICE = (
    "lower minibatch_size_tokens or minibatch_size_features, give another device, or free memory "
    "(finished shards are kept)"
)


@dataclass(frozen=True)
class Extraction:
    """What an extraction did."""

    study: Study
    computed: NDArray[np.int32]
    """Features that were not part of the study before, whether the model had to run or not."""


def extract(
    config: ExtractionConfig, studies: Path, progress: ProgressCallback = silent
) -> Extraction:
    """Extract what is missing of ``config`` into its study under ``studies``.

    Same identity → same study; features already there are not computed again. A killed run
    goes on at the first shard that is not on disk.

    Raises:
        BadInput: as the message says; nothing was written.
        MissingDependency: the engine asked for is not installed; likewise.
        DiskFull: finished shards stay.
        Cancelled: raised by ``progress``; finished shards stay.
    """
    engine = load_engine(config.engine)  # refuses one that cannot run here, before reading
    key = request_key(config)
    served = find_served(config, key, studies, progress) if key is not None else None
    if served is not None:
        return Extraction(served.study, served.added)
    computes_on = engine.computes_on(config) if isinstance(engine, Elsewhere) else None
    resolved = resolve(config, progress, computes_on)
    # A request whose files changed while they were read is not one to be known again.
    now = request_key(config)
    return extract_resolved(resolved, studies, progress, now if key in (None, now) else None)


def extract_resolved(
    resolved: ResolvedExtraction,
    studies: Path,
    progress: ProgressCallback = silent,
    key: str | None = None,
) -> Extraction:
    """As :func:`extract`, for sources that were resolved before.

    ``key``: by which the same request is known again without resolving it.
    """
    engine = load_engine(resolved.config.engine)
    folder = studies / engine.study_id(resolved)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with study_lock(folder, progress):
        started, clock = datetime.now(UTC), time.monotonic()
        writer = StudyWriter(folder, resolved, progress)
        missing = writer.missing()
        with memory_told(resolved.device, ADVICE):
            if len(missing):
                rest = writer.bring_in(missing)
                if len(rest):
                    engine.produce(rest, resolved, writer, progress)
            writer.complete()
        log_run(
            folder,
            started=started,
            seconds=time.monotonic() - clock,
            computed=len(missing),
            device=str(resolved.device),
            key=key,
        )
    return Extraction(Study(folder), missing)
