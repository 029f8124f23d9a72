"""Labels and their history as tables, for spreadsheets and notebooks."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import pandas as pd

from autointerp_core.labels.results import Scores, label_rows
from autointerp_core.store.history import LabelHistory
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
)
_EVENT_FIELDS = ("id", "feature", "kind", "text", "source", "method", "author", "reason", "time")


def labels_table(
    study: Study, history: LabelHistory, features: Sequence[int], scores: Scores = None
) -> pd.DataFrame:
    """A row a feature: labels, status, input score."""
    rows = label_rows(study, history, features, scores)
    return pd.DataFrame(rows, columns=list(LABEL_COLUMNS))


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
