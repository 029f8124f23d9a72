"""Everything a study's labels are exported as, in one folder."""

from __future__ import annotations

from pathlib import Path

from autointerp_core.export.output import Output
from autointerp_core.export.result_files import write_feature_examples, write_feature_labels
from autointerp_core.export.tables import csv, history_table, labels_table, parquet
from autointerp_core.extraction.kept import bring_in
from autointerp_core.feature_request import FeatureRequest
from autointerp_core.store.files import write_bytes
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.studies import find_study
from autointerp_core.store.study import Study


def export_study(study: str, features: str = "all", output_dir: str | Path = ".") -> list[str]:
    """Write both result files, and labels and history as CSV and Parquet.

    Args:
        study: Id of a study, or its folder.
        features: As ``feature_indices`` of :func:`~autointerp_core.pipeline.run_labeling`.
        output_dir: Folder to write to; may be in a storage (``s3://bucket/folder``).

    Returns:
        The files written.

    Raises:
        StudyError: there is no such study, or it cannot be read.
        BadInput: the features or the folder cannot be used; nothing was written.
    """
    opened = Study(find_study(study))
    asked = FeatureRequest.parse(features)
    wanted = list(asked.indices) if asked.indices is not None else opened.features.tolist()
    output = Output.of(output_dir)
    opened = bring_in(opened, wanted)
    with output.folder() as folder:
        with LabelHistory.open() as history:
            labels = labels_table(opened, history, wanted, asked.scores)
            events = history_table(history, opened.info.sae_fingerprint)
            write_feature_labels(
                folder / "feature_labels.json", opened, history, wanted, asked.scores
            )
        write_feature_examples(folder / "feature_examples.jsonl", opened, wanted, asked.scores)
        for name, table in (("labels", labels), ("history", events)):
            write_bytes(folder / f"{name}.csv", csv(table))
            write_bytes(folder / f"{name}.parquet", parquet(table))
    return sorted(
        output.place(name)
        for name in (
            "feature_labels.json",
            "feature_examples.jsonl",
            "labels.csv",
            "labels.parquet",
            "history.csv",
            "history.parquet",
        )
    )
