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
from autointerp_core.extraction.engines import load_engine
from autointerp_core.extraction.memory import memory_told
from autointerp_core.extraction.resolve import ResolvedExtraction, resolve
from autointerp_core.extraction.study_writer import StudyWriter, study_lock
from autointerp_core.progress import ProgressCallback, silent
from autointerp_core.store.files import writing
from autointerp_core.store.study import Study

_ADVICE = (
    "lower minibatch_size_tokens or minibatch_size_features, give another device, or free memory "
    "(finished shards are kept)"
)


@dataclass(frozen=True)
class Extraction:
    """What an extraction did. ``computed`` lists the features that needed the model."""

    study: Study
    computed: NDArray[np.int32]


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
    load_engine(config.engine)  # refuses one that cannot run here, before anything is read
    return extract_resolved(resolve(config, progress), studies, progress)


def extract_resolved(
    resolved: ResolvedExtraction, studies: Path, progress: ProgressCallback = silent
) -> Extraction:
    """As :func:`extract`, for sources that were resolved before."""
    engine = load_engine(resolved.config.engine)
    folder = studies / engine.study_id(resolved)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with study_lock(folder, progress):
        started, clock = datetime.now(UTC), time.monotonic()
        writer = StudyWriter(folder, resolved, progress)
        missing = writer.missing()
        with memory_told(resolved.device, _ADVICE):
            if len(missing):
                engine.produce(missing, resolved, writer, progress)
            writer.complete()
        writer.log_run(started, time.monotonic() - clock, len(missing))
    return Extraction(Study(folder), missing)
