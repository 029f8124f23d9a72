"""The silent windows of a part that are most like a label: where a label that is too wide shows."""

from __future__ import annotations

import numpy as np

from autointerp_core.arrays import Float64Array
from autointerp_core.labels.embedders import KnownTexts
from autointerp_core.labels.embedders.likeness import Texts
from autointerp_core.labels.scoring.sample_windows import HARDER, Around, Window


def likeness(label: str, around: Around, known: KnownTexts) -> Float64Array:
    """How like a label each random window of the part is; cut and embedded once for all."""
    texts: Texts | None = known.kept.get(around.background.texts)
    if texts is None:
        texts = known.kept[around.background.texts] = Texts(around.background.texts, known)
    found: Float64Array = texts.like([label])[0]
    return found


def near_windows(
    feature: int, around: Around, like: Float64Array
) -> tuple[list[Window], Float64Array]:
    """The likest windows in which the feature is silent, one a document; and their likeness."""
    rows = np.flatnonzero(around.silent)
    order = rows[np.argsort(-like[rows], kind="stable")]
    _, first = np.unique(around.background.document[order], return_index=True)
    near = order[np.sort(first)[:HARDER]]
    return around.near(feature, near.tolist()), like[near]
