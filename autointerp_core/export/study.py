"""Everything a study's labels are exported as, in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autointerp_core.export.result_files import (
    Scores,
    write_feature_examples,
    write_feature_labels,
)
from autointerp_core.export.tables import csv, history_table, labels_table, parquet
from autointerp_core.store.files import write_bytes
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

FILES = (
    "feature_examples.jsonl",
    "feature_labels.json",
    "history.csv",
    "history.parquet",
    "labels.csv",
    "labels.parquet",
)


def write_study_files(
    study: Study,
    history: LabelHistory,
    features: Sequence[int],
    folder: Path,
    scores: Scores = None,
    *,
    max_examples: int = 20,
) -> list[Path]:
    """Write both result files, and labels and history as CSV and Parquet.

    Args:
        features: which, in this order.
        folder: to write to.
        scores: input scores that win over the study's.
        max_examples: top examples a feature.

    Returns:
        The files written.

    Raises:
        BadInput: a feature is not in the study, or the folder cannot be written.
    """
    labels = labels_table(study, history, features, scores)
    events = history_table(history, study.info.sae_fingerprint)
    write_feature_labels(folder / "feature_labels.json", study, history, features, scores)
    examples = folder / "feature_examples.jsonl"
    write_feature_examples(examples, study, features, scores, max_examples)
    for name, table in (("labels", labels), ("history", events)):
        write_bytes(folder / f"{name}.csv", csv(table))
        write_bytes(folder / f"{name}.parquet", parquet(table))
    return [folder / name for name in FILES]
