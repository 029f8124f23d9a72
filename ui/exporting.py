"""What leaves the app as a file: labels, examples and history, with people's decisions in them."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import orjson
import pandas as pd

from autointerp_core.labels.results import label_rows, write_feature_examples
from autointerp_core.store.history import LabelHistory
from ui import readers

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


def labels_json(opened: readers.OpenStudy, features: Sequence[int]) -> bytes:
    """``feature_labels.json`` of these features."""
    rows = label_rows(opened.study, readers.history(), features, readers.scores(opened))
    return orjson.dumps(
        {"num_features": len(rows), "features": rows},
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def examples_jsonl(opened: readers.OpenStudy, features: Sequence[int]) -> bytes:
    """``feature_examples.jsonl`` of these features."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "feature_examples.jsonl"
        write_feature_examples(path, opened.study, features, readers.scores(opened))
        return path.read_bytes()


def labels_table(opened: readers.OpenStudy, features: Sequence[int]) -> pd.DataFrame:
    """A row a feature: labels, status, scores."""
    rows = label_rows(opened.study, readers.history(), features, readers.scores(opened))
    return pd.DataFrame(rows, columns=list(LABEL_COLUMNS))


def history_table(history: LabelHistory, sae: str) -> pd.DataFrame:
    """A row an event of this SAE, oldest first; details as JSON."""
    names = ("id", "feature", "kind", "text", "source", "method", "author", "reason", "time")
    rows = [
        {name: getattr(event, name) for name in names}
        | {"parent": event.parent, "details": json.dumps(dict(event.details))}
        for event in history.all_events(sae)
    ]
    return pd.DataFrame(rows, columns=[*names, "parent", "details"])


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
