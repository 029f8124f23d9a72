"""Jobs that write a study in a format, or take in what another tool says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autointerp_core.exchange.config import ExportConfig
from autointerp_core.exchange.imports import import_path
from autointerp_core.exchange.run import export_features
from autointerp_core.extraction.kept import bring_in
from autointerp_core.progress import ProgressCallback
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study


def run_export_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Write some features of a study in a format; tried again, it goes on where it stopped.

    Args:
        params: ``study`` (folder), ``features``, ``format``, ``output_dir``, and any field of
            :class:`ExportConfig`.
        progress: as everywhere.

    Returns:
        What :class:`~autointerp_core.exchange.run.Exported` holds.
    """
    features = [int(feature) for feature in params["features"]]
    study = bring_in(Study(Path(params["study"])), features)
    config = ExportConfig.from_params(params)
    with LabelHistory.open() as history:
        done = export_features(
            study, history, params["format"], features, params["output_dir"], config, progress
        )
    return done.to_json()


def run_import_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Take in labels and scores from a file or folder of this machine.

    Args:
        params: ``study`` (folder), ``path``, ``format``, ``author``, and ``long``.

    Returns:
        What :class:`~autointerp_core.exchange.imports.ImportReport` holds.
    """
    study = Study(Path(params["study"]))
    with LabelHistory.open() as history:
        report = import_path(
            study,
            history,
            params["path"],
            params["format"],
            author=params["author"],
            long=params.get("long", "refuse"),
        )
    return report.to_json()
