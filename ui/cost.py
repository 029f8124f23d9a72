"""What a run will cost, told before it starts; and money and tokens in words."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ui import readers
from ui.runsettings import GENERATE, RunSettings


def estimate_line(
    opened: readers.OpenStudy, what: str, features: Sequence[int], settings: RunSettings
) -> str:
    """``About 240 requests · 61,000 tokens in · 2,400 out · cost unknown (no price given)``."""
    if not settings.needs_model(what):
        return "No language model is asked: no tokens, no cost."
    llm = what == GENERATE and settings.kind == "llm"
    requests, tokens_in, tokens_out, dollars = _estimate(
        str(opened.study.folder),
        opened.stamp,
        tuple(features),
        settings.provider,
        settings.method if llm else None,
        settings.examples,
        settings.proposals + 1 if llm else 1,
        settings.scorers,
        settings.price_in if settings.provider == "openai" else None,
        settings.price_out if settings.provider == "openai" else None,
    )
    parts = [
        f"About {rough(requests)} requests",
        f"{rough(tokens_in)} tokens in",
        f"{rough(tokens_out)} out",
        "no charge: it runs on this machine" if settings.provider != "openai" else money(dollars),
    ]
    return " · ".join(parts)


@st.cache_data(max_entries=64, show_spinner=False)
def _estimate(
    folder: str,
    stamp: int,
    features: tuple[int, ...],
    provider: str,
    method: str | None,
    max_examples: int,
    candidates: int,
    scorers: tuple[str, ...],
    price_in: float | None,
    price_out: float | None,
) -> tuple[int, int, int, float | None]:
    from autointerp_core.labels.estimate import estimate_run

    found = estimate_run(
        readers.study_of(folder, stamp),
        list(features),
        provider=provider,
        method=method,
        max_examples=max_examples,
        candidates=candidates,
        scorers=scorers,
        price_in=price_in,
        price_out=price_out,
    )
    return found.requests, found.tokens_in, found.tokens_out, found.dollars


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
