"""Acting on many features at once: those ticked in the table, or all that pass the filter."""

from __future__ import annotations

import streamlit as st

from autointerp_core.explore.feature_index import Rows, Snapshot
from autointerp_core.store.decisions import Action, Decision
from ui import exporting, readers
from ui.decisions import author, decide
from ui.marks import marked
from ui.navigation import looking
from ui.runs import form, start

_RUNS = (
    ("generate", "Generate labels", ":material/auto_awesome:"),
    ("score", "Score labels", ":material/fact_check:"),
)


def picked() -> list[int]:
    return sorted(looking().picked)


def show(opened: readers.OpenStudy, snapshot: Snapshot, rows: Rows) -> None:
    """The bar with what can be done, as long as something is ticked."""
    with st.container(key="bulk"):
        chosen = picked()
        if chosen:
            _bar(opened, snapshot, rows, chosen)
        start.follow(start.BULK)
        kept = decide.memory()
        if kept.told_bulk:
            st.text(marked(kept.told_bulk))
            kept.told_bulk = ""
    form.show(opened)


def _bar(opened: readers.OpenStudy, snapshot: Snapshot, rows: Rows, chosen: list[int]) -> None:
    count = len(chosen)
    with st.container(
        key="bulk_bar", horizontal=True, vertical_alignment="center", gap="small", border=True
    ):
        st.text(f"{count:,} selected")
        if count < len(rows):
            st.button(
                f"Select all {len(rows):,} that match",
                key="pick_all",
                type="tertiary",
                on_click=_pick_all,
                args=([int(f) for f in snapshot.features[rows]],),
            )
        st.button("Select none", key="pick_none", type="tertiary", on_click=_pick_none)
        st.space("stretch")
        st.button(
            "Accept labels",
            key="bulk_accept",
            icon=":material/check:",
            on_click=_decide,
            args=(opened, snapshot, chosen, "accept"),
        )
        st.button(
            "Flag",
            key="bulk_flag",
            icon=":material/flag:",
            on_click=_decide,
            args=(opened, snapshot, chosen, "flag"),
        )
        for what, title, icon in _RUNS:
            st.button(title, key=f"bulk_{what}", icon=icon, on_click=form.ask, args=(what, chosen))
        st.download_button(
            "Export",
            data=lambda: exporting.labels_json(opened, chosen),
            file_name="feature_labels.json",
            mime="application/json",
            key="bulk_export",
            icon=":material/download:",
        )


def _decide(
    opened: readers.OpenStudy, snapshot: Snapshot, chosen: list[int], action: Action
) -> None:
    decisions = []
    for feature in chosen:
        state = snapshot.state(feature)
        if action == "accept" and (state.current_event is None or state.status != "unreviewed"):
            continue
        if action == "flag" and state.flagged:
            continue
        decisions.append(
            Decision(
                action,
                opened.sae,
                feature,
                state.last_event or 0,
                event=state.current_event if action == "accept" else None,
                reason="together with others",
            )
        )
    request = decide.Request(
        tuple(decisions),
        opened.name,
        bulk=action,
        skipped=len(chosen) - len(decisions),
    )
    decide.make(request, author.current())


def _pick_all(features: list[int]) -> None:
    looking().picked = set(features)


def _pick_none() -> None:
    looking().picked = set()
