"""Features whose firings are kept become part of a study: statistics, examples, no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autointerp_core.extraction.pass_folder import Features, pass_name, write_features
from autointerp_core.extraction.study_lock import study_lock
from autointerp_core.extraction.summary import summarise
from autointerp_core.progress import ProgressCallback, silent
from autointerp_core.store.feature_shards import Pass, read_features
from autointerp_core.store.study import Study, n_examples
from autointerp_core.store.study_record import PassRecord, StudyRecord, read_record, write_record
from autointerp_core.store.tokenstore import TokenStore


def bring_in(
    study: Study, features: Sequence[int] | NDArray[np.int32], progress: ProgressCallback = silent
) -> Study:
    """The study with those of ``features`` whose firings it keeps as part of it.

    Others are left alone: asking for one that is neither stored nor kept is refused later.

    Raises:
        DiskFull: no space is left.
        Cancelled: raised by ``progress``.
    """
    if not np.isin(np.asarray(features, dtype=np.int32), study.kept).any():
        return study
    with study_lock(study.folder, progress):
        before = read_record(study.folder)  # another run may have written since
        wanted = np.unique(np.asarray(features, dtype=np.int32))
        record, _ = finish_from_kept(study.folder, before, wanted, n_examples(before), progress)
        if record is not before:
            write_record(study.folder, record)
    return Study(study.folder)


def kept_features(folder: Path, record: StudyRecord | None) -> Features:
    """Features whose firings a study keeps, stored or not; in no order."""
    entries = (record.kept or ()) if record is not None else ()
    found = [read_features(folder / "passes" / entry.name) for entry in entries]
    return np.concatenate([np.zeros(0, dtype=np.int32), *found])


def finish_from_kept(
    folder: Path,
    record: StudyRecord,
    features: Features,
    n_examples: int,
    progress: ProgressCallback,
) -> tuple[StudyRecord, Features]:
    """Summarise those of ``features`` whose firings are kept, as passes of their own.

    Whoever calls it holds the study's lock, and writes the record.

    Returns:
        The record with the new passes, and the features that are neither stored nor kept.
    """
    stored = [read_features(folder / "passes" / entry.name) for entry in record.passes]
    rest = np.setdiff1d(features, np.concatenate([np.zeros(0, np.int32), *stored]))
    tokens = TokenStore(folder / "tokens")
    for entry in record.kept or ():
        source = folder / "passes" / entry.name
        kept = read_features(source)
        wanted = rest[np.isin(rest, kept)].astype(np.int32)
        if not len(wanted):
            continue
        # A kept pass may get all its features at once: two folders of one name cannot be.
        name = pass_name(wanted) if len(wanted) < len(kept) else f"{entry.name}-all"
        made = folder / "passes" / name
        made.mkdir(parents=True, exist_ok=True)
        write_features(made, wanted)
        summarise(tokens, Pass(made, source), record.counts.counted, n_examples, progress)
        new = PassRecord(
            name=name,
            n_features=len(wanted),
            n_shards=entry.n_shards,
            n_examples=n_examples,
            shards_of=entry.name,
        )
        record = replace(record, passes=(*record.passes, new))
        rest = np.setdiff1d(rest, wanted)
    return record, rest.astype(np.int32)
