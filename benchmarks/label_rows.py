"""What rows of ``benchmarks.labels`` are made of: embedding scores of labels, their medians, and
differences at equal word count, by the embedder that scores here and by wordllama, as before it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from autointerp_core.labels.embedders import WORDLLAMA, KnownTexts, scoring_embedder
from autointerp_core.labels.scoring.sample_windows import EASY, HARD, WindowSet
from autointerp_core.labels.scoring.score_statistics import AUROC, value_of
from autointerp_core.labels.scoring.scorers import ScorerRun, Tools, answer_runs
from autointerp_core.labels.scoring.scorers.embedding import EMBEDDING
from benchmarks.report import Row

DRAWS = 2000
"""Bootstrap draws of features."""
Labels = dict[int, str | None]
Values = Mapping[int, tuple[float, float, float]]
"""AUROC against all, easy and hard silent windows; NaN where there are none."""


def scorers() -> list[str]:
    """Embedders that score: the one of this machine, then wordllama, as scores were before it."""
    return list(dict.fromkeys((scoring_embedder(), WORDLLAMA)))


def suffix(embedder: str) -> str:
    """What a row's name ends with that is not by the embedder of this machine."""
    return "" if embedder == scoring_embedder() else f"_{embedder}"


def cut_alike(one: Labels, other: Labels) -> tuple[dict[int, str], dict[int, str]]:
    """Labels that both have, each pair cut to the words of the shorter."""
    left: dict[int, str] = {}
    right: dict[int, str] = {}
    for feature, text in one.items():
        against = other.get(feature)
        if not text or not against:
            continue
        words, others = text.split(), against.split()
        count = min(len(words), len(others))
        left[feature], right[feature] = " ".join(words[:count]), " ".join(others[:count])
    return left, right


def embedding_values(
    labels: Mapping[int, str | None], windows: Mapping[int, WindowSet], known: KnownTexts
) -> Values:
    """The embedding score of each label that has windows."""
    runs = [
        ScorerRun.of(EMBEDDING, text, windows[feature], 0)
        for feature, text in labels.items()
        if text and feature in windows
    ]
    out: dict[int, tuple[float, float, float]] = {}
    for run in runs:
        run.baseline = True  # what random windows say is not asked here
    for first in range(0, len(runs), 64):
        answer_runs(runs[first : first + 64], Tools(known))
        for run in runs[first : first + 64]:
            kind = np.asarray([window.kind for window in run.windows])
            silent = (np.isin(kind, (EASY, HARD)), kind == EASY, kind == HARD)
            active = run.said[~silent[0]]
            values = [value_of(AUROC, active, run.said[part]) for part in silent]
            whole, easy, hard = (np.nan if v is None else v for v in values)
            out[run.feature] = (whole, easy, hard)
    return out


def median_rows(name: str, values: Values) -> list[Row]:
    """Median AUROC against all, easy and hard windows."""
    table = np.asarray(list(values.values())).reshape(-1, 3)
    rows = []
    for i, kind in enumerate(("all", "easy", "hard")):
        found = table[np.isfinite(table[:, i]), i]
        if len(found):
            note = f"floor 0.5, {len(found)} features" + (
                f"; {len(table) - len(found)} labels cannot be judged" * (len(found) < len(table))
            )
            rows.append(Row(f"{name}_{kind}", float(np.median(found)), note=note))
    return rows


def difference_rows(name: str, one: Values, other: Values, limit: float | None) -> list[Row]:
    """Difference of the medians of two labels of the same features, and its 95 % interval.

    ``limit`` is for all windows; the lower end of its interval must be above 0 too.
    """
    # A label that the scorer cannot judge has no number; its pair is left out.
    common = sorted(
        f for f in set(one) & set(other) if not np.isnan([one[f][0], other[f][0]]).any()
    )
    a = np.asarray([one[feature] for feature in common])
    b = np.asarray([other[feature] for feature in common])
    generator = np.random.default_rng(0)
    draws = generator.integers(0, len(common), (DRAWS, len(common)))
    rows = []
    for i, kind in enumerate(("all", "easy", "hard")):
        x, y = a[:, i], b[:, i]
        value = float(np.nanmedian(x) - np.nanmedian(y))
        spread = np.nanmedian(x[draws], axis=1) - np.nanmedian(y[draws], axis=1)
        low, high = (float(v) for v in np.nanpercentile(spread, (2.5, 97.5)))
        judged = limit if kind == "all" else None
        note = f"95 % interval {low:+.3f} to {high:+.3f}, {len(common)} features"
        rows.append(Row(f"{name}_{kind}", value, judged, ">=", repeats=DRAWS, note=note))
        if judged is not None:
            rows.append(Row(f"{name}_{kind}_low", low, 0.0, ">="))
    return rows


def floor(features: int) -> str:
    return f"floor 0.5, {features} features"
