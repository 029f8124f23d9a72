"""The tables of the dataset format: their columns, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from autointerp_core.exchange.explanations import explanations, result_of
from autointerp_core.exchange.subject import FeatureView, Labelled, Subject
from autointerp_core.store.search_forms import forms_in
from autointerp_core.store.study import GROUPS

_TEXTS, _REALS, _WHOLES = (pa.list_(kind) for kind in (pa.string(), pa.float32(), pa.int32()))
_SCORE = ("value", "low", "high", "shuffled", "floor", "auroc", "easy", "hard")
_COUNTS = ("n", "n_missing", "n_active", "n_easy", "n_hard")

SCHEMAS: Mapping[str, pa.Schema] = {
    "features": pa.schema(
        [
            ("feature", pa.int32()),
            ("label", pa.string()),
            ("status", pa.string()),
            ("flagged", pa.bool_()),
            ("label_source", pa.string()),
            ("label_llm", pa.string()),
            ("label_search", pa.string()),
            ("form_search", pa.string()),
            ("note", pa.string()),
            ("input_score", pa.float64()),
            ("test_score", pa.float64()),
            ("fired", pa.int64()),
            ("num_examples", pa.int64()),
            ("density", pa.float64()),
            ("max", pa.float32()),
            ("mean", pa.float32()),
            ("q25", pa.float32()),
            ("q50", pa.float32()),
            ("q75", pa.float32()),
            ("top_tokens", _TEXTS),
            ("top_logits", _REALS),
            ("bottom_tokens", _TEXTS),
            ("bottom_logits", _REALS),
            ("neighbours", _WHOLES),
            ("neighbour_cosines", _REALS),
            ("histogram_edges", _REALS),
            ("histogram_counts", pa.list_(pa.int64())),
        ]
    ),
    "examples": pa.schema(
        [
            ("feature", pa.int32()),
            ("group", pa.string()),
            ("rank", pa.int32()),
            ("activation", pa.float32()),
            ("document_index", pa.int64()),
            ("sequence_index", pa.int64()),
            ("token_position", pa.int32()),
            ("peak_index", pa.int32()),
            ("text", pa.string()),
            ("tokens", _TEXTS),
            ("values", _REALS),
            ("token_ids", pa.list_(pa.uint32())),
        ]
    ),
    "labels": pa.schema(
        [
            ("feature", pa.int32()),
            ("event", pa.int64()),
            ("text", pa.string()),
            ("source", pa.string()),
            ("method", pa.string()),
            ("model", pa.string()),
            ("current", pa.bool_()),
            ("decided", pa.string()),
        ]
    ),
    "scores": pa.schema(
        [
            ("feature", pa.int32()),
            ("event", pa.int64()),
            ("text", pa.string()),
            ("scorer", pa.string()),
            *((name, pa.float64()) for name in _SCORE),
            *((name, pa.int64()) for name in _COUNTS),
            ("measure", pa.string()),
            ("judge", pa.string()),
            ("reason", pa.string()),
        ]
    ),
    "history": pa.schema(
        [
            ("id", pa.int64()),
            ("feature", pa.int32()),
            ("kind", pa.string()),
            ("text", pa.string()),
            ("source", pa.string()),
            ("method", pa.string()),
            ("author", pa.string()),
            ("reason", pa.string()),
            ("time", pa.string()),
            ("parent", pa.int64()),
            ("study", pa.string()),
            ("details", pa.string()),
        ]
    ),
}

Rows = Iterator[dict[str, Any]]


def rows_of(name: str, subject: Subject, features: Sequence[int]) -> Rows:
    """The rows of a table for some features, ascending."""
    if name == "features":
        yield from _features(subject, features)
    elif name == "examples":
        yield from _examples(subject, features)
    else:
        for feature, labelled in subject.labels(features).items():
            yield from _OF_LABELS[name](feature, labelled)


def _features(subject: Subject, features: Sequence[int]) -> Rows:
    for view in subject.views(features, ()):
        state, stats = view.labelled.state, view.stats
        low, middle, high = stats.quantiles
        yield {
            "feature": view.feature,
            "label": state.label,
            "status": state.status,
            "flagged": state.flagged,
            "label_source": state.label_source,
            "label_llm": state.label_llm,
            "label_search": state.label_search,
            "form_search": _form(view, subject),
            "note": state.note,
            "input_score": view.input_score,
            "test_score": state.test_score,
            "fired": stats.fired,
            "num_examples": stats.num_examples,
            "density": stats.density,
            "max": stats.max,
            "mean": stats.mean,
            "q25": low,
            "q50": middle,
            "q75": high,
            "top_tokens": [one.text for one in view.logits.top],
            "top_logits": [one.logit for one in view.logits.top],
            "bottom_tokens": [one.text for one in view.logits.bottom],
            "bottom_logits": [one.logit for one in view.logits.bottom],
            "neighbours": [near.feature for near in view.neighbours],
            "neighbour_cosines": [near.cosine for near in view.neighbours],
            "histogram_edges": view.histogram.edges,
            "histogram_counts": view.histogram.counts,
        }


def _form(view: FeatureView, subject: Subject) -> str | None:
    """The search label's semantic regex; None where it has none."""
    states = {view.feature: view.labelled.state}
    return forms_in(view.labelled.events, states, subject.study.id).get(view.feature)


def _examples(subject: Subject, features: Sequence[int]) -> Rows:
    for view in subject.views(features):
        for group in GROUPS:
            for rank, example in enumerate(view.examples.get(group, [])):
                yield {
                    "feature": view.feature,
                    "group": group,
                    "rank": rank,
                    "activation": example.activation,
                    "document_index": example.document_index,
                    "sequence_index": example.sequence_index,
                    "token_position": example.token_position,
                    "peak_index": example.peak_index,
                    "text": example.text,
                    "tokens": example.tokens,
                    "values": example.values,
                    "token_ids": example.token_ids,
                }


def _labels(feature: int, labelled: Labelled) -> Rows:
    for one in explanations(labelled):
        yield {
            "feature": feature,
            "event": one.event,
            "text": one.text,
            "source": one.source,
            "method": one.method,
            "model": one.model,
            "current": one.current,
            "decided": one.decided,
        }


def _scores(feature: int, labelled: Labelled) -> Rows:
    for one in explanations(labelled):
        for scorer, raw in one.scores.items():
            found = result_of(scorer, raw)
            yield {
                "feature": feature,
                "event": one.event,
                "text": one.text,
                "scorer": scorer,
                **{name: found[name] for name in (*_SCORE, *_COUNTS)},
                **{name: found[name] for name in ("measure", "judge", "reason")},
            }


def _history(feature: int, labelled: Labelled) -> Rows:
    for event in labelled.events:
        yield {
            "id": event.id,
            "feature": feature,
            "kind": event.kind,
            "text": event.text,
            "source": event.source,
            "method": event.method,
            "author": event.author,
            "reason": event.reason,
            "time": event.time,
            "parent": event.parent,
            "study": event.study,
            "details": orjson.dumps(dict(event.details), default=str).decode(),
        }


_OF_LABELS: Mapping[str, Callable[[int, Labelled], Rows]] = {
    "labels": _labels,
    "scores": _scores,
    "history": _history,
}
