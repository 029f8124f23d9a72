"""A comparison as one JSON object, for the command line and other programs."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from autointerp_core.errors import ParameterError, StudyError
from autointerp_core.explore.compare import how_to_compare
from autointerp_core.explore.compare.density_shift import density_shift
from autointerp_core.explore.compare.matching import (
    NOBODY,
    match,
    read_matches,
    share_compared,
    up_to_date,
)
from autointerp_core.explore.first_shards import MOST_COMPARED, share_read
from autointerp_core.progress import ProgressCallback
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

By = Literal["decoder", "firings"]


def compare(
    a: Study, b: Study, history: LabelHistory, progress: ProgressCallback, *,
    top: int = 20, by: By = "decoder",
) -> dict[str, Any]:  # fmt: skip
    """Compare two studies; ``features`` holds the ``top`` rows, the most telling first.

    Args:
        top: rows to give; 0: all of them.
        by: of two SAEs, the measure by which features are matched.

    Returns:
        Of one SAE: ``density_a``, ``density_b``, documents, ``log2_ratio`` with its interval,
        ``p`` and ``q`` of each feature. Of two: ``feature_a``, ``feature_b``, ``cosine``,
        ``correlation``, ``jaccard``, ``mutual``, labels. None: not known. ``share_read``: of the
        tokens, 1 but in studies of very many firings, of which the first are read.

    Raises:
        BadInput: they cannot be compared.
        SAESourceError, StudyError: there is nothing to compare by.
    """
    if top < 0:
        raise ParameterError(f"top={top}: give how many features to list, or 0 for all")
    kind = how_to_compare(a.info, b.info)
    about: dict[str, Any] = {"kind": kind, "a": _about(a), "b": _about(b)}
    if kind == "one_sae":
        shift = density_shift(a, b)
        order = shift.order()
        rows = shift.rows(order[:top] if top else order)
        labels = _labels(history, a, [row["feature"] for row in rows])
        for row in rows:
            row["label"] = labels.get(row["feature"])
        significant = int((shift.q <= 0.05).sum())
        return about | {
            "share_read": {
                name: round(share_read(study, MOST_COMPARED), 4)
                for name, study in (("a", a), ("b", b))
            },
            "n_features": len(order),
            "n_significant": significant,
            "features": rows,
        }
    matches = read_matches(a.folder, b.id)
    if matches is None or not up_to_date(matches, a, b):
        matches = match(a, b, progress)
    partners = matches.by_decoder if by == "decoder" else matches.by_firings
    why = matches.why_no_decoder if by == "decoder" else matches.why_no_firings
    if partners is None:
        raise StudyError(f"these SAEs cannot be matched by {by}: {why}")
    value = partners.cosine if by == "decoder" else partners.correlation
    sure = np.where(partners.partner == NOBODY, -2.0, np.nan_to_num(value, nan=-2.0))
    best = np.lexsort((matches.features, -sure, ~partners.mutual))
    best = best[:top] if top else best
    labels_a = _labels(history, a, matches.features[best].tolist())
    labels_b = _labels(history, b, partners.partner[best].tolist())
    rows = []
    for at in best.tolist():
        own, other = int(matches.features[at]), int(partners.partner[at])
        rows.append(
            {
                "feature_a": own,
                "feature_b": None if other == NOBODY else other,
                **{
                    name: _known(getattr(partners, name)[at])
                    for name in ("cosine", "correlation", "jaccard")
                },
                "mutual": bool(partners.mutual[at]),
                "label_a": labels_a.get(own),
                "label_b": labels_b.get(other),
            }
        )
    return about | {
        "by": by,
        "share_read": None if matches.by_firings is None else round(share_compared(a, b), 4),
        "n_features": len(matches.features),
        "n_mutual": int(partners.mutual.sum()),
        "left_out": {
            name: reason
            for name, reason in (
                ("decoder", matches.why_no_decoder), ("firings", matches.why_no_firings)
            )
            if reason
        },
        "features": rows,
    }  # fmt: skip


def as_table(report: dict[str, Any]) -> str:
    """A report as lines of text, for a terminal."""
    if report["kind"] == "one_sae":
        titles = ("feature", "density_a", "density_b", "log2_ratio", "low", "high", "q", "label")
    else:
        titles = (
            "feature_a", "feature_b", "cosine", "correlation", "jaccard", "mutual",
            "label_a", "label_b",
        )  # fmt: skip
    cells = [titles, *(tuple(_cell(row[t]) for t in titles) for row in report["features"])]
    widths = [max(len(line[c]) for line in cells) for c in range(len(titles))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if title.startswith("label") else text.rjust(width)
            for text, width, title in zip(line, widths, titles, strict=True)
        ).rstrip()
        for line in cells
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())


def _about(study: Study) -> dict[str, Any]:
    return {"study": study.id, "sae": study.info.sae_source, "dataset": study.info.dataset_name}


def _labels(history: LabelHistory, study: Study, features: list[int]) -> dict[int, str | None]:
    states = history.states(study.info.sae_fingerprint, [f for f in features if f >= 0], study.id)
    return {feature: state.label for feature, state in states.items()}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
