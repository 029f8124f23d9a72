"""The documents a feature fires in: the one behind an example, and paging through all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from autointerp_core.explore.feature_index import Row
from ui import readers, session
from ui.elements.tokens import Group, token_view
from ui.marks import marked

_AT_ONCE = 3


@dataclass
class Reading:
    """The document open in the dialog, and the first of its sequences shown."""

    document: int = 0
    first: int = 0
    example: int | None = None
    """The sequence it was opened from."""


def open_at(opened: readers.OpenStudy, sequence: int) -> None:
    """Turn to the document of a sequence, that sequence in the middle."""
    tokens = opened.study.tokens
    document = int(tokens.owners[sequence])
    parts = tokens.document_sequences(document)
    kept = session.memory(Reading)
    kept.document, kept.example = document, sequence
    kept.first = max(min(sequence - 1, parts.stop - _AT_ONCE), parts.start)


@st.dialog("Document", width="large", icon=":material/article:")
def dialog(opened: readers.OpenStudy, row: Row) -> None:
    """The document turned to, with the feature's activation at every token."""
    study, kept = opened.study, session.memory(Reading)
    order = _documents(str(study.folder), opened.stamp, row.feature)
    parts = study.tokens.document_sequences(kept.document)
    shown = range(max(kept.first, parts.start), min(kept.first + _AT_ONCE, parts.stop))
    found = np.flatnonzero(order == kept.document)
    at = int(found[0]) if len(found) else None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _turn(opened, row, "Stronger", order, at, -1)
        _turn(opened, row, "Weaker", order, at, 1)
        with st.container(key="quiet_document", width="stretch"):
            st.text(_where(opened, kept.document, at, len(order), shown, parts))
        if len(parts) > _AT_ONCE:
            _part("Earlier", shown.start - _AT_ONCE, parts)
            _part("Later", shown.stop, parts)
    groups = []
    for number in shown:
        line = readers.line(study, study.sequence(row.feature, number))
        title = f"Sequence {number:,}" + (" (this example)" if number == kept.example else "")
        groups.append(Group(title, [line]))
    token_view(groups, scale=row.max or 1.0, key="document")


def _turn(
    opened: readers.OpenStudy,
    row: Row,
    title: str,
    order: NDArray[np.int64],
    at: int | None,
    step: int,
) -> None:
    to = (-1 if at is None else at) + step
    there = 0 <= to < len(order)
    st.button(
        title,
        key=f"document_{title}",
        help="Documents in which the feature fires, by its strongest peak in each",
        disabled=not there,
        on_click=_go,
        args=(opened, row.feature, int(order[to]) if there else 0),
    )


def _go(opened: readers.OpenStudy, feature: int, document: int) -> None:
    """To another document, at the sequence of its strongest peak."""
    peaks = opened.study.sequence_peaks(feature).token
    owners = opened.study.tokens.document_of(peaks)
    strongest = peaks[np.flatnonzero(owners == document)[:1]]
    open_at(opened, int(opened.study.tokens.sequence_of(strongest)[0]))
    session.memory(Reading).example = None


def _part(title: str, first: int, parts: range) -> None:
    inside = parts.start < first + _AT_ONCE and first < parts.stop
    st.button(
        title,
        key=f"document_{title}",
        disabled=not inside,
        on_click=_read_from,
        args=(max(first, parts.start),),
    )


def _read_from(first: int) -> None:
    session.memory(Reading).first = first


def _where(
    opened: readers.OpenStudy, document: int, at: int | None, of: int, shown: range, parts: range
) -> str:
    place = "the feature does not fire in it" if at is None else f"{at + 1:,} of {of:,} it fires in"
    sequences = ""
    if len(parts) > len(shown):
        first, last = shown.start - parts.start + 1, shown.stop - parts.start
        sequences = f" · sequences {first:,}–{last:,} of {len(parts):,}"
    name = opened.info.dataset_name.rstrip("/").rsplit("/", 1)[-1]
    return marked(f"Document {document:,} of {name} · {place}{sequences}")


@st.cache_data(max_entries=16, show_spinner=False)
def _documents(folder: str, stamp: int, feature: int) -> NDArray[np.int64]:
    """Documents in which a feature fires, the one with the strongest peak first."""
    study = readers.study_of(folder, stamp)
    owners = study.tokens.document_of(study.sequence_peaks(feature).token)
    found, first = np.unique(owners, return_index=True)
    order: NDArray[np.int64] = found[np.argsort(first)].astype(np.int64)
    return order
