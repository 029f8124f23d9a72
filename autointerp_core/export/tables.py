"""Labels and their history as tables, for spreadsheets and notebooks."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from autointerp_core.export.result_files import Scores, label_rows
from autointerp_core.labels.scoring.scorers import SCORERS
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.score_values import ScorerResult
from autointerp_core.store.study import Study

LABEL_COLUMNS = (
    "feature_index",
    "label",
    "status",
    "flagged",
    "label_llm",
    "label_search",
    "score",
    "num_examples",
    "label_error",
    "score_error",
)
_FORM = "form_search"
PARTS = ("low", "high", "shuffled", "n")
_EVENT_FIELDS = ("id", "feature", "kind", "text", "source", "method", "author", "reason", "time")


def labels_table(
    study: Study, history: LabelHistory, features: Sequence[int], scores: Scores = None
) -> pd.DataFrame:
    """A row a feature: labels, status, input score, and the label's test scores.

    Columns of the scorers that are installed, then of any other whose scores a label has; last,
    where a search label has one, its semantic regex.
    """
    rows = label_rows(study, history, features, scores)
    flat = [row | _flat(row["scores"]) for row in rows]
    others = sorted({name for row in rows for name in row["scores"]} - set(SCORERS))
    columns = [
        column
        for name in (*SCORERS, *others)
        for column in (name, *(f"{name}_{part}" for part in PARTS))
    ]
    form = [_FORM] if any(_FORM in row for row in rows) else []
    return pd.DataFrame(flat, columns=[*LABEL_COLUMNS, *columns, *form])


def _flat(scores: dict[str, Any]) -> dict[str, Any]:
    """Scores as columns, a scorer's apart; the chance floor is the same for all of them, a half."""
    out: dict[str, Any] = {}
    for scorer, raw in scores.items():
        found = ScorerResult.from_json(scorer, raw)
        out[scorer] = found.value
        out |= {f"{scorer}_{part}": getattr(found, part) for part in PARTS}
    return out


def history_table(history: LabelHistory, sae: str) -> pd.DataFrame:
    """A row an event of this SAE, oldest first; details as JSON."""
    rows = [
        {name: getattr(event, name) for name in _EVENT_FIELDS}
        | {"parent": event.parent, "details": json.dumps(dict(event.details))}
        for event in history.all_events(sae)
    ]
    return pd.DataFrame(rows, columns=[*_EVENT_FIELDS, "parent", "details"])


def csv(table: pd.DataFrame) -> bytes:
    """UTF-8 CSV. Cells that a spreadsheet would run as a formula get a leading apostrophe."""
    safe = table.copy()
    for name in safe.select_dtypes(include=["object", "string"]).columns:
        safe[name] = safe[name].map(_harmless)
    return safe.to_csv(index=False).encode("utf-8")


def parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell
