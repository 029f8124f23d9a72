"""The label panel: what was proposed, what is decided, and every way to decide."""

from __future__ import annotations

from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from autointerp_core.explore.feature_index import Row
from autointerp_core.store.history import LabelState
from ui import readers
from ui.decisions import author, decide, keyboard
from ui.decisions.callback import act
from ui.decisions.keyboard import Meaning, Screen
from ui.elements import hint, scoreview
from ui.elements.table import missing_reason
from ui.feature import candidates, label_history, measures, proposals
from ui.marks import marked
from ui.runs import form, start
from ui.sentences import sentence

_BADGES: dict[str, tuple[str, Literal["green", "blue", "gray"]]] = {
    "accepted": (":material/check:", "green"),
    "overridden": (":material/edit:", "blue"),
    "unreviewed": (":material/radio_button_unchecked:", "gray"),
}
_RUNS = (
    ("generate", "Regenerate", ":material/refresh:"),
    ("score", "Score", ":material/fact_check:"),
)


def title(row: Row, ranking: str) -> None:
    """The feature's number, status and flag, its scores, and below them its label.

    The score of ``ranking`` stands first.
    """
    state = row.state
    hint.line("feature")
    with st.container(key="feature_title", gap=None):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            with st.container(key="feature_number", width="content"):
                st.text(f"Feature {row.feature}")
            status_badges(state)
            if state.label is not None:
                with st.container(key="title_score", width="stretch"):
                    scoreview.compact("score_now", state.shown(), ranking)
        with st.container(key="current_label"):
            st.text(marked(state.label) if state.label is not None else f"({missing_reason(row)})")


def status_badges(state: LabelState) -> None:
    """Status and flag as badges."""
    icon, colour = _BADGES[state.status]
    st.badge(state.status, icon=icon, color=colour)
    if state.flagged:
        st.badge("flagged", icon=":material/flag:", color="orange")


def show(opened: readers.OpenStudy, row: Row) -> Screen:
    """The panel. A decision is saved by the button's callback, before the page is drawn."""
    state, sae = row.state, opened.sae
    screen = Screen(opened.name, sae, row.feature, state.last_event or 0)
    with st.container(key="label_panel", border=True, gap="small"):
        actions = st.container(key="label_actions", horizontal=True, gap="small")
        proposals.pair(row, sae, form=readers.search_form(opened, row))
        edit(screen, state)
        _actions(opened, row, actions)
        with st.container(key="outcome"):
            outcome(decide.told(sae, row.feature))
        candidates.show(state, sae)
        measures.show(opened, row)
        label_history.note(screen, state)
        label_history.history(row, sae)
    return screen


def edit(screen: Screen, state: LabelState) -> None:
    """Write a label of one's own; a refused one stays in the box with the reason below."""
    with st.container(key="label_edit"):
        keyboard.box("label", screen, state)
    refused = decide.told(screen.sae, screen.feature)
    # Always there, so that what comes below keeps its place while the page is drawn again.
    with st.container(key="refusal"):
        if refused is not None and refused.kind == "rejected":
            st.text(sentence(refused.message))


def _actions(opened: readers.OpenStudy, row: Row, actions: DeltaGenerator) -> None:
    state, sae = row.state, opened.sae
    with actions:
        st.button(
            keyboard.hint("Unflag" if state.flagged else "Flag", "F"),
            key="flag",
            icon=":material/flag:",
            on_click=act,
            args=("unflag" if state.flagged else "flag", sae, state),
        )
        st.button(
            keyboard.hint("Undo", "U"),
            key="undo",
            icon=":material/undo:",
            disabled=state.status == "unreviewed" and not state.flagged and not state.note,
            on_click=act,
            args=("undo", sae, state),
        )
        if not row.dead:
            place = start.place_of(row.feature)
            for what, title, icon in _RUNS:
                st.button(
                    title,
                    key=what,
                    icon=icon,
                    on_click=form.ask,
                    args=(what, [row.feature], place),
                )
    start.follow(start.place_of(row.feature))
    form.show(opened, start.place_of(row.feature))


def keys(state: LabelState) -> dict[str, Meaning]:
    """What the keys that decide mean for a label."""
    asks = not author.current()  # for the name, in a dialog
    found = {
        "o": Meaning("focus"),
        "f": Meaning("unflag" if state.flagged else "flag", opens=asks),
        "u": Meaning("undo", opens=asks),
    }
    for key, kind in proposals.KEYS.items():
        proposal = proposals.proposal_of(state, kind)
        if proposal is not None:
            found[key] = Meaning("accept", proposal.event_id, opens=asks)
    return found


def outcome(found: decide.Told | None) -> None:
    """What came of the last decision; a refused text is told beside its box instead."""
    if found is None or found.kind == "rejected":
        return
    if found.kind == "saved":
        with st.container(key="quiet_saved"):
            st.text(sentence(found.message))
        return
    with st.container(key="problem_label"):
        title = "Changed by somebody else meanwhile" if found.kind == "conflict" else "Not saved"
        st.markdown(f":material/error: **{title}**")
        st.text(sentence(found.message))
