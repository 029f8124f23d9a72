"""Labels of other features, to judge a feature's windows by: what a wrong label scores."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from autointerp_core.labels.document_split import Split
from autointerp_core.labels.search.record import search_labeler
from autointerp_core.store.history import LabelHistory

_MADE = 8
"""Search labels made on the spot where nobody else has a label."""


class OtherLabels:
    """Hands every feature labels of others: first each feature's next one in a seeded cycle.

    So among the features of a run, each label is used once before any is used twice.

    Args:
        labels: a label for each feature of the run.
        split: of the study, for labels made on the spot.
        history: where labels of further features are.
        enough: labels wanted for a feature; further features are looked for below it.
        seed: of the cycle.
    """

    def __init__(
        self,
        labels: Mapping[int, str],
        split: Split,
        history: LabelHistory,
        enough: int,
        seed: int = 0,
    ):
        self._generator = np.random.default_rng([seed, 0x4F4C])
        cycle = self._generator.permutation(np.array(sorted(labels), dtype=np.int64)).tolist()
        self._texts = [labels[feature] for feature in cycle]
        self._place = {feature: place for place, feature in enumerate(cycle)}
        if labels and len({text.casefold() for text in self._texts}) <= enough:
            self._texts += self._further(labels, split, history)

    def of(self, feature: int, own: Collection[str], wanted: int) -> list[str]:
        """At most ``wanted`` different labels, none of them one of its ``own``."""
        known = {text.casefold() for text in own}
        found: list[str] = []
        place = self._place[feature]
        for text in (*self._texts[place + 1 :], *self._texts[:place]):
            if len(found) == wanted:
                break
            if text.casefold() not in known:
                known.add(text.casefold())
                found.append(text)
        return found

    def _further(self, labels: Mapping[int, str], split: Split, history: LabelHistory) -> list[str]:
        """Labels of features that are not in the run: known ones, else made now."""
        study = split.study
        states = history.states(study.info.sae_fingerprint, study=study.id)
        texts = [
            state.label
            for feature, state in sorted(states.items())
            if feature not in labels and state.label
        ]
        if texts:
            return [texts[i] for i in self._generator.permutation(len(texts)).tolist()]
        table = study.table
        live = table.loc[table["num_examples"] > 0, "feature"].to_numpy()
        others = self._generator.permutation(np.setdiff1d(live, list(labels)))[:_MADE]
        if not len(others):
            return []
        made = search_labeler(split).label_all([int(feature) for feature in others])
        return [found.text for found in made if found.text]
