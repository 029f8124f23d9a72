"""A filter of the features table in words, for a person who is about to act on it."""

from __future__ import annotations

import math

from autointerp_core.explore.view import HAS, SCOPES, View
from autointerp_core.store import selections


def filter_in_words(view: View, ranking: str = "") -> str:
    """``“model” in labels and tokens, unreviewed, density from 0.01 %``; ``none: all features``.

    ``ranking``: the scorer whose scores the view means.
    """
    parts = []
    if view.q.strip():
        parts.append(f"“{view.q.strip()}” in {SCOPES[view.scope].lower()}")
    if view.status:
        parts.append(" or ".join(view.status))
    if view.flagged is not None:
        parts.append("flagged" if view.flagged else "not flagged")
    if view.dead is not None:
        parts.append("dead" if view.dead else "fires")
    parts += [f"has {HAS[name]}" for name in view.has]
    for name, (low, high) in view.ranges:
        known_as = f"{ranking} score".strip() if name == "score" else name
        parts.append(_range(name, known_as, low, high))
    if view.among:
        chosen = selections.read(view.among)
        parts.append("a selection" if chosen is None else f"a selection of {len(chosen):,}")
    return ", ".join(parts) if parts else "none, all features"


def _range(name: str, known_as: str, low: float, high: float) -> str:
    scale, unit = (100, " %") if name == "density" else (1, "")
    said = [known_as]
    if not math.isinf(low):
        said.append(f"from {low * scale:.4g}{unit}")
    if not math.isinf(high):
        said.append(f"to {high * scale:.4g}{unit}")
    return " ".join(said)
