"""The examples of a feature: by group, as wide as asked, and the document behind each."""

from __future__ import annotations

from collections import defaultdict

import streamlit as st

from autointerp_core.explore.feature_index import Row
from ui import readers
from ui.elements.tokens import Group, Layout, Line, token_view
from ui.feature import evidence

_WIDTHS = ("4", "8", "16", "32", "64", "128", "all")
_WHOLE = 1_000_000
_FEW, _MORE = 20, 100
_GROUPS = {
    "top": "Top",
    "quantiles": "Quantiles",
    "silent": "Silent",
    "every": "All",
    "judged": "Judged",
}
_DEAD = "This feature never fires on the counted tokens of this study: it has no examples."
_QUARTERS = {
    "quantile_1": "strongest quarter",
    "quantile_2": "second quarter",
    "quantile_3": "third quarter",
    "quantile_4": "weakest quarter",
}


def show(opened: readers.OpenStudy, row: Row) -> None:
    """Controls and rows; changing a control draws only this part again."""
    _fragment(opened, row)


@st.fragment
def _fragment(opened: readers.OpenStudy, row: Row) -> None:
    with st.container(key="example_controls", horizontal=True, vertical_alignment="bottom"):
        group = st.segmented_control(
            "Examples",
            list(_GROUPS),
            key="group",
            format_func=_GROUPS.__getitem__,
            required=True,
            default="top",
            persist_state="session",
        )
        if group == "judged":
            groups, layout = evidence.show(opened, row), "wrap"
        else:
            groups, layout = _chosen(opened, row, group or "top")
    if group == "judged" and not groups:
        evidence.nothing(row)
        return
    lines: Layout = "line" if layout == "line" else "wrap"
    token_view(groups, scale=row.max or 1.0, layout=lines, subject=row.feature, on_open=_clicked)
    clicked = st.session_state.pop("open_document", None)
    if clicked is not None:
        _document(opened, row, *clicked)


def _chosen(opened: readers.OpenStudy, row: Row, group: str) -> tuple[list[Group], str]:
    """The other controls, and the examples as they are asked for."""
    width = st.select_slider(
        "Tokens around peak",
        _WIDTHS,
        value="16",
        key="window",
        width=150,
        persist_state="session",
    )
    layout = st.segmented_control(
        "Lines",
        ["wrap", "line"],
        key="layout",
        format_func={"wrap": "Wrapped", "line": "Aligned"}.__getitem__,
        required=True,
        default="wrap",
        persist_state="session",
    )
    by_peak = st.toggle("By peak token", key="by_peak", persist_state="session")
    around = _WHOLE if width == "all" else int(width or 16)
    groups = _groups(opened, row, group, around)
    return _grouped_by_peak(groups) if by_peak else groups, layout or "wrap"


def shown_activations(opened: readers.OpenStudy, row: Row) -> list[float]:
    """Activations of the examples that the group picked shows (for the histogram's ticks)."""
    group = st.session_state.get("group") or "top"
    names = (
        ["top", *_QUARTERS]
        if group == "every"
        else [*_QUARTERS]
        if group == "quantiles"
        else ["top" if group == "judged" else group]
    )
    return [
        line.activation
        for name in names
        for line in lines_of(opened, row, name, 16)
        if line.activation != 0
    ]


def _groups(opened: readers.OpenStudy, row: Row, group: str, around: int) -> list[Group]:
    found = []
    if group in ("top", "every"):
        lines = lines_of(opened, row, "top", around)
        note = f"{len(lines)} strongest of {row.num_examples:,} sequences, one each"
        if row.dead:
            note = ""
        found.append(Group("Top", lines, note, _DEAD))
    if group in ("quantiles", "every"):
        for name, title in _QUARTERS.items():
            lines = lines_of(opened, row, name, around)
            if lines or not row.dead:
                found.append(
                    Group(title.capitalize(), lines, _span(lines), "No example drawn from it.")
                )
    if group in ("silent", "every"):
        lines = lines_of(opened, row, "silent", around)
        found.append(
            Group("Not firing", lines, "windows in which it stays silent, drawn at random")
        )
    return found


def lines_of(opened: readers.OpenStudy, row: Row, group: str, around: int) -> list[Line]:
    limit = 10 if group == "silent" else _FEW
    after = max(around - 1, 0)
    return readers.lines(opened, row.feature, group, limit=limit, before=around, after=after)


def _span(lines: list[Line]) -> str:
    if not lines:
        return ""
    values = [line.activation for line in lines]
    return f"{min(values):.3g} to {max(values):.3g}"


def _grouped_by_peak(groups: list[Group]) -> list[Group]:
    """The same examples, those with the same peak token together, largest group first."""
    rows: dict[str, list[Line]] = defaultdict(list)
    for group in groups:
        for line in group.rows:
            rows[line.tokens[line.peak] if line.activation != 0 else ""].append(line)
    silent = rows.pop("", [])
    found = [
        Group(token, lines, f"{len(lines)} example{'s' if len(lines) > 1 else ''}")
        for token, lines in sorted(rows.items(), key=lambda item: -len(item[1]))
    ]
    return found + ([Group("Not firing", silent)] if silent else [])


def _clicked() -> None:
    place = st.session_state["tokens"].open
    st.session_state["open_document"] = (int(place["sequence"]), int(place["position"]))


@st.dialog("Document", width="large", icon=":material/article:")
def _document(opened: readers.OpenStudy, row: Row, sequence: int, _position: int) -> None:
    """Every sequence of the document, with the feature's activation at every token."""
    study = opened.study
    document = int(study.tokens.owners[sequence])
    parts = list(study.tokens.document_sequences(document))
    at = parts.index(sequence)
    near = parts[max(at - 1, 0) : at + 2]
    groups = []
    for number in near:
        line = readers.line(study, study.sequence(row.feature, number))
        title = f"Sequence {number}" + (" (this example)" if number == sequence else "")
        groups.append(Group(title, [line]))
    st.text(
        f"Document {document} of {opened.info.dataset_name} · feature {row.feature} · "
        f"{len(near)} of {len(parts)} sequences"
    )
    token_view(groups, scale=row.max or 1.0, key="document")
