"""Our own result files, tables and label history."""

from __future__ import annotations

from pathlib import Path

from autointerp_core.exchange.format import Format, Plan
from autointerp_core.exchange.subject import Subject
from autointerp_core.export.study import FILES, write_study_files


def _plan(subject: Subject) -> Plan:
    return Plan(
        (),
        FILES,
        (
            "feature_labels.json: label, status and scores of each feature; can be imported again",
            "feature_examples.jsonl: the strongest examples of each feature, token by token",
            "labels, history: a row a feature, a row an event; as .csv and .parquet",
        ),
    )


def _close(subject: Subject, _: Plan, folder: Path) -> None:
    write_study_files(
        subject.study,
        subject.history,
        subject.asked,
        folder,
        subject.scores,
        max_examples=subject.config.examples,
    )


def _no_batches(*_: object) -> None:
    """All files are written together at the end."""


FORMAT = Format(
    name="results",
    title="Result files",
    about="the files that a run writes, and labels and history as tables",
    plan=_plan,
    write=_no_batches,
    close=_close,
    settings=("examples",),
)
