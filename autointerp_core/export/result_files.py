"""The two result files of a run, in the formats of DESIGN §3.

``feature_examples.jsonl`` has a line a feature, written as it is made; ``feature_labels.json``
one object. Both are written beside their place and renamed, so no reader meets half of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from autointerp_core.export.history_file import origin
from autointerp_core.labels.search.labeler import DEAD
from autointerp_core.store.files import atomic_file, write_json
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.label_state import LabelState
from autointerp_core.store.search_forms import search_forms
from autointerp_core.store.study import Example, Study

Scores = Mapping[int, float] | None
"""Input scores that win over those which the study knows."""

_FEATURES_AT_ONCE = 512


def label_rows(
    study: Study, history: LabelHistory, features: Sequence[int], scores: Scores = None
) -> list[dict[str, Any]]:
    """The ``features`` rows of ``feature_labels.json``, in the order asked for.

    ``form_search`` is there only where the search label has a semantic regex, ``label_error`` only
    where a label could not be made, ``score_error`` only where it could not be scored.

    Raises:
        BadInput: a feature is not in the study.
    """
    wanted = [int(feature) for feature in features]
    known = {**study.input_scores(), **(scores or {})}
    sae = study.info.sae_fingerprint
    states = history.states(sae, wanted, study.id) if wanted else {}
    forms = search_forms(history, sae, states, study.id)
    counts = _column(study, wanted, "num_examples")
    return [
        _row(feature, int(count), states[feature], _finite(known.get(feature)), forms.get(feature))
        for feature, count in zip(wanted, counts, strict=True)
    ]


def _row(
    feature: int, count: int, state: LabelState, score: float | None, form: str | None
) -> dict[str, Any]:
    shown = state.shown()
    row: dict[str, Any] = {
        "feature_index": feature,
        "score": score,
        "label_llm": state.label_llm,
        "label_search": state.label_search,
        "label": state.label,
        "num_examples": count,
        "status": state.status,
        "flagged": state.flagged,
        "scores": dict(shown.scores) if shown is not None else {},
        "scores_llm": _scores(state, state.label_llm, "llm:"),
        "scores_search": _scores(state, state.label_search, "search"),
    }
    if form is not None:
        row["form_search"] = form
    unscored = _unscored(state)
    if unscored is not None:
        row["score_error"] = unscored
    error = label_error(state, dead=count == 0)
    if error is not None:
        row["label_error"] = error
    return row


def _scores(state: LabelState, text: str | None, source: str) -> dict[str, Any]:
    """Test scores by scorer of the newest scored proposal with this text; empty where none is."""
    for proposal in reversed(state.proposals):
        if proposal.scores and proposal.text == text and proposal.source.startswith(source):
            return dict(proposal.scores)
    return {}


def _unscored(state: LabelState) -> str | None:
    """Why the label was not scored though that was tried."""
    shown = state.shown()
    reason = shown.unscored if shown is not None and not shown.scores else None
    return str(reason) if reason else None


def label_error(state: LabelState, *, dead: bool) -> str | None:
    """Why a label is missing; None where none is, or none was asked for."""
    if state.label_llm is None and state.llm_error is not None:
        return state.llm_error
    if state.label_search is None and state.search_error is not None:
        return state.search_error
    return DEAD if dead and (state.label_llm is None or state.label_search is None) else None


def write_feature_labels(
    path: Path,
    study: Study,
    history: LabelHistory,
    features: Sequence[int],
    scores: Scores = None,
) -> None:
    """Write ``feature_labels.json``.

    Raises:
        BadInput: a feature is not in the study, or the folder cannot be written.
    """
    write_json(path, labels_content(study, label_rows(study, history, features, scores)))


def labels_content(study: Study, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``feature_labels.json`` as a whole: its rows, and whose features they are about."""
    return {"num_features": len(rows), "study": origin(study.info), "features": rows}


def write_feature_examples(
    path: Path,
    study: Study,
    features: Sequence[int],
    scores: Scores = None,
    max_examples: int = 20,
) -> None:
    """Write ``feature_examples.jsonl``, a line a feature in the order asked for.

    Raises:
        BadInput: a feature is not in the study, or the folder cannot be written.
    """
    wanted = list(dict.fromkeys(int(feature) for feature in features))
    known = {**study.input_scores(), **(scores or {})}
    density = dict(zip(wanted, _column(study, wanted, "density").tolist(), strict=True))
    with atomic_file(path) as handle:
        for feature, examples in _in_order(study, wanted, max_examples):
            score = _finite(known.get(feature))
            line = {
                "feature_id": feature,
                "finance_score": score,
                "score": score,
                "density": density[feature],
                "examples": [
                    {
                        "activation": example.activation,
                        "sequence_index": example.sequence_index,
                        "token_position": example.token_position,
                        "text": example.text,
                        "document_index": example.document_index,
                        "tokens": example.tokens,
                        "values": example.values,
                        "peak_index": example.peak_index,
                    }
                    for example in examples
                ],
            }
            handle.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _in_order(
    study: Study, wanted: Sequence[int], limit: int
) -> Iterator[tuple[int, list[Example]]]:
    """Top examples in the order of ``wanted``; the study itself reads in feature order."""
    for start in range(0, len(wanted), _FEATURES_AT_ONCE):
        part = wanted[start : start + _FEATURES_AT_ONCE]
        found = dict(study.iter_examples(part, "top", limit=limit))
        yield from ((feature, found[feature]) for feature in part)


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of ``feature_labels`` or of a line of ``feature_examples``."""
    path = files("autointerp_core.export").joinpath("schemas", f"{name}.json")
    loaded: dict[str, Any] = orjson.loads(path.read_bytes())
    return loaded


def _column(study: Study, features: Sequence[int], column: str) -> np.ndarray[Any, Any]:
    """A column of the study's table for these features, in this order."""
    table = study.table
    index = table["feature"].to_numpy()
    wanted = np.asarray(features, dtype=np.int64)
    at = np.searchsorted(index, wanted)
    missing = at >= len(index)
    missing[~missing] = index[at[~missing]] != wanted[~missing]
    for feature in wanted[missing]:
        study.stats(int(feature))  # raises, with the range in words
    values: np.ndarray[Any, Any] = table[column].to_numpy()[at]
    return values


def _finite(score: float | None) -> float | None:
    return float(score) if score is not None and np.isfinite(score) else None
