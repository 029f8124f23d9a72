"""What leaves the app as a file: labels with the decisions of people in them."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from autointerp_core.labels.results import label_rows
from ui import readers


def labels_json(opened: readers.OpenStudy, features: Sequence[int]) -> bytes:
    """``feature_labels.json`` of these features."""
    rows = label_rows(opened.study, readers.history(), features, readers.scores(opened))
    return orjson.dumps(
        {"num_features": len(rows), "features": rows},
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )
