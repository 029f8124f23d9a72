"""SAELens' directory in the New study form: found by words, told whether it can be used, picked."""

from __future__ import annotations

import re
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st
from numpy.typing import NDArray

from autointerp_core.errors import AutointerpError
from autointerp_core.explore.arrow import contains
from autointerp_core.sources.sae_directory import directory, machine_gigabytes, why_not
from ui import session
from ui.sentences import sentence

_ANY = "any model"
_WORDS = re.compile(r"layer[ .]?(\d+)(?!\S)|(\S+)", re.IGNORECASE)
_HEIGHT = 320


def show() -> None:
    """The directory in a closed box; a row picked fills in the SAE."""
    box = st.expander(
        "Browse SAELens' directory", icon=":material/travel_explore:", key="browse_open",
        on_change="rerun",
    )  # fmt: skip
    if not box.open:
        return
    with box:
        try:
            table, words, hindrance = _directory(signed_in())
        except AutointerpError as error:
            st.text(sentence(str(error)))
            return
        models = sorted(set(table["model"].to_pylist()), key=str.lower)
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            asked = st.text_input(
                "Search", key="browse_q", type="search", icon=":material/search:",
                placeholder="gemma layer 12 16k resid", label_visibility="collapsed", width=340,
            )  # fmt: skip
            model = st.selectbox(
                "Model", [_ANY, *models], key="browse_model", label_visibility="collapsed",
                width=300,
            )  # fmt: skip
            usable = st.toggle("Only what can be used here", key="browse_usable")
        keep = found(words, asked or "")
        if model != _ANY:
            keep &= np.asarray(pc.equal(table["model"], model))
        if usable:
            keep &= hindrance == ""
        rows = np.flatnonzero(keep)
        with st.container(key="quiet_browse"):
            free = int((hindrance[rows] == "").sum())
            st.text(
                f"{len(rows):,} of {len(table):,} SAEs, {free:,} of them can be used here"
                if len(rows)
                else "No SAE of the directory matches; try fewer words."
            )
        if len(rows):
            _table(table, hindrance, rows)


def found(words: pa.StringArray, asked: str) -> NDArray[np.bool_]:
    """Which entries hold all of the words asked for; ``layer 3`` is one word, and not layer 30."""
    keep = np.ones(len(words), dtype=bool)
    for layer, word in _WORDS.findall(asked):
        keep &= contains(words, f"layer {layer} " if layer else word)
    return keep


def signed_in() -> bool:
    """Whether this computer has a token of the Hugging Face hub."""
    from huggingface_hub import get_token

    return bool(get_token())


Searchable: TypeAlias = tuple[pa.Table, pa.StringArray, NDArray[np.object_]]


@st.cache_resource(max_entries=2, show_spinner="Reading the directory …")
def _directory(signed: bool) -> Searchable:
    return searchable(signed=signed)


def searchable(*, signed: bool) -> Searchable:
    """The table, of each SAE the words it is found by, and what stands in its way here."""
    table = directory()
    number = table["layer"].cast(pa.string())
    layer = pc.binary_join_element_wise(pa.scalar("layer"), number, pa.scalar(""), " ")
    parts = [table[name] for name in ("release", "id", "model", "hook", "architecture")]
    text = pc.binary_join_element_wise(*(pc.fill_null(p, "") for p in (*parts, layer)), " ")
    words = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    return table, words, why_not(table, machine_gigabytes(), signed_in=signed)


def _table(table: pa.Table, hindrance: NDArray[np.object_], rows: NDArray[np.int64]) -> None:
    shown = table.take(rows)
    why = [f"no: {text}" if text else "yes" for text in hindrance[rows]]
    frame = pd.DataFrame(
        {
            "release": shown["release"].to_pylist(),
            "id": shown["id"].to_pylist(),
            "model": shown["model"].to_pylist(),
            "hook": shown["hook"].to_pylist(),
            "architecture": shown["architecture"].to_pylist(),
            "d_sae": shown["d_sae"].to_pandas(),
            "l0": shown["l0"].to_pandas(),
            "here": why,
        }
    )
    # Another set of rows is another table: a row selected in the one before means nothing in it.
    key = f"browse_{hash(rows.tobytes())}"
    st.dataframe(
        frame,
        key=key,
        hide_index=True,
        height=_HEIGHT,
        on_select=lambda: _pick(key, frame),
        selection_mode="single-row",
        column_config={
            "release": st.column_config.TextColumn("Release", width="medium"),
            "id": st.column_config.TextColumn("Which one there", width="medium"),
            "model": st.column_config.TextColumn("Model", width="medium"),
            "hook": st.column_config.TextColumn("Hook point", width="medium"),
            "architecture": st.column_config.TextColumn("Architecture", width="small"),
            "d_sae": st.column_config.NumberColumn(
                "d_sae", format="localized", help="Empty where no name says it", width="small"
            ),
            "l0": st.column_config.NumberColumn(
                "L0", format="%.0f", help="As the directory says; empty where it does not",
                width="small",
            ),
            "here": st.column_config.TextColumn(
                "Can be used here", width="medium",
                help="Memory: the model up to the hook point and the SAE, in float32, against "
                "this computer's main memory",
            ),
        },
    )  # fmt: skip


def _pick(key: str, frame: pd.DataFrame) -> None:
    """Callback: the row picked is the SAE of the form."""
    rows = session.widget(key).selection.rows
    if rows:
        session.set_widget("new_sae", str(frame["release"].iloc[rows[0]]))
        session.set_widget("new_sae_id", str(frame["id"].iloc[rows[0]]))
