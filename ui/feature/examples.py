"""The examples of a feature on the page: controls, rows, more of them, documents behind them."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from autointerp_core.explore.feature_index import Row
from ui import look, readers, session
from ui.decisions.keyboard import hint
from ui.elements.tokens import Layout, token_view
from ui.feature import documents, evidence, example_groups
from ui.feature.example_groups import STORED, WHOLE, Choice
from ui.glossary import about

_FEW = 10
_WIDTHS = ("4", "8", "16", "32", "64", "128", "all")
_GROUPS = {
    "top": "Top",
    "quantiles": "Quantiles",
    "silent": "Silent",
    "every": "All",
    "judged": "Judged",
}
_LAYOUTS = {"wrap": "Wrapped", "line": "Aligned"}
_ABOUT_TOKENS = (
    "**By peak token** puts examples with the same peak together, the largest group first.\n\n"
    "Colour and the bar under a token say how strongly the feature fires on it; its frame marks "
    "the peak. Point at a token, or walk the tokens with the arrow keys, for the number. Grey "
    "signs such as ↵ stand for characters that cannot be seen; ◦ is the rest of a character that "
    "began in the token before."
)
_ABOUT_GROUPS = "\n\n".join(
    f"**{name}**: {about(term)}"
    for name, term in (
        ("Top", "Top"),
        ("Quantiles", "Quantile"),
        ("Silent", "Silent"),
        ("Judged", "Judged"),
    )
)


@dataclass
class Clicked:
    """Sequence and position of the example whose document is to be shown."""

    place: tuple[int, int] | None = None


@dataclass
class Amount:
    """How many examples were asked for."""

    long: bool = False
    """Where a short list is shown first: all that the study keeps instead."""
    subject: tuple[str, int] = ("", -1)
    steps: int = 0
    """How often more of the subject were asked for than the study keeps."""


def show(opened: readers.OpenStudy, row: Row, *, short: bool = False) -> None:
    """Controls and rows; changing a control draws only this part again.

    ``short`` begins with few examples, and a button and key for more or fewer.
    """
    _fragment(opened, row, short)


def more_or_fewer() -> None:
    """Callback: a longer list, or the short one again; kept from feature to feature."""
    kept = session.memory(Amount)
    kept.long, kept.steps = not kept.long, 0


@st.fragment
def _fragment(opened: readers.OpenStudy, row: Row, short: bool) -> None:
    source = opened
    with st.container(
        key="example_controls", horizontal=True, vertical_alignment="center", gap="small"
    ):
        look.widget("tab", "group", _GROUPS, "top")
        group = st.segmented_control(
            "Examples",
            list(_GROUPS),
            key="group",
            format_func=_GROUPS.__getitem__,
            required=True,
            label_visibility="collapsed",
            on_change=look.chosen_in,
            args=("tab", "group"),
        )
        if group == "judged":
            judged = evidence.show(opened, row)
            groups, layout, source = judged.groups, "wrap", judged.study
        else:
            around, layout, by_peak = _how()
            kept = _amount(opened, row)
            few = STORED if kept.long or not short else _FEW
            choice = Choice(group or "top", around, few, kept.steps)
            groups = example_groups.read(opened, row, choice)
            groups = example_groups.by_peak(groups) if by_peak else groups
        with st.container(key="about_examples", width="content"):
            told = evidence.ABOUT if group == "judged" else _ABOUT_GROUPS
            st.markdown("", help=f"{_ABOUT_TOKENS}\n\n{told}")
    if group == "judged" and not groups:
        evidence.nothing(row)
        return
    lines: Layout = "line" if layout == "line" else "wrap"
    token_view(groups, scale=row.max or 1.0, layout=lines, subject=row.feature, on_open=_clicked)
    if group != "judged" and not row.dead:
        _more(opened, row, group or "top", sum(len(found.rows) for found in groups), short)
    clicked = session.memory(Clicked)
    place, clicked.place = clicked.place, None
    if place is not None:
        documents.open_at(source, place[0])
        documents.dialog(source, row)


def _how() -> tuple[int, str, bool]:
    """The other controls: tokens around a peak, layout of the lines, whether by peak."""
    look.widget("window", "window", _WIDTHS, "16")
    width = st.selectbox(
        "Tokens around the peak",
        _WIDTHS,
        key="window",
        format_func=lambda name: "whole sequence" if name == "all" else f"± {name} tokens",
        label_visibility="collapsed",
        width=130,
        on_change=look.chosen_in,
        args=("window", "window"),
    )
    look.widget("lines", "layout", _LAYOUTS, "wrap")
    layout = st.segmented_control(
        "Lines",
        list(_LAYOUTS),
        key="layout",
        format_func=_LAYOUTS.__getitem__,
        required=True,
        label_visibility="collapsed",
        on_change=look.chosen_in,
        args=("lines", "layout"),
    )
    look.switch("peak", "by_peak")
    by_peak = st.toggle(
        "By peak token",
        key="by_peak",
        on_change=look.chosen_in,
        args=("peak", "by_peak"),
    )
    return WHOLE if width == "all" else int(width or 16), layout or "wrap", bool(by_peak)


def _more(opened: readers.OpenStudy, row: Row, group: str, shown: int, short: bool) -> None:
    """More examples than the study keeps, and every document the feature fires in."""
    with st.container(
        key="example_more", horizontal=True, vertical_alignment="center", gap="small"
    ):
        long = session.memory(Amount).long
        if short:
            title = "Fewer examples" if long else "More examples"
            st.button(hint(title, "M"), key="more", on_click=more_or_fewer)
        if long or not short:
            st.button(
                "More of them",
                key="more_of_them",
                icon=":material/expand_more:",
                disabled=group != "silent" and shown >= row.num_examples,
                on_click=_ask_more,
                args=(opened.name, row.feature),
            )
        st.button(
            "Documents",
            key="read_documents",
            icon=":material/article:",
            on_click=_read,
            args=(opened, row.feature),
        )
        with st.container(key="quiet_amount", width="stretch"):
            st.text(_told(row, group, shown))


def _told(row: Row, group: str, shown: int) -> str:
    if group == "silent":
        return f"{shown:,} windows in which it stays silent, drawn at random"
    how = ", the strongest of each" if group == "top" else ""
    return f"{shown:,} of {row.num_examples:,} sequences it fires in{how}"


def shown_activations(opened: readers.OpenStudy, row: Row) -> list[float]:
    """Activations of the examples that the group picked shows (for the histogram's ticks)."""
    choice = Choice(look.value("tab", _GROUPS, "top"))
    return example_groups.activations(opened, row, choice)


def _amount(opened: readers.OpenStudy, row: Row) -> Amount:
    kept, subject = session.memory(Amount), (opened.name, row.feature)
    if kept.subject != subject:
        kept.subject, kept.steps = subject, 0
    return kept


def _ask_more(study: str, feature: int) -> None:
    kept = session.memory(Amount)
    if kept.subject == (study, feature):
        kept.steps += 1


def _read(opened: readers.OpenStudy, feature: int) -> None:
    """Open the document with the strongest peak."""
    tokens, _ = opened.study.sequence_peaks(feature)
    sequence = int(opened.study.tokens.sequence_of(tokens[:1])[0])
    session.memory(Clicked).place = (sequence, 0)


def _clicked() -> None:
    place = session.widget("tokens").open
    session.memory(Clicked).place = (int(place["sequence"]), int(place["position"]))
