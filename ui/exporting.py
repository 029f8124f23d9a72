"""What leaves the app as a file: labels, examples and history, with people's decisions in them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import orjson
import pandas as pd

from autointerp_core.export import tables
from autointerp_core.export.history_file import history_lines
from autointerp_core.export.html_page import write_html_page
from autointerp_core.export.result_files import label_rows, labels_content, write_feature_examples
from ui import readers


def labels_json(opened: readers.OpenStudy, features: Sequence[int]) -> bytes:
    """``feature_labels.json`` of these features."""
    rows = label_rows(opened.study, readers.history(), features)
    return orjson.dumps(
        labels_content(opened.study, rows),
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def examples_jsonl(opened: readers.OpenStudy, features: Sequence[int]) -> bytes:
    """``feature_examples.jsonl`` of these features."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "feature_examples.jsonl"
        write_feature_examples(path, opened.study, features)
        return path.read_bytes()


def html_page(opened: readers.OpenStudy, features: Sequence[int]) -> bytes:
    """These features as one page that opens without a server."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.html"
        write_html_page(path, opened.study, readers.history(), features)
        return path.read_bytes()


def whole_history(opened: readers.OpenStudy) -> bytes:
    """Every label event of the study's SAE, with the study's name and input scores."""
    return b"".join(history_lines(opened.info, readers.history(), opened.study.folder))


def labels_table(opened: readers.OpenStudy, features: Sequence[int]) -> pd.DataFrame:
    """A row a feature: labels, status, scores."""
    return tables.labels_table(opened.study, readers.history(), features)
