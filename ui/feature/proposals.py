"""The newest, or best scored, LLM and search label side by side, each with scores and a button."""

from __future__ import annotations

from typing import Literal, TypeAlias

import streamlit as st

from autointerp_core.explore.feature_index import Row
from autointerp_core.store.history import LabelState, Proposal
from ui.decisions.callback import act
from ui.decisions.keyboard import hint
from ui.elements import scores, scoreview
from ui.glossary import about
from ui.marks import marked

Kind: TypeAlias = Literal["llm", "search"]
_TITLES = {"llm": "LLM label", "search": "Search label"}
KEYS: dict[str, Kind] = {"1": "llm", "2": "search"}
_PREFIXES = {"llm": "llm:", "search": "search"}


def pair(row: Row, sae: str, then: int | None = None, form: str | None = None) -> None:
    """The two machine labels side by side, each with its button and key.

    ``form`` is the search label's semantic regex, shown below it.
    """
    left, right = st.columns(2, gap="small")
    with left:
        _proposal("llm", row, sae, then)
    with right:
        _proposal("search", row, sae, then, form)


def proposal_of(state: LabelState, name: Kind) -> Proposal | None:
    """The proposal that stands for a kind: with its text, a scored one before others."""
    text = state.label_llm if name == "llm" else state.label_search
    found = [p for p in state.proposals if p.source.startswith(_PREFIXES[name])]
    same = [p for p in reversed(found) if p.text == text]
    return next((p for p in same if p.test_score is not None), same[0] if same else None)


def _proposal(name: Kind, row: Row, sae: str, then: int | None, form: str | None = None) -> None:
    state = row.state
    llm = name == "llm"
    text = state.label_llm if llm else state.label_search
    error = state.llm_error if llm else state.search_error
    shown = proposal_of(state, name)
    with st.container(key=f"proposal_{name}", gap="xxsmall", height="stretch"):
        # The button stands above what varies in height, in the same place for every feature.
        head = st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False)
        with head, st.container(key=f"quiet_{name}", width="stretch"):
            st.text(_TITLES[name], help=f"{about(_TITLES[name])}\n\n{scores.ABOUT}")
        if text is None:
            with st.container(key=f"missing_{name}"):
                st.text("never fires" if row.dead else marked(error or "not made yet"))
        else:
            st.text(marked(text))
            if form is not None:
                with st.container(key="quiet_form"):
                    st.text(marked(form), help=about("Semantic regex"))
        scoreview.panel(f"scores_{name}", shown)
        head.button(
            hint("Accept", "1" if llm else "2"),
            key=f"accept_{name}",
            icon=":material/check:",
            disabled=shown is None,
            type="primary" if state.status == "unreviewed" and state.label == text else "secondary",
            on_click=act,
            args=("accept", sae, state),
            kwargs={"event": shown.event_id if shown is not None else None, "then": then},
        )
