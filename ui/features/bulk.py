"""Acting on many features at once: those ticked in the table, or all that pass the filter.

What is selected is never wider than what the filter shows: features that leave the filter are
selected no more. Decisions are asked for once more, with their number and the filter, and are
one step to undo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from autointerp_core.explore.feature_index import Rows, Snapshot
from autointerp_core.explore.view import View
from autointerp_core.store.decisions import Action, Decision
from ui import exporting, readers, session
from ui.decisions import author, decide
from ui.features.in_words import filter_in_words
from ui.marks import marked
from ui.navigation import looking
from ui.runs import form, start

_RUNS = (
    ("generate", "Generate labels", ":material/auto_awesome:"),
    ("score", "Score labels", ":material/fact_check:"),
)
_ACTIONS: dict[Action, tuple[str, str, str]] = {
    "accept": ("Accept labels", "accepted", "have no label, or somebody has decided already"),
    "flag": ("Flag", "flagged", "have a flag already"),
}
_ICONS: dict[Action, str] = {"accept": ":material/check:", "flag": ":material/flag:"}
_PREVIEW = 8


@dataclass
class Asked:
    """What is to be done to many features, until it is confirmed."""

    request: decide.Request | None = None
    title: str = ""
    lines: tuple[str, ...] = ()
    button: str = ""


def show(opened: readers.OpenStudy, snapshot: Snapshot, view: View, rows: Rows, here: Rows) -> None:
    """The bar with what can be done, as long as something is ticked.

    ``rows`` are those of the filter, ``here`` those of the page shown.
    """
    with st.container(key="bulk"):
        left_out = _narrow(snapshot, rows)
        chosen = sorted(looking().picked)
        if left_out:
            st.text(f"{left_out:,} no longer match the filter and are selected no more.")
        if chosen:
            _bar(opened, snapshot, view, rows, here, chosen)
        _done(opened.sae)
        start.follow(start.BULK)
    form.show(opened)
    asked = session.study_memory(Asked)
    if asked.request is not None:
        dialog = st.dialog(asked.title, icon=":material/checklist:", on_dismiss=_cancel)
        dialog(_confirm)()


def _narrow(snapshot: Snapshot, rows: Rows) -> int:
    """Keep of the selection what the filter shows; returns how many were left out."""
    kept = looking()
    if not kept.picked:
        return 0
    picked = np.fromiter(kept.picked, dtype=np.int64)
    shown = picked[np.isin(picked, snapshot.features[rows])]
    left_out = len(picked) - len(shown)
    if left_out:
        kept.picked = set(shown.tolist())
    return left_out


def _bar(
    opened: readers.OpenStudy,
    snapshot: Snapshot,
    view: View,
    rows: Rows,
    here: Rows,
    chosen: list[int],
) -> None:
    with st.container(
        key="bulk_bar", horizontal=True, vertical_alignment="center", gap="small", border=True
    ):
        st.text(_selected(chosen, snapshot, here))
        if len(chosen) < len(rows):
            st.button(
                f"Select all {len(rows):,} that match",
                key="pick_all",
                type="tertiary",
                on_click=_pick_all,
                args=([int(f) for f in snapshot.features[rows]],),
            )
        st.button("Select none", key="pick_none", type="tertiary", on_click=_pick_none)
        st.space("stretch")
        for action, icon in _ICONS.items():
            st.button(
                _ACTIONS[action][0],
                key=f"bulk_{action}",
                icon=icon,
                on_click=_ask,
                args=(opened, snapshot, view, len(rows), chosen, action),
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


def _selected(chosen: list[int], snapshot: Snapshot, here: Rows) -> str:
    """``37 selected: 12 on this page, 25 on others``."""
    on_page = int(np.isin(chosen, snapshot.features[here]).sum())
    elsewhere = len(chosen) - on_page
    where = f": {on_page:,} on this page, {elsewhere:,} on others" if elsewhere else ""
    return f"{len(chosen):,} selected{where}"


def _ask(
    opened: readers.OpenStudy,
    snapshot: Snapshot,
    view: View,
    matching: int,
    chosen: list[int],
    action: Action,
) -> None:
    """Callback: what is to be done, worked out on what the table shows now."""
    title, done, nothing = _ACTIONS[action]
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
    skipped = len(chosen) - len(decisions)
    lines = [f"{len(chosen):,} of the {matching:,} features that match are selected."]
    lines.append(f"Filter: {filter_in_words(view, snapshot.ranking(view.by))}.")
    if skipped:
        lines.append(f"{skipped:,} stay as they are: they {nothing}.")
    lines += [f"{d.feature}: {snapshot.state(d.feature).label}" for d in decisions[:_PREVIEW]]
    if len(decisions) > _PREVIEW:
        lines.append(f"and {len(decisions) - _PREVIEW:,} more")
    count = f"{len(decisions):,} feature{'' if len(decisions) == 1 else 's'}"
    asked = session.study_memory(Asked)
    asked.title = f"{title} of {count}?" if action == "accept" else f"{title} {count}?"
    asked.button = f"{title} of {count}" if action == "accept" else f"{title} {count}"
    asked.lines = tuple(lines)
    asked.request = decide.Request(tuple(decisions), opened.name, bulk=done, skipped=skipped)


def _confirm() -> None:
    asked = session.study_memory(Asked)
    request = asked.request
    if request is None:
        st.rerun()
    with st.container(key="bulk_asked", gap="xxsmall"):
        for line in asked.lines:
            st.text(marked(line))
    with st.container(key="bulk_answer", horizontal=True, gap="small"):
        nothing = not request.decisions
        st.button(asked.button, key="bulk_yes", type="primary", disabled=nothing, on_click=_yes)
        st.button("Cancel", key="bulk_no", on_click=_cancel)


def _yes() -> None:
    asked = session.study_memory(Asked)
    request, asked.request = asked.request, None
    if request is not None:
        decide.make(request, author.current())


def _cancel() -> None:
    session.study_memory(Asked).request = None


def _done(sae: str) -> None:
    """What the last step did, and the way back from it."""
    kept = decide.memory()
    steps = decide.made(sae, bulk=True)
    with st.container(key="bulk_done", horizontal=True, vertical_alignment="center", gap="small"):
        if kept.told_bulk:
            st.text(marked(kept.told_bulk))
        elif steps:
            st.text(f"Last: {len(steps[-1].events):,} features {steps[-1].bulk}.")
        if steps:
            count = len(steps[-1].events)
            st.button(
                f"Undo for all {count:,}" if count > 1 else "Undo",
                key="bulk_undo",
                icon=":material/undo:",
                on_click=_undo,
                args=(steps[-1],),
            )
    kept.told_bulk = ""


def _undo(last: decide.Made) -> None:
    decide.undo(last, author.current())


def _pick_all(features: list[int]) -> None:
    looking().picked = set(features)


def _pick_none() -> None:
    looking().picked = set()
