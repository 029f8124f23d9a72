"""What a score rests on: the judged windows of a label, right and wrong, as the judge saw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from autointerp_core.errors import AutointerpError
from autointerp_core.explore.feature_index import Row
from autointerp_core.labels.scoring.evidence import JudgedWindow, read_evidence
from autointerp_core.labels.scoring.scorers import SCORERS
from autointerp_core.store.history import Proposal
from autointerp_core.store.label_state import EvidencePlace
from ui import readers, session
from ui.elements import scores
from ui.elements.judged import KINDS, judged_line
from ui.elements.table import source_name
from ui.elements.tokens import Group, Line
from ui.marks import marked
from ui.runs import form, start
from ui.sentences import sentence

_SHOW = {"all": "All", "wrong": "Wrong", "right": "Right", "missing": "Missing"}
_TITLES = {
    "wrong": ("Judged wrongly", "No window was judged wrongly."),
    "missing": ("Missing or undecided", "Every window was judged."),
    "right": ("Judged rightly", "No window was judged rightly."),
}
ABOUT = (
    "Windows of test documents, which no labeller saw. Firing windows should get a yes, silent "
    "ones a no. Hard silent windows are from the documents it fires in, or around tokens that it "
    "fires on elsewhere. The number is the judge's probability of yes; of embeddings the cosine of "
    "label and window. For fuzzing, the tokens asked about are underlined twice."
)


@dataclass
class Asked:
    """Whether the form for scoring was asked for."""

    scores: bool = False


@dataclass(frozen=True)
class Judged:
    """Judged windows, in groups, and the study whose documents they are from."""

    groups: list[Group]
    study: readers.OpenStudy


def show(opened: readers.OpenStudy, row: Row) -> Judged:
    """Controls (in the row they are called from) and the windows they leave, in groups."""
    own = row.state.own  # a person's label may be scored as well
    every = [*row.state.foreign, *row.state.proposals, *([own] if own is not None else [])]
    judged = [p for p in reversed(every) if _files(p)]
    if not judged:
        return Judged([], opened)
    current = row.state.shown()
    default = next((i for i, p in enumerate(judged) if p is current), 0)
    proposal = st.selectbox(
        "Judged label",
        judged,
        default,
        key=f"judged_label_{row.feature}_{row.state.last_event}",
        format_func=lambda p: marked(f"{p.text} · {source_name(p.source)}"),
        label_visibility="collapsed",
        width=260,
    )
    names = list(_files(proposal))
    scorer = st.segmented_control(
        "Judged by",
        names,
        key=f"judged_by_{row.feature}_{proposal.event_id}",
        default=names[0],
        required=True,
        format_func=_plain,
        label_visibility="collapsed",
    )
    verdict = st.segmented_control(
        "Show",
        list(_SHOW),
        key="judged_show",
        default="all",
        required=True,
        format_func=_SHOW.__getitem__,
        label_visibility="collapsed",
        persist_state="session",
    )
    kinds = st.pills(
        "Windows",
        list(KINDS),
        key="judged_kinds",
        default=list(KINDS),
        selection_mode="multi",
        format_func=KINDS.__getitem__,
        label_visibility="collapsed",
        persist_state="session",
    )
    by = scorer or names[0]
    place = _files(proposal)[by]
    if place.study in (None, opened.info.id):
        return Judged(_groups(opened, row, place, by, verdict or "all", kinds), opened)
    called = readers.names(readers.studies().studies)
    if place.study not in called:
        why = f"judged in study {marked(str(place.study))}, which is not at hand here"
        return Judged([Group("Judged windows", [], empty=sentence(why))], opened)
    st.text(f"judged in {called[place.study]}")
    try:
        other = readers.open_study(place.study)
    except AutointerpError as error:
        return Judged([Group("Judged windows", [], empty=sentence(str(error)))], opened)
    return Judged(_groups(other, row, place, by, verdict or "all", kinds), other)


def nothing(row: Row) -> None:
    """Where nothing was judged yet: why, and a button that starts it."""
    with st.container(key="no_evidence", gap="small", width=620):
        if row.dead:
            st.text("This feature never fires: there is nothing to judge its labels by.")
            return
        if row.state.label is None:
            st.text("There is no label to score yet. Generate one first.")
            return
        shown = row.state.shown()
        st.text(f"No judged windows: {scores.why_not(shown) or 'they were not kept'}.")
        st.text(scores.ABOUT)
        st.button(
            "Score its labels",
            key="score_this",
            icon=":material/fact_check:",
            on_click=_ask,
            args=(row.feature,),
        )
        asked = session.memory(Asked)
        if asked.scores:
            asked.scores = False
            st.rerun()  # this is only a part of the page; the form belongs to all of it


def _ask(feature: int) -> None:
    form.ask("score", [feature], start.place_of(feature))
    session.memory(Asked).scores = True


def _groups(
    opened: readers.OpenStudy,
    row: Row,
    place: EvidencePlace,
    scorer: str,
    verdict: str,
    kinds: Sequence[str],
) -> list[Group]:
    folder = opened.study.folder
    try:
        found = _read(str(folder), readers.stamp_of(folder), place.file, row.feature, place.event)
    except AutointerpError as error:
        return [Group("Judged windows", [], empty=sentence(str(error)))]
    lines = [line for kind, by, line in found if by == scorer and kind in kinds]
    groups = []
    for which, (title, empty) in _TITLES.items():
        rows = [line for line in lines if line.verdict == which]
        if verdict == which or (verdict == "all" and rows):
            groups.append(Group(title, rows, f"{len(rows)} of {len(lines)} windows", empty))
    return groups or [Group("Judged windows", [], empty="No window of the kinds chosen.")]


def _plain(scorer: str) -> str:
    """A scorer's name for a control that reads markdown; it may come from anywhere."""
    return "".join(c if c.isalnum() else " " for c in scorer)[:40].strip() or "unnamed"


def _files(proposal: Proposal) -> dict[str, EvidencePlace]:
    """Where each scorer's evidence is, of those that kept one, in the order of the scores."""
    kept = proposal.evidence
    return {s.name: kept[s.name] for s in scores.shown(proposal) if s.name in kept}


@st.cache_data(max_entries=128, show_spinner=False)
def _read(
    folder: str, stamp: int, name: str, feature: int, event: int
) -> list[tuple[str, str, Line]]:
    """Kind, scorer and line of every judged window of one label, the most certain first."""
    study = readers.study_of(folder, stamp)
    judged = read_evidence(study, name, feature, event)
    judged.sort(key=_certainty, reverse=True)
    return [
        (j.window.kind, j.scorer, judged_line(readers.line(study, j.window.example), j))
        for j in judged
    ]


def _certainty(judged: JudgedWindow) -> float:
    """How sure the judge was; cosines, which know no middle, as they are."""
    if judged.probability is None:
        return -1.0
    scorer = SCORERS.get(judged.scorer)
    if scorer is not None and not scorer.asks_model:
        return judged.probability
    return abs(judged.probability - 0.5)
