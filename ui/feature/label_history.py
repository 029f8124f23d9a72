"""What is kept of a feature's label: the note, and every event with a way back to it."""

from __future__ import annotations

import streamlit as st

from autointerp_core.explore.feature_index import Row
from autointerp_core.store.history import LabelEvent, LabelState
from ui import readers
from ui.decisions import keyboard
from ui.decisions.callback import act
from ui.decisions.keyboard import Screen
from ui.elements.table import source_name
from ui.marks import marked


def note(screen: Screen, state: LabelState) -> None:
    """The note, open where there is one."""
    title = "Note" if state.note else "Add a note"
    box = st.expander(title, icon=":material/sticky_note_2:", expanded=bool(state.note))
    with box, st.container(key="note_edit"):
        keyboard.box("note", screen, state)


def history(row: Row, sae: str) -> None:
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
            st.text(marked(f"{event.kind}: {event.text}") if event.text else event.kind)
            with st.container(key=f"quiet_event_{event.id}"):
                parts = [who, event.time[:19].replace("T", " ")]
                parts += ["undone later"] if undone else []
                parts += [event.reason] if event.reason else []
                st.text(marked(" · ".join(parts)))
        stands = event.id == row.state.current_event and row.state.status != "unreviewed"
        if event.text and event.kind not in ("noted", "undone", "failed") and not stands:
            st.button(
                "Revert to this",
                key=f"revert_{event.id}",
                type="tertiary",
                on_click=act,
                args=("revert", sae, row.state),
                kwargs={"event": event.id},
            )
