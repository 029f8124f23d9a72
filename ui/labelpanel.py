"""The label panel: what was proposed, what is decided, and every way to decide."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from autointerp_core.store.history import LabelEvent, LabelState
from ui import author, decide, readers, regenerate
from ui.decide import Decision
from ui.index import Row
from ui.table import missing_reason, source_name
from ui.words import sentence

_BADGES: dict[str, tuple[str, Literal["green", "blue", "gray"]]] = {
    "accepted": (":material/check:", "green"),
    "overridden": (":material/edit:", "blue"),
    "unreviewed": (":material/radio_button_unchecked:", "gray"),
}


def badges(row: Row) -> None:
    """The current label, its status and flag, in the page's title."""
    state = row.state
    with st.container(key="current_label", width="content"):
        st.text(state.label if state.label is not None else f"({missing_reason(row)})")
    status_badges(state)


def status_badges(state: LabelState) -> None:
    """Status and flag as badges."""
    icon, colour = _BADGES[state.status]
    st.badge(state.status, icon=icon, color=colour)
    if state.flagged:
        st.badge("flagged", icon=":material/flag:", color="orange")


def show(opened: readers.OpenStudy, row: Row) -> None:
    """The panel. A decision is saved by the button's callback, before the page is drawn."""
    state, sae = row.state, opened.sae
    with st.container(key="label_panel", border=True, gap="small"):
        proposals(row, sae)
        edit(row, sae)
        _actions(opened, row)
        with st.container(key="outcome"):
            outcome(decide.outcome(row.feature))
        _note(state, sae)
        _history(row, sae)


def act(
    action: decide.Action,
    sae: str,
    state: LabelState,
    *,
    text: str = "",
    event: int | None = None,
    then: int | None = None,
) -> None:
    """Callback: decide, and go on to feature ``then`` where one is given."""
    expected = state.last_event or 0
    decision = Decision(action, sae, state.feature, expected, text=text, event=event)
    decide.make([decision], author.current(), then)


def proposals(row: Row, sae: str, then: int | None = None) -> None:
    """The two machine labels side by side, each with its button and key."""
    left, right = st.columns(2, gap="small")
    with left:
        _proposal("llm", row, sae, then)
    with right:
        _proposal("search", row, sae, then)


def _proposal(name: Literal["llm", "search"], row: Row, sae: str, then: int | None) -> None:
    state = row.state
    llm = name == "llm"
    text = state.label_llm if llm else state.label_search
    error = state.llm_error if llm else state.search_error
    found = [p for p in state.proposals if p.source.startswith("llm:" if llm else "search")]
    latest = next((p for p in reversed(found) if p.text == text), None)
    with st.container(key=f"proposal_{name}", gap="xxsmall", height="stretch"):
        with st.container(key=f"quiet_{name}"):
            scored = latest is not None and latest.score is not None
            score = f" · score {latest.score:.2f}" if latest is not None and scored else ""
            st.text(("LLM label" if llm else "Search label") + score)
        if text is None:
            with st.container(key=f"missing_{name}"):
                st.text("never fires" if row.dead else error or "not made yet")
        else:
            st.text(text)
        st.space("stretch")
        st.button(
            "Accept",
            key=f"accept_{name}",
            icon=":material/check:",
            shortcut="1" if llm else "2",
            disabled=latest is None,
            type="primary" if state.status == "unreviewed" and state.label == text else "secondary",
            on_click=act,
            args=("accept", sae, state),
            kwargs={"event": latest.event_id if latest is not None else None, "then": then},
        )


def edit(row: Row, sae: str, then: int | None = None) -> None:
    """Write a label of one's own; a refused one stays in the box with the reason below."""
    state = row.state
    refused = decide.outcome(row.feature)
    key = f"label_{row.feature}_{state.last_event or 0}"
    with (
        st.form("edit_label", border=False),
        st.container(key="label_edit", horizontal=True, vertical_alignment="bottom"),
    ):
        st.text_input(
            "Your label", state.label or "", key=key, max_chars=300, placeholder="at most 9 words"
        )
        st.form_submit_button(
            "Save",
            key="save_label",
            icon=":material/save:",
            on_click=_save,
            args=(sae, state, key, then),
        )
    # Always there, so that what comes below keeps its place while the page is drawn again.
    with st.container(key="refusal"):
        if refused is not None and refused.kind == "rejected":
            st.text(sentence(refused.message))


def _save(sae: str, state: LabelState, key: str, then: int | None) -> None:
    act("override", sae, state, text=st.session_state[key] or "", then=then)


def _actions(opened: readers.OpenStudy, row: Row) -> None:
    state, sae = row.state, opened.sae
    with st.container(key="label_actions", horizontal=True, gap="small"):
        st.button(
            "Unflag" if state.flagged else "Flag",
            key="flag",
            icon=":material/flag:",
            shortcut="F",
            on_click=act,
            args=("unflag" if state.flagged else "flag", sae, state),
        )
        st.button(
            "Undo",
            key="undo",
            icon=":material/undo:",
            shortcut="U",
            disabled=state.status == "unreviewed" and not state.flagged and not state.note,
            on_click=act,
            args=("undo", sae, state),
        )
        if not row.dead:
            regenerate.popover(opened, row)
    regenerate.follow(row.feature)


def outcome(found: decide.Outcome | None) -> None:
    """What came of the last decision; a refused text is told beside its box instead."""
    if found is None or found.kind == "rejected":
        return
    if found.kind == "saved":
        with st.container(key="quiet_saved"):
            st.text(f"{found.message}.")
        return
    with st.container(key="problem_label"):
        title = "Changed by somebody else meanwhile" if found.kind == "conflict" else "Not saved"
        st.markdown(f":material/error: **{title}**")
        st.text(sentence(found.message))


def _note(state: LabelState, sae: str) -> None:
    title = "Note" if state.note else "Add a note"
    key = f"note_{state.feature}_{state.last_event or 0}"
    box = st.expander(title, icon=":material/sticky_note_2:", expanded=bool(state.note))
    with box, st.form("edit_note", border=False):
        st.text_area(
            "Note",
            state.note or "",
            key=key,
            label_visibility="collapsed",
            height=80,
            max_chars=4000,
        )
        st.form_submit_button(
            "Save note", key="save_note", on_click=_save_note, args=(sae, state, key)
        )


def _save_note(sae: str, state: LabelState, key: str) -> None:
    act("note", sae, state, text=st.session_state[key] or "")


def _history(row: Row, sae: str) -> None:
    count = row.state.num_events
    box = st.expander(
        f"History ({count})", icon=":material/history:", key="history", on_change="rerun"
    )
    if not box.open:
        return
    with box, st.container(key="history_list", gap="xsmall"):
        if not count:
            st.text("Nothing yet.")
        undone: set[int | None] = set()
        for event in reversed(readers.history().history(sae, row.feature)):
            if event.kind == "undone":
                undone.add(event.parent)
            _event(event, row, sae, undone=event.id in undone)


def _event(event: LabelEvent, row: Row, sae: str, *, undone: bool) -> None:
    who = event.author or source_name(event.source)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch", gap=None):
            st.text(f"{event.kind}: {event.text}" if event.text else event.kind)
            with st.container(key=f"quiet_event_{event.id}"):
                parts = [who, event.time[:19].replace("T", " ")]
                parts += ["undone later"] if undone else []
                parts += [event.reason] if event.reason else []
                st.text(" · ".join(parts))
        if event.text and event.kind not in ("noted", "undone", "failed"):
            st.button(
                "Revert to this",
                key=f"revert_{event.id}",
                type="tertiary",
                on_click=act,
                args=("revert", sae, row.state),
                kwargs={"event": event.id},
            )
