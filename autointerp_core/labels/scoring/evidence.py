"""The judged windows behind a score, kept beside the study so that a person can look at them.

``<study>/evidence/<name>.parquet`` holds a row a judged window: feature, event (the proposal's),
scorer, part, token, kind, marked, probability, error, right, shuffled. Texts are not copied:
a window is cut from the study again by its token.
"""

from __future__ import annotations

import io
import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from autointerp_core.errors import StudyError
from autointerp_core.labels.document_split import TEST
from autointerp_core.labels.scoring.sample_windows import Window
from autointerp_core.labels.scoring.scorers import ScorerRun
from autointerp_core.store.files import write_bytes
from autointerp_core.store.study import Study

FOLDER = "evidence"
_COLUMNS = pa.schema(
    [
        ("feature", pa.int32()),
        ("event", pa.int64()),
        ("scorer", pa.string()),
        ("part", pa.string()),
        ("token", pa.int64()),
        ("kind", pa.string()),
        ("marked", pa.list_(pa.int16())),
        ("probability", pa.float32()),
        ("error", pa.string()),
        ("right", pa.bool_()),
        ("shuffled", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class JudgedWindow:
    """A window and what a scorer said of it."""

    window: Window
    scorer: str
    probability: float | None
    """Of yes; for the embedding scorer the cosine with the label. None: missing."""
    error: str | None
    right: bool | None
    """None where the judgement is missing or undecided."""
    marked: tuple[int, ...] | None = None
    """Positions marked in ``window.example.tokens``, for fuzzing."""

    @property
    def expected(self) -> bool:
        """Whether the answer should have been yes."""
        return self.window.active


@dataclass(frozen=True)
class ProposalRun:
    """A run and the proposal it is about; ``shuffled``: with another feature's label."""

    event: int
    run: ScorerRun
    shuffled: bool = False


def new_name() -> str:
    """A name for an evidence file: when, and something nobody else has."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def write_evidence(study: Study, name: str, found: Iterable[ProposalRun]) -> None:
    """Write the rows of one evidence file, all or none.

    Raises:
        OutputError: the study's folder cannot be written.
        DiskFull: no space is left.
    """
    rows = []
    for entry in found:
        run = entry.run
        marks = run.marked or (None,) * len(run.windows)
        for i, (window, marked, right) in enumerate(
            zip(run.windows, marks, run.right(), strict=True)
        ):
            said = float(run.said[i])
            rows.append(
                {
                    "feature": run.feature,
                    "event": entry.event,
                    "scorer": run.scorer,
                    "part": run.part,
                    "token": window.token,
                    "kind": window.kind,
                    "marked": None if marked is None else list(marked),
                    "probability": None if math.isnan(said) else said,
                    "error": run.errors.get(i),
                    "right": right,
                    "shuffled": entry.shuffled,
                }
            )
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, _COLUMNS), buffer)
    write_bytes(_path(study, name), buffer.getvalue())


def read_evidence(
    study: Study, name: str, feature: int, event: int, part: str = TEST
) -> list[JudgedWindow]:
    """The judged windows of one proposal (not those of its shuffled baseline).

    Raises:
        StudyError: there is no such evidence, or it is damaged.
    """
    path = _path(study, name)
    wanted = [
        ("feature", "=", feature),
        ("event", "=", event),
        ("part", "=", part),
        ("shuffled", "=", False),
    ]
    try:
        rows = pq.read_table(path, schema=_COLUMNS, filters=wanted).to_pylist()
    except FileNotFoundError as error:
        raise StudyError(
            f"the judged windows {path.name} are not in study {study.id} any more; score again"
        ) from error
    except (OSError, pa.ArrowException, ValueError) as error:
        raise StudyError(f"the judged windows {path.name} cannot be read: {error}") from error
    tokens = np.array([row["token"] for row in rows], dtype=np.int64)
    if len(tokens) and (tokens.min() < 0 or tokens.max() >= study.tokens.n_tokens):
        raise StudyError(f"the judged windows {path.name} are of another study")
    examples = study.windows_at(feature, tokens) if len(tokens) else []
    return [
        JudgedWindow(
            Window(example, row["kind"], row["token"]),
            row["scorer"],
            row["probability"],
            row["error"],
            row["right"],
            None if row["marked"] is None else tuple(row["marked"]),
        )
        for row, example in zip(rows, examples, strict=True)
    ]


def read_verdicts(
    study: Study, name: str
) -> list[tuple[str, tuple[int, int, str, int, str, tuple[int, ...]], bool]]:
    """Yes or no to every question of an evidence file that was answered either way.

    Returns:
        Scorer; feature, proposal's event, part, token, kind of window and marked positions; yes.

    Raises:
        StudyError: there is no such evidence, or it is damaged.
    """
    path = _path(study, name)
    try:
        table = pq.read_table(path, schema=_COLUMNS, filters=[("shuffled", "=", False)])
    except (OSError, pa.ArrowException, ValueError) as error:
        raise StudyError(f"the judged windows {path.name} cannot be read: {error}") from error
    return [
        (
            row["scorer"],
            (
                row["feature"],
                row["event"],
                row["part"],
                row["token"],
                row["kind"],
                tuple(row["marked"] or ()),
            ),
            row["probability"] > 0.5,
        )
        for row in table.to_pylist()
        if row["probability"] not in (None, 0.5)
    ]


def _path(study: Study, name: str) -> Path:
    stem = name.removesuffix(".parquet")
    # The name comes from the label history, which others may have written.
    if not stem or Path(stem).name != stem or stem.startswith("."):
        raise StudyError(f"{name!r} is no name of an evidence file")
    return study.folder / FOLDER / f"{stem}.parquet"
