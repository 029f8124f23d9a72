"""Studies of two SAEs at one hook point: which feature is which, and labels carried over."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import streamlit as st

from autointerp_core.errors import AutointerpError
from autointerp_core.explore.compare import carry_over
from autointerp_core.explore.compare.matching import (
    NOBODY,
    Matches,
    Partners,
    matches_path,
    read_matches,
    share_compared,
    up_to_date,
)
from autointerp_core.explore.feature_index import Snapshot
from ui import problems, readers, session
from ui.compare import listing, plots
from ui.decisions import author, decide
from ui.elements import charts
from ui.marks import marked
from ui.runs.offer import Work, offer
from ui.sentences import sentence

_MEASURES = {"decoder": "Decoder direction", "firings": "Firings on the same tokens"}
_BULK = "got a label carried over"


@dataclass
class Done:
    """What the last carrying over, or its undoing, came to."""

    told: str = ""


def show(a: readers.OpenStudy, b: readers.OpenStudy) -> None:
    """The matches, or the button that has them worked out."""
    found = _matches(a, b)
    if found is None or not up_to_date(found, a.study, b.study):
        offer(
            Work("compare", {"a": a.name, "b": b.name}, f"Matching {a.name} and {b.name}"),
            "Which feature of A is which of B? That is worked out once, in the background: by the "
            "decoder directions (which reads both SAEs) and, as far as both studies hold the "
            "same tokens, by what the features fire on.",
            "Match the features",
            ":material/join_inner:",
        )
        return
    kinds = [kind for kind in _MEASURES if _partners(found, kind) is not None]
    for kind, why in (("decoder", found.why_no_decoder), ("firings", found.why_no_firings)):
        if why:
            st.caption(marked(f"Not matched by {_MEASURES[kind].lower()}: {why}.").replace("*", ""))
    kind = kinds[0]
    if len(kinds) > 1:
        kind = st.segmented_control(
            "Matched by", kinds, default=kinds[0], key="compare_by", required=True,
            format_func=_MEASURES.__getitem__,
        ) or kinds[0]  # fmt: skip
    if found.by_firings is not None:
        listing.partly("Of both", share_compared(a.study, b.study))
    partners = _partners(found, kind)
    assert partners is not None
    _line(partners)
    _plot(found, partners, kind)
    _carry(a, b, partners, "cosine" if kind == "decoder" else "correlation")
    _table(a, b, found, partners, kind)


def _matches(a: readers.OpenStudy, b: readers.OpenStudy) -> Matches | None:
    path = matches_path(a.study.folder, b.name)
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    return _read(str(a.study.folder), b.name, stamp) if stamp else None


@st.cache_resource(max_entries=6, show_spinner=False)
def _read(folder: str, other: str, _stamp: int) -> Matches | None:
    from pathlib import Path

    return read_matches(Path(folder), other)


def _partners(found: Matches, kind: str) -> Partners | None:
    return found.by_decoder if kind == "decoder" else found.by_firings


def _line(partners: Partners) -> None:
    mutual = int(partners.mutual.sum())
    with st.container(key="compare_line"):
        st.text(
            f"Two SAEs at one hook point. {mutual:,} of {len(partners.partner):,} features of A "
            "have a partner in B whose own partner they are."
        )


def _plot(found: Matches, partners: Partners, kind: str) -> None:
    names = np.stack([found.features, partners.partner], axis=1)
    if np.isfinite(partners.cosine).any() and np.isfinite(partners.correlation).any():
        figure = plots.pairs(
            partners.cosine, partners.correlation, names, partners.mutual,
            ("cosine of decoder directions", "correlation of activations", "each other's partner",
             "one way only"),
            log=False,
        )  # fmt: skip
    else:
        figure = plots.histogram(
            partners.cosine if kind == "decoder" else partners.correlation,
            "cosine with the partner" if kind == "decoder" else "correlation with the partner",
        )
    st.plotly_chart(
        figure, key="compare_plot", config=charts.CONFIG, alt="How alike the partners are"
    )


def _table(
    a: readers.OpenStudy, b: readers.OpenStudy, found: Matches, partners: Partners, kind: str
) -> None:
    value = partners.cosine if kind == "decoder" else partners.correlation
    known = np.where(partners.partner == NOBODY, -2.0, np.nan_to_num(value, nan=-2.0))
    order = np.lexsort((found.features, -known, ~partners.mutual))[: listing.MOST_ROWS]
    own, other = found.features[order].tolist(), partners.partner[order].tolist()
    listing.table(
        {
            "a": listing.links(a, own),
            "label_a": listing.labels(a, own),
            "b": listing.links(b, other),
            "label_b": listing.labels(b, other),
            "cosine": listing.finite(partners.cosine[order]),
            "correlation": listing.finite(partners.correlation[order]),
            "jaccard": listing.finite(partners.jaccard[order]),
            "mutual": partners.mutual[order],
        },
        {
            "a": listing.link_column("in A", "Opens the feature in study A"),
            "label_a": st.column_config.TextColumn("Label in A", width="medium"),
            "b": listing.link_column("in B", "Opens the feature in study B"),
            "label_b": st.column_config.TextColumn("Label in B", width="medium"),
            "cosine": listing.number_column("cosine", "Of the two decoder directions"),
            "correlation": listing.number_column(
                "correlation", "Pearson's, of the activations over the tokens of both studies"
            ),
            "jaccard": listing.number_column(
                "Jaccard", "Tokens on which both fire, of those on which either does"
            ),
            "mutual": st.column_config.CheckboxColumn("mutual", width="small"),
        },
        "compare_table",
    )
    listing.cut(len(found.features))


def _carry(a: readers.OpenStudy, b: readers.OpenStudy, partners: Partners, by: str) -> None:
    """Labels of A as proposals for B: how many there are, the button, and the way back."""
    with st.expander("Carry labels over from A to B", key="carry_open", on_change="rerun") as box:
        if not box.open:
            return
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            least = st.number_input(
                f"{by.capitalize()} at least", 0.0, 1.0, 0.8, 0.05, key="carry_least", width=180
            )
            decided = st.toggle("Only labels that a person decided on", key="carry_decided")
        found = _carriable(a, b, partners, float(least), by, decided=decided)
        st.text(
            f"{len(found):,} features of B would get a proposal. They stay proposals, with their "
            "origin, until somebody accepts them; features that have a decision are left alone."
        )
        for one in found[:5]:
            st.text(marked(f"{one.origin.feature} → {one.feature}: {one.label}"))
        if not author.current():
            st.text("Say who you are first: the person button at the top right.")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                f"Carry over {len(found):,}",
                key="carry_apply",
                type="primary",
                disabled=not found or not author.current(),
                on_click=_apply,
                args=(found, b.sae),
            )
            steps = [one for one in decide.made(b.sae, bulk=True) if one.bulk == _BULK]
            if steps:
                count = len(steps[-1].events)
                st.button(
                    f"Undo for all {count:,}", key="carry_undo", icon=":material/undo:",
                    on_click=_undo, args=(steps[-1],),
                )  # fmt: skip
            kept = session.memory(Done)
            told, kept.told = kept.told, ""
            if told:
                st.text(marked(told))


def _carriable(
    a: readers.OpenStudy, b: readers.OpenStudy, partners: Partners, least: float, by: str,
    *, decided: bool,
) -> list[carry_over.Carried]:  # fmt: skip
    one, two = a.snapshot(), b.snapshot()
    state = (a.name, a.stamp, one.version, b.name, b.stamp, two.version)
    return _of(state, least, by, decided, partners, one, two, a)


@st.cache_resource(max_entries=8, show_spinner=False)
def _of(
    state: tuple[str, int, int, str, int, int], least: float, by: str, decided: bool,
    _partners: Partners, _a: Snapshot, _b: Snapshot, _opened: readers.OpenStudy,
) -> list[carry_over.Carried]:  # fmt: skip
    return carry_over.what_can_be_carried(
        _partners, _a, _b, _opened.info, least=least, by=by, decided_only=decided
    )


def _apply(found: list[carry_over.Carried], sae: str) -> None:
    kept = session.memory(Done)
    with session.held():
        try:
            events = carry_over.carry_over(found, readers.history(), sae, author.current())
        except AutointerpError as error:
            kept.told = sentence(f"nothing was saved: {error}")
            return
        pairs = tuple((event.feature, event.id) for event in events)
        decide.memory().made.append(decide.Made(sae, pairs, time.time(), _BULK))
        kept.told = f"{len(events):,} features of B {_BULK}."


def _undo(last: decide.Made) -> None:
    with problems.errors():
        decide.undo(last, author.current())
        session.memory(Done).told = decide.memory().told_bulk
        decide.memory().told_bulk = ""
