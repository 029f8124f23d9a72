"""Rows of Neuronpedia's tables and of SAEDashboard's batches, made from a feature.

The fields are those of ``NeuronpediaDashboardFeature`` and ``NeuronpediaDashboardActivation`` in
jbloomAus/SAEDashboard (``sae_dashboard/neuronpedia/neuronpedia_dashboard.py``) and of the tables
``Neuron``, ``Activation`` and ``Explanation`` in hijohnnylin/neuronpedia
(``utils/neuronpedia-utils/neuronpedia_utils/db_models/``), read in November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.exchange.explanations import Explanation, explanations
from autointerp_core.exchange.neuronpedia.names import Names
from autointerp_core.exchange.subject import FeatureView, Subject
from autointerp_core.store.study import GROUPS, Example

_QUARTER = 0.25
_TOP = -1.0
"""What SAEDashboard writes for the bounds of the top examples, which are no interval."""
_EMPTY = [
    "neuron_alignment_indices",
    "neuron_alignment_values",
    "neuron_alignment_l1",
    "correlated_neurons_indices",
    "correlated_neurons_l1",
    "correlated_neurons_pearson",
    "correlated_features_indices",
    "correlated_features_l1",
    "correlated_features_pearson",
    "logits_hist_data_bar_heights",
    "logits_hist_data_bar_values",
    "decoder_weights_dist",
]
"""What a study does not hold: lists that stay empty."""


def single(values: object) -> NDArray[np.float32]:
    """Numbers as float32, which JSON then gets in as few digits as they need."""
    return np.asarray(values, dtype=np.float32)


def shown_tokens(example: Example) -> list[str]:
    """A text for each token; a token that stands in no text has its name, such as BOS."""
    named = dict(example.named)
    return [named.get(i, text) for i, text in enumerate(example.tokens)]


def dashboard_feature(view: FeatureView, subject: Subject) -> dict[str, Any]:
    """A feature as SAEDashboard's ``batch-N.json`` has it."""
    info = subject.info
    return {
        "feature_index": view.feature,
        **_plain(view),
        **{name: [] for name in _EMPTY},
        "n_prompts_total": info.n_sequences,
        "n_tokens_in_prompt": info.context_size,
        "dataset": info.dataset_name,
        "activations": [
            {
                "bin_min": low,
                "bin_max": high,
                "bin_contains": share,
                "tokens": shown_tokens(example),
                "values": single(example.values),
                "qualifying_token_index": example.peak_index,
            }
            for example, low, high, share in _with_bins(view)
        ],
        "vector": [],
    }


def feature_row(view: FeatureView, names: Names, subject: Subject) -> dict[str, Any]:
    """A row of the table ``Neuron``."""
    return {
        "modelId": names.model,
        "layer": names.source,
        "index": str(view.feature),
        "creatorId": names.creator,
        "createdAt": subject.moment,
        "maxActApprox": view.stats.max,
        "hasVector": False,
        "vector": [],
        "vectorLabel": None,
        "hookName": subject.info.hook,
        "sourceSetName": names.source_set,
        "topkCosSimIndices": [near.feature for near in view.neighbours],
        "topkCosSimValues": single([near.cosine for near in view.neighbours]),
        **_plain(view),
        **{name: [] for name in _EMPTY},
    }


def _plain(view: FeatureView) -> dict[str, Any]:
    """What both have under the same names."""
    edges, counts = view.histogram.edges, view.histogram.counts
    alive = not view.stats.dead
    return {
        "neg_str": [one.text for one in view.logits.bottom],
        "neg_values": single([one.logit for one in view.logits.bottom]),
        "pos_str": [one.text for one in view.logits.top],
        "pos_values": single([one.logit for one in view.logits.top]),
        "frac_nonzero": view.stats.density,
        "freq_hist_data_bar_values": single(np.add(edges[:-1], edges[1:]) / 2) if alive else [],
        "freq_hist_data_bar_heights": list(counts) if alive else [],
    }


def activation_rows(view: FeatureView, names: Names, subject: Subject) -> Iterator[dict[str, Any]]:
    """Rows of the table ``Activation``: an example each."""
    for number, (example, low, high, share) in enumerate(_with_bins(view)):
        values = single(example.values)
        strongest = int(values.argmax())
        yield {
            "id": names.identifier(view.feature, "activation", number),
            "tokens": shown_tokens(example),
            "modelId": names.model,
            "layer": names.source,
            "index": str(view.feature),
            "maxValue": values[strongest],
            "maxValueTokenIndex": strongest,
            "minValue": values.min(),
            "values": values,
            "dfaValues": [],
            "dfaTargetIndex": None,
            "dfaMaxValue": None,
            "creatorId": names.creator,
            "createdAt": subject.moment,
            "lossValues": [],
            "logitContributions": None,
            "binMin": low,
            "binMax": high,
            "binContains": share,
            "qualifyingTokenIndex": example.peak_index,
            "dataIndex": str(example.document_index),
            "dataSource": subject.info.dataset_name,
        }


def explanation_rows(view: FeatureView, names: Names, subject: Subject) -> Iterator[dict[str, Any]]:
    """Rows of the table ``Explanation``: a text each, the feature's label first."""
    times = {event.id: event.time for event in view.labelled.events}
    for one in explanations(view.labelled):
        yield {
            "id": explanation_id(one, view.feature, names),
            "modelId": names.model,
            "layer": names.source,
            "index": str(view.feature),
            "authorId": names.creator,
            "description": one.text,
            "typeName": type_name(one),
            "explanationModelName": one.model,
            "notes": f"{one.source} {one.decided}".strip(),
            "createdAt": times.get(one.event, subject.moment),
        }


def type_name(one: Explanation) -> str:
    """What Neuronpedia calls a way of explaining: the method, else who said it."""
    return one.method or one.source


def explanation_id(one: Explanation, feature: int, names: Names) -> str:
    return names.identifier(feature, "explanation", one.source, one.text)


def _with_bins(view: FeatureView) -> Iterator[tuple[Example, float, float, float]]:
    """Each example with its group's bounds: of a quarter, its weakest and strongest example."""
    for group in GROUPS:
        examples = view.examples.get(group, [])
        if not examples:
            continue
        values = single([example.activation for example in examples])
        low, high, share = float(values.min()), float(values.max()), _QUARTER
        if group == "top":
            low, high, share = _TOP, view.stats.max, _TOP
        for example in examples:
            yield example, low, high, share
