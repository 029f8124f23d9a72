"""What a run will cost, told before it starts; and money and tokens in words."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from autointerp_core.labels.config import LabelConfig, ScoreConfig
from autointerp_core.labels.estimate import RunEstimate, estimate_labels, estimate_scores
from ui import readers
from ui.runs.settings import RunSettings

FREE = "no charge: runs on this machine"


def estimate_line(
    opened: readers.OpenStudy, what: str, features: Sequence[int], settings: RunSettings
) -> str:
    """``About 240 requests · 61,000 tokens in · 2,400 out · cost unknown (no price given)``."""
    if not settings.needs_model(what):
        return "No language model is asked: no tokens, no cost."
    config = settings.config(what)
    found = _estimate(str(opened.study.folder), opened.stamp, list(features), repr(config), config)
    parts = [
        f"About {rough(found.requests)} request{'' if found.requests == 1 else 's'}",
        f"{rough(found.tokens_in)} tokens in",
        f"{rough(found.tokens_out)} out",
        money(found.dollars) if config.paid else FREE,
    ]
    return " · ".join(parts)


@st.cache_data(max_entries=64, show_spinner=False)
def _estimate(
    folder: str, stamp: int, features: list[int], key: str, _config: LabelConfig | ScoreConfig
) -> RunEstimate:
    """``key`` stands for the configuration, which Streamlit cannot hash."""
    study = readers.study_of(folder, stamp)
    if isinstance(_config, LabelConfig):
        return estimate_labels(study, features, _config)
    return estimate_scores(study, features, _config)


def money(dollars: float | None) -> str:
    """``$0.42``; unknown where no price is."""
    if dollars is None:
        return "cost unknown (no price given)"
    return f"${dollars:,.2f}" if dollars >= 0.1 or dollars == 0 else f"${dollars:.2g}"


def rough(count: int) -> str:
    """Two significant digits: nobody should take an estimate for a count."""
    if count < 100:
        return str(count)
    digits = len(str(count)) - 2
    return f"{round(count, -digits):,}"
