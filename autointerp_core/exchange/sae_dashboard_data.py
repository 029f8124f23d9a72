"""A study's features as SAEDashboard's own data classes (sae-dashboard 0.8.0)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from sae_dashboard.components import (
    ActsHistogramData,
    LogitsTableData,
    SequenceData,
    SequenceGroupData,
    SequenceMultiGroupData,
)
from sae_dashboard.components_config import (
    ActsHistogramConfig,
    Column,
    LogitsTableConfig,
    SequencesConfig,
)
from sae_dashboard.data_writing_fns import save_feature_centric_vis
from sae_dashboard.feature_data import FeatureData
from sae_dashboard.layout import SaeVisLayoutConfig
from sae_dashboard.sae_vis_data import SaeVisConfig, SaeVisData
from sae_dashboard.utils_fns import FeatureStatistics

from autointerp_core.exchange.neuronpedia.rows import shown_tokens
from autointerp_core.exchange.subject import FeatureView, Subject
from autointerp_core.store.study import GROUPS, Example

_ROWS = 10
"""Logits shown a side, where there are as many."""
_QUARTERS = len(GROUPS) - 1
_A_QUARTER = 5
_TICKS = 5


@dataclass
class _Texts:
    """Token texts by id, as SAEDashboard asks a tokenizer for them: ``vocab.items()``.

    Several ids may have one text, and a window's text may differ from its token's (of a character
    split over several tokens, the first has all of it): such get ids beyond the vocabulary.
    """

    vocab: list[str]

    def __post_init__(self) -> None:
        self._more: dict[str, int] = {}

    def items(self) -> Iterator[tuple[str, int]]:
        yield from ((text, i) for i, text in enumerate(self.vocab))
        yield from self._more.items()

    def shown(self, example: Example) -> list[int]:
        """For each token an id whose text is what stands in the window."""
        return [
            i if i < len(self.vocab) and self.vocab[i] == text else self._id(text)
            for i, text in zip(example.token_ids, shown_tokens(example), strict=True)
        ]

    def _id(self, text: str) -> int:
        return self._more.setdefault(text, len(self.vocab) + len(self._more))


class Pages:
    """Some features of a study, for one page and one file of data."""

    def __init__(self, subject: Subject, features: Sequence[int]):
        self._texts = _Texts(subject.study.tokens.vocab)
        self._data: dict[int, FeatureData] = {}
        self._shown: dict[int, FeatureData] = {}
        maxima, shares, rows = [], [], _ROWS
        for view in subject.views(features):
            maxima.append(view.stats.max)
            shares.append(view.stats.density)
            rows = min(rows, len(view.logits.top), len(view.logits.bottom))
            found = _feature(view, lambda example: list(example.token_ids))
            self._data[view.feature] = found
            sequences = _sequences(view, self._texts.shown)
            self._shown[view.feature] = replace(found, sequence_data=sequences)
        self._statistics = FeatureStatistics(max=maxima, frac_nonzero=shares)
        self._config = _config(subject, features, rows)

    def save_data(self, path: Path) -> None:
        """As ``SaeVisData.load_json`` reads it, with the tokens' real ids."""
        self._vis(self._data).save_json(path)

    def save_page(self, path: Path) -> None:
        """The page, with the texts as they stand in the documents."""
        save_feature_centric_vis(self._vis(self._shown), path)

    def _vis(self, data: dict[int, FeatureData]) -> Any:
        # Of the model only the tokenizer's vocabulary is asked for.
        model = SimpleNamespace(tokenizer=SimpleNamespace(vocab=self._texts))
        return SaeVisData(
            cfg=self._config,
            feature_data_dict=data,
            feature_stats=self._statistics,
            model=model,
            encoder=None,
        )


def _config(subject: Subject, features: Sequence[int], rows: int) -> Any:
    statistics: list[Any] = [ActsHistogramConfig()]
    if rows:
        statistics.append(LogitsTableConfig(n_rows=rows))
    sequences = SequencesConfig(
        buffer=None,
        n_quantiles=_QUARTERS,
        top_acts_group_size=subject.config.examples,
        quantile_group_size=_A_QUARTER,
        stack_mode="stack-none",
    )
    layout = SaeVisLayoutConfig([Column(*statistics), Column(sequences)], height=750)
    return SaeVisConfig(
        hook_point=subject.info.hook,
        features=list(features),
        feature_centric_layout=layout,
    )


def _feature(view: FeatureView, ids: Any) -> Any:
    top, bottom = view.logits.top, view.logits.bottom
    return FeatureData(
        acts_histogram_data=_histogram(view),
        logits_table_data=LogitsTableData(
            bottom_token_ids=[one.token_id for one in bottom],
            bottom_logits=[one.logit for one in bottom],
            top_token_ids=[one.token_id for one in top],
            top_logits=[one.logit for one in top],
        ),
        sequence_data=_sequences(view, ids),
    )


def _histogram(view: FeatureView) -> Any:
    title = f"ACTIVATIONS<br>DENSITY = {view.stats.density:.4%}"
    if view.stats.dead:
        return ActsHistogramData(title=title)
    edges = np.asarray(view.histogram.edges)
    ticks = np.linspace(edges[0], edges[-1], _TICKS)
    return ActsHistogramData(
        bar_heights=[float(count) for count in view.histogram.counts],
        bar_values=[round(float(x), 5) for x in (edges[:-1] + edges[1:]) / 2],
        tick_vals=[round(float(x), 1) for x in ticks],
        title=title,
    )


def _sequences(view: FeatureView, ids: Any) -> Any:
    """The groups, under titles of the form that SAEDashboard's own converter takes apart."""
    groups = []
    for group in GROUPS:
        examples = view.examples.get(group, [])
        strength = [example.activation for example in examples]
        title = f"TOP ACTIVATIONS<br>MAX = {view.stats.max:.3f}"
        if group != "top":
            if not examples:
                continue
            bounds = f"INTERVAL {min(strength):.3f} - {max(strength):.3f}"
            title = f"{bounds}<br>CONTAINS {100 / _QUARTERS:.3f}%"
        groups.append(SequenceGroupData(title, [_sequence(e, ids(e)) for e in examples]))
    return SequenceMultiGroupData(groups)


def _sequence(example: Example, ids: list[int]) -> Any:
    return SequenceData(
        original_index=example.sequence_index,
        qualifying_token_index=example.token_position,
        token_ids=ids,
        feat_acts=list(example.values),
        token_logits=[0.0] * len(ids),
    )
