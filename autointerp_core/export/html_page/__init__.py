"""A study, or some of its features, as one HTML file to send to a colleague.

The file needs no server and loads nothing from anywhere: a content security policy allows only its
own script, by hash. Every text of documents, models and people lies in it as JSON data and becomes
text nodes, never markup. Each feature's data is a block of its own that the browser reads when the
feature is opened, so a page of thousands of features opens at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from autointerp_core.export.html_safety import json_block, script_policy
from autointerp_core.export.result_files import label_rows
from autointerp_core.store.files import atomic_file
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Example, Study

_AT_ONCE = 256
_LOGITS = 10


def write_html_page(
    path: Path,
    study: Study,
    history: LabelHistory,
    features: Sequence[int],
    scores: dict[int, float] | None = None,
    *,
    max_examples: int = 20,
) -> None:
    """Write the page; memory does not grow with the number of features.

    Args:
        path: the file to write, whole or not at all.
        study: where examples and statistics come from.
        history: where labels and notes come from.
        features: which features, in this order.
        scores: input scores by feature.
        max_examples: top examples a feature.

    Raises:
        BadInput: a feature is not in the study, or the folder cannot be written.
    """
    wanted = list(dict.fromkeys(int(feature) for feature in features))
    script, style = _part("page.js"), _part("page.css")
    rows = {row["feature_index"]: row for row in label_rows(study, history, wanted, scores)}
    with atomic_file(path) as handle:
        head = _part("page.html").replace("$POLICY", script_policy(script))
        handle.write(head.replace("$TITLE", escape(f"Features of {study.id}")).encode())
        handle.write(f"<style>\n{style}</style>\n".encode())
        handle.write(json_block("study", _facts(study, len(wanted))))
        handle.write(json_block("list", [_line(study, rows[f]) for f in wanted]))
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            states = history.states(study.info.sae_fingerprint, part, study.id)
            found = dict(study.iter_examples(part, "top", limit=max_examples))
            for feature in part:
                data = _feature(study, feature, rows[feature], found[feature])
                handle.write(json_block(f"f{feature}", data | {"note": states[feature].note}))
        handle.write(f"<script>{script}</script>\n</html>\n".encode())


def _part(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _facts(study: Study, count: int) -> list[tuple[str, str]]:
    info = study.info
    return [
        ("Study", study.id),
        ("Model", info.model_name),
        ("SAE", f"{info.sae_source} ({info.sae_fingerprint})"),
        ("Hook point", info.hook),
        ("Dataset", f"{info.dataset_name}, column {info.column}"),
        ("Tokens", f"{info.n_counted:,} counted, {info.n_documents:,} documents"),
        ("Features", f"{count:,} of {info.d_sae:,}"),
        ("Written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]


def _line(study: Study, row: dict[str, Any]) -> list[Any]:
    return [row["feature_index"], row["label"], row["status"], row["num_examples"]]


def _feature(
    study: Study, feature: int, row: dict[str, Any], examples: Sequence[Example]
) -> dict[str, Any]:
    stats = study.stats(feature)
    raised, lowered = study.logits(feature)
    return {
        "label": row,
        "density": stats.density,
        "max": stats.max,
        "raised": [[one.text, one.logit] for one in raised[:_LOGITS]],
        "lowered": [[one.text, one.logit] for one in lowered[:_LOGITS]],
        "examples": [
            [e.activation, e.document_index, e.token_position, e.peak_index, e.tokens, e.values]
            for e in (example.whole for example in examples)
        ],
    }
