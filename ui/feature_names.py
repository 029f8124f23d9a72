"""What a feature of a study is called, how it scores and where its page is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.view import View
from ui.elements.table import feature_link, missing_reason


@dataclass(frozen=True)
class Named:
    """A feature as a page names it."""

    feature: int
    label: str
    """Empty where it has none; ``missing`` says why."""
    missing: str
    score: float | None
    most: float | None
    """Its strongest activation in the study."""
    href: str


class Names:
    """Names of a study's features as they are now."""

    def __init__(self, study: str, snapshot: Snapshot) -> None:
        self._study, self._snapshot = study, snapshot
        self._scores = snapshot.column("score")  # once: it is made anew for each asking
        self._known: dict[int, Named] = {}

    def __call__(self, feature: int) -> Named:
        """A feature's name, also of one that the study does not hold."""
        if feature not in self._known:
            self._known[feature] = self._find(feature)
        return self._known[feature]

    def _find(self, feature: int) -> Named:
        href = feature_link(self._study, feature, View())
        at = self._snapshot.at(feature)
        if at is None:
            return Named(feature, "", "not extracted in this study", None, None, href)
        label = self._snapshot.label_objects[at]
        missing = "" if label else missing_reason(self._snapshot.row(at))
        score = float(self._scores[at])
        most = float(self._snapshot.numbers["max"][at])
        known = None if math.isnan(score) else score
        return Named(feature, str(label or ""), missing, known, most or None, href)
