"""Reading a file or folder in a format: first what it would change, then the change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp_core.errors import BadInput
from autointerp_core.exchange.readers.dataset import read_dataset
from autointerp_core.exchange.readers.delphi import read_delphi
from autointerp_core.exchange.readers.neuronpedia import read_neuronpedia
from autointerp_core.exchange.registry import check_import_format
from autointerp_core.exchange.take_in import ImportPlan, apply_import, plan_import
from autointerp_core.explore.feature_index import FeatureIndex
from autointerp_core.export import import_labels
from autointerp_core.export.history_file import (
    HistoryFile,
    brought,
    is_history_file,
    plan_history,
    read_history_file,
    take_brought,
)
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study


@dataclass(frozen=True)
class ImportReport:
    """What an import did, or (``recorded`` false) would do."""

    format: str
    labels: int
    scores: int
    lines: tuple[str, ...]
    refused: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()
    recorded: bool = True

    def to_json(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "labels": self.labels,
            "scores": self.scores,
            "lines": list(self.lines),
            "refused": list(self.refused),
            "shortened": list(self.shortened),
            "recorded": self.recorded,
        }


def import_path(
    study: Study,
    history: LabelHistory,
    path: str | Path,
    format_name: str,
    *,
    author: str,
    long: str = "refuse",
    dry_run: bool = False,
) -> ImportReport:
    """Take in what a file or folder says of a study's features.

    Args:
        author: who imports; decisions in a ``feature_labels.json`` are recorded as theirs.
        long: what to do with texts of more than 9 words: ``refuse`` or ``shorten``.
        dry_run: only say what would change.

    Raises:
        BadInput: no such format, nothing there, a damaged file, or one about another SAE.
        LabelStoreError: it could not be saved.
    """
    check_import_format(format_name)
    given = Path(path).expanduser()
    if not given.exists():
        raise BadInput(f"{given} is not there; give a file or folder")
    if format_name == "results":
        return _results(study, history, given, author, dry_run=dry_run)
    if format_name == "dataset":
        return _adopted(
            format_name, read_dataset(given, study.info), study, history, dry_run=dry_run
        )
    read = {"neuronpedia": read_neuronpedia, "delphi": read_delphi}[format_name]
    plan = plan_import(read(given, study.info), study, history, long)
    if not dry_run:
        apply_import(plan, study, history, author)
    return _report(format_name, plan, recorded=not dry_run)


def _report(format_name: str, plan: ImportPlan, *, recorded: bool) -> ImportReport:
    return ImportReport(
        format_name,
        len(plan.labels),
        len(plan.scores),
        tuple(plan.lines()),
        plan.refused,
        plan.shortened,
        recorded,
    )


def _results(
    study: Study, history: LabelHistory, path: Path, author: str, *, dry_run: bool
) -> ImportReport:
    if path.is_dir():
        path = path / "feature_labels.json"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    if is_history_file(data):
        return _adopted("results", read_history_file(data), study, history, dry_run=dry_run)
    snapshot = FeatureIndex(study).refresh(history)
    changes = import_labels.plan(data, snapshot, study.info)
    new = [change for change in changes if change.effect in ("new", "changed")]
    refused = tuple(f"feature {c.feature}: {c.why}" for c in changes if c.effect == "refused")
    unknown = sum(change.effect == "unknown" for change in changes)
    lines = [f"{len(new):,} labels are new here" if new else "no label is new here"]
    lines += [f"{unknown:,} are of features that this study does not hold"] if unknown else []
    if not dry_run:
        sae = study.info.sae_fingerprint
        done = import_labels.apply(changes, history, sae, file_name=path.name, author=author)
        lines += [outcome.conflict for outcome in done.conflicts]
    return ImportReport("results", len(new), 0, tuple(lines), refused, recorded=not dry_run)


def _adopted(
    format_name: str, file: HistoryFile, study: Study, history: LabelHistory, *, dry_run: bool
) -> ImportReport:
    planned = plan_history(file, study.info, history)
    given = brought(file, study.info, study.folder)
    if not dry_run:
        take_brought(given, study.folder)
        history.adopt(file.sae, file.events)
    lines = [
        f"{planned.new_events:,} label events are new here, {planned.known_events:,} are known",
        f"{len(planned.changed):,} features read differently",
    ]
    lines += [f"the study gets its name: {given.name}"] if given.name else []
    lines += [f"{len(given.scores):,} features get their input score"] if given.scores else []
    labels = planned.new_events
    return ImportReport(format_name, labels, 0, tuple(lines), recorded=not dry_run)
