"""Every text proposed for a feature, with its source, method, score and a button to accept it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from autointerp_core.store.events import UNKNOWN_STUDY
from autointerp_core.store.history import LabelState, Proposal
from autointerp_core.store.label_state import ranked
from autointerp_core.store.score_values import by_rank, is_refusal, value_of
from ui import readers, session, url
from ui.decisions.callback import act
from ui.elements import scores
from ui.elements.table import source_name
from ui.glossary import about
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
        """``LLM · tiny (peaks) · detection 0.86 (validate 0.84), embedding 0.70``."""
        scored = [
            said
            for name in by_rank(self.proposal.scores.keys() | self.proposal.validate.keys())
            if (said := self._by(name))
        ]
        told = ", ".join(scored) or scores.why_not(self.proposal)
        return " · ".join([", ".join(self.sources), told])

    def _by(self, scorer: str) -> str:
        """What one scorer found; empty where it has nothing to say."""
        test, validate = self.proposal.test_by(scorer), self.proposal.validate.get(scorer)
        chose = value_of(validate)
        if test is None and chose is None:
            refused = is_refusal(validate) or is_refusal(self.proposal.scores.get(scorer))
            return f"{scorer} cannot judge it" if refused else ""
        if test is None:
            return f"{scorer} validate {chose:.2f}"
        return f"{scorer} {test:.2f}" + (f" (validate {chose:.2f})" if chose is not None else "")


def candidates(state: LabelState, ranking: str = "") -> list[Candidate]:
    """Distinct texts, those that rank best (on validate, by ``ranking``) first, unscored last."""
    found = _distinct(state.proposals)
    order = [p.event_id for p in ranked((p for p, _ in found), ranking)]
    place = {event: at for at, event in enumerate(order)}
    found.sort(key=lambda item: (-place.get(item[0].event_id, -1), -item[0].event_id))
    return [
        Candidate(proposal, names, best=bool(order) and proposal.event_id == order[-1])
        for proposal, names in found
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
        scored = [p for p in same if p.score is not None] or same
        names = dict.fromkeys(_named(p) for p in same)
        found.append((scored[-1], tuple(names)))
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
        found = candidates(state, _choose_scorer(state))
        for candidate in found[:_MOST]:
            _candidate(candidate, state, sae, then)
        if len(found) > _MOST:
            st.text(f"and {len(found) - _MOST:,} more, all of them in the history")
        if foreign:
            _elsewhere(foreign, state, sae, then)
        with st.container(key="quiet_proposals"):
            st.text(scores.ABOUT)


def _choose_scorer(state: LabelState) -> str:
    """Which scorer ranks, where several judged the proposals; empty: as nobody chose one."""
    names = by_rank({name for p in state.proposals for name in p.validate})
    asked = url.view().by
    ranking = asked if asked in names else ""
    if len(names) < 2:
        return ranking
    key = f"proposals_by_{ranking}"
    st.segmented_control(
        "Ranked by",
        names,
        default=ranking or names[0],
        key=key,
        required=True,
        help=about("Ranking scorer"),
        on_change=_rank_by,
        args=(key,),
    )
    return ranking


def _rank_by(key: str) -> None:
    url.put(url.params() | {"by": session.widget(key)})


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
