"""The Compare page: the study picked (A) beside another one (B)."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from autointerp_core.errors import BadInput
from autointerp_core.explore.compare import how_to_compare
from autointerp_core.store.study_record import StudyRecord
from ui import problems, readers, session, url
from ui.compare import one_sae, two_saes

_WITH = "with"
"""The address's name for study B."""


@dataclass
class Beside:
    """The other study chosen last."""

    study: str = ""


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("compare")
    with problems.errors():
        found, _ = readers.studies()
        others = {info.id: info for info in found if info.id != opened.name}
        if not others:
            _nothing()
            return
        called = readers.names(found)
        wrong = _wrong(opened.info, others)
        name = _chosen(opened, others, wrong)
        with st.container(
            key="compare_with", horizontal=True, vertical_alignment="center", gap="small"
        ):
            st.text(f"A: {called.get(opened.name, opened.name)}")
            session.set_widget("compare_b", name)
            st.selectbox(
                "B",
                list(others),
                key="compare_b",
                format_func=lambda each: (
                    f"B: {called[each]}" + (" (cannot be compared)" if each in wrong else "")
                ),
                label_visibility="collapsed",
                width=420,
                on_change=_pick,
            )
            st.button(
                "Swap", key="compare_swap", icon=":material/swap_horiz:",
                on_click=_swap, args=(opened.name, name),
            )  # fmt: skip
        if name in wrong:
            raise BadInput(wrong[name])
        other = readers.open_study(name)
        if how_to_compare(opened.info, other.info) == "one_sae":
            one_sae.show(opened, other)
        else:
            two_saes.show(opened, other)


def _wrong(own: StudyRecord, others: dict[str, StudyRecord]) -> dict[str, str]:
    """Why some of the other studies cannot be compared with this one."""
    found = {}
    for name, info in others.items():
        try:
            how_to_compare(own, info)
        except BadInput as error:
            found[name] = str(error)
    return found


def _chosen(
    opened: readers.OpenStudy, others: dict[str, StudyRecord], wrong: dict[str, str]
) -> str:
    """Study B: of the address, else the one chosen last, else the first that can be compared."""
    kept = session.study_memory(Beside)
    asked = url.params().get(_WITH, "")
    if asked and asked not in others and asked != opened.name:
        kept.study = ""
        raise BadInput(f"there is no study named {asked!r} here; choose another")
    name = asked if asked in others else kept.study
    if name not in others:
        name = next((each for each in others if each not in wrong), next(iter(others)))
    kept.study = name
    url.put({"study": opened.name, _WITH: name})
    return name


def _pick() -> None:
    url.put({"study": session.current().study, _WITH: str(session.widget("compare_b"))})


def _swap(a: str, b: str) -> None:
    session.current().pick(b)
    url.put({"study": b, _WITH: a})


def _nothing() -> None:
    with st.container(key="nothing", width=560):
        st.markdown("**There is only one study.**")
        st.write(
            "Two are needed: of one SAE on other texts, to see which features fire more there; "
            "or of another SAE at the same place in the same model, to see which feature is "
            "which. *Studies* makes a new one."
        )
