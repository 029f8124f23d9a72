"""Every text proposed for a feature, with its source, method, score and a button to accept it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from autointerp_core.store.events import UNKNOWN_STUDY
from autointerp_core.store.history import LabelState, Proposal
from ui import readers
from ui.decisions.callback import act
from ui.elements import scores
from ui.elements.table import source_name
from ui.marks import marked

_MOST = 40
_BEST = "Scored best on the documents that choose (validate)"


@dataclass(frozen=True)
class Candidate:
    """A distinct text: the proposal that stands for it, and everybody who proposed it."""

    proposal: Proposal
    sources: tuple[str, ...]
    best: bool

    def about(self) -> str:
        """``LLM · tiny (peaks) · score 0.86 · validate 0.84``."""
        parts = [", ".join(self.sources)]
        test, rank = self.proposal.test_score, self.proposal.score
        if test is not None:
            parts.append(f"score {test:.2f}")
        if rank is not None:
            parts.append(f"validate {rank:.2f}")
        if test is None and rank is None:
            parts.append(scores.why_not(self.proposal))
        return " · ".join(parts)


def candidates(state: LabelState) -> list[Candidate]:
    """Distinct texts, those that rank best (on validate) first, unscored ones last."""
    found = _distinct(state.proposals)
    found.sort(key=lambda item: (-_rank(item[0]), -item[0].event_id))
    return [
        Candidate(proposal, names, best=place == 0 and proposal.score is not None)
        for place, (proposal, names) in enumerate(found)
    ]


def from_elsewhere(state: LabelState) -> list[Candidate]:
    """Distinct texts made from other studies of the SAE, by study; of no one they count for."""
    by_study: dict[str, list[Proposal]] = {}
    for proposal in state.foreign:
        by_study.setdefault(proposal.study or UNKNOWN_STUDY, []).append(proposal)
    return [
        Candidate(proposal, names, best=False)
        for same in by_study.values()
        for proposal, names in _distinct(same)
    ]


def _distinct(proposals: Sequence[Proposal]) -> list[tuple[Proposal, tuple[str, ...]]]:
    """Of each text the proposal that stands for it, and everybody who proposed it."""
    by_text: dict[str, list[Proposal]] = {}
    for proposal in proposals:
        by_text.setdefault(" ".join(proposal.text.lower().split()), []).append(proposal)
    found = []
    for same in by_text.values():
        ranked = [p for p in same if p.score is not None] or same
        names = dict.fromkeys(_named(p) for p in same)
        found.append((ranked[-1], tuple(names)))
    return found


def show(state: LabelState, sae: str, then: int | None = None) -> None:
    """The list, worked out only while it is open."""
    count = len({" ".join(p.text.lower().split()) for p in state.proposals})
    foreign = from_elsewhere(state)
    above = {state.label_llm, state.label_search}
    if all(proposal.text in above for proposal in state.proposals) and count < 2 and not foreign:
        return  # it stands above already
    box = st.expander(
        f"All proposals ({count + len(foreign)})",
        icon=":material/format_list_numbered:",
        key="proposals_open",
        on_change="rerun",
    )
    if not box.open:
        return
    with box, st.container(key="proposals_list", gap="xsmall"):
        found = candidates(state)
        for candidate in found[:_MOST]:
            _candidate(candidate, state, sae, then)
        if len(found) > _MOST:
            st.text(f"and {len(found) - _MOST:,} more, all of them in the history")
        if foreign:
            _elsewhere(foreign, state, sae, then)
        with st.container(key="quiet_proposals"):
            st.text(scores.ABOUT)


def _elsewhere(found: list[Candidate], state: LabelState, sae: str, then: int | None) -> None:
    """What other studies of the SAE proposed: read with care, their documents were others."""
    with st.container(key="quiet_elsewhere"):
        st.text(
            "Made from other studies of this SAE, with scores on their documents. They count for "
            "nothing here until you accept one."
        )
    called = readers.names(readers.studies().studies)
    for candidate in found[:_MOST]:
        _candidate(candidate, state, sae, then, _origin(candidate.proposal, called))


def _origin(proposal: Proposal, called: dict[str, str]) -> str:
    study = proposal.study or UNKNOWN_STUDY
    if study == UNKNOWN_STUDY:
        return "an earlier study, not known which"
    return called.get(study) or f"study {study}, not on this disk"


def _candidate(
    candidate: Candidate, state: LabelState, sae: str, then: int | None, origin: str = ""
) -> None:
    proposal = candidate.proposal
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with (
            st.container(width="stretch", gap=None),
            st.container(key=f"candidate_{proposal.event_id}", gap=None),
        ):
            st.text(marked(proposal.text))
            with st.container(key=f"quiet_candidate_{proposal.event_id}"):
                st.text(marked(candidate.about() + (f" · from {origin}" if origin else "")))
        if candidate.best:
            st.badge("best", icon=":material/trophy:", color="green", help=_BEST)
        st.button(
            "Accept",
            key=f"accept_{proposal.event_id}",
            on_click=act,
            args=("accept", sae, state),
            kwargs={"event": proposal.event_id, "then": then},
        )


def _named(proposal: Proposal) -> str:
    name = source_name(proposal.source)
    method = proposal.method or ""
    return name if not method or method == proposal.source else f"{name} ({method})"


def _rank(proposal: Proposal) -> float:
    return proposal.score if proposal.score is not None else -1.0
