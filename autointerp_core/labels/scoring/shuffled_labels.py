"""Labels of other features, to judge a feature's windows by: what a wrong label scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Self

import numpy as np

from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

_MADE = 8
"""Labels made on the spot where no other feature has one."""

Further = Callable[[np.random.Generator], Sequence[str]]
"""Gives labels of features that are not in the run, in an order of the generator's."""


class OtherLabels:
    """Hands every feature labels of others: first each feature's next one in a seeded cycle.

    So among the features of a run, each label is used once before any is used twice.

    Args:
        labels: a label for each feature of the run.
        further: asked for labels of other features where those of the run are too few.
        enough: labels wanted for a feature.
        seed: of the cycle.
    """

    def __init__(self, labels: Mapping[int, str], further: Further, enough: int, seed: int = 0):
        generator = np.random.default_rng([seed, 0x4F4C])
        cycle = generator.permutation(np.array(sorted(labels), dtype=np.int64)).tolist()
        self._cycle: list[int] = cycle
        self._texts = [labels[feature] for feature in cycle]
        if labels and len({text.casefold() for text in self._texts}) <= enough:
            self._texts += further(generator)
        self._place = {feature: place for place, feature in enumerate(cycle)}

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        return {"cycle": self._cycle, "texts": self._texts}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` gave."""
        made = cls({}, lambda _: (), 0)
        made._cycle, made._texts = list(raw["cycle"]), list(raw["texts"])
        made._place = {feature: place for place, feature in enumerate(made._cycle)}
        return made

    def of(self, feature: int, own: Collection[str], wanted: int) -> list[str]:
        """At most ``wanted`` different labels, none of them one of its ``own``."""
        known = {text.casefold() for text in own}
        found: list[str] = []
        place = self._place[feature]
        count = len(self._texts)
        for step in range(1, count):
            if len(found) == wanted:
                break
            text = self._texts[(place + step) % count]
            if text.casefold() not in known:
                known.add(text.casefold())
                found.append(text)
        return found


def further_labels(
    labels: Mapping[int, str],
    study: Study,
    history: LabelHistory,
    make: Callable[[Sequence[int]], Sequence[str]],
) -> Further:
    """Known labels of features that have none in ``labels``; where there are none, made ones.

    Args:
        labels: of the features of a run.
        study: whose features.
        history: where known labels are.
        make: makes labels for features.
    """

    def further(generator: np.random.Generator) -> Sequence[str]:
        states = history.states(study.info.sae_fingerprint, study=study.id)
        texts = [
            state.label
            for feature, state in sorted(states.items())
            if feature not in labels and state.label
        ]
        if texts:
            return [texts[i] for i in generator.permutation(len(texts)).tolist()]
        table = study.table
        live = table.loc[table["num_examples"] > 0, "feature"].to_numpy()
        others = generator.permutation(np.setdiff1d(live, list(labels)))[:_MADE]
        return make([int(feature) for feature in others]) if len(others) else []

    return further
