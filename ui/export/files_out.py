"""Files that leave the app: of the features chosen, and of the whole SAE."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.export import tables
from ui import exporting, readers
from ui.navigation import looking


def show(opened: readers.OpenStudy, snapshot: Snapshot) -> list[int]:
    """Which features, and a row for each file; returns the features."""
    st.subheader("Export")
    features = _features(snapshot)
    name = opened.name
    with st.container(key="quiet_export"):
        st.text(
            f"{len(features):,} features. Every file names model, SAE, hook point and dataset, "
            "and holds the decisions made so far."
        )
    _file(
        "To look at",
        f"features-{name}.html",
        "html",
        "one page with examples, labels and statistics; opens without a server",
        lambda: exporting.html_page(opened, features),
    )
    _file(
        "Labels",
        "feature_labels.json",
        "json",
        "label, status, flag and scores of each feature; can be imported again",
        lambda: exporting.labels_json(opened, features),
    )
    _file(
        "Examples",
        "feature_examples.jsonl",
        "jsonl",
        "the strongest examples of each feature, token by token",
        lambda: exporting.examples_jsonl(opened, features),
    )
    for kind, write in (("csv", tables.csv), ("parquet", tables.parquet)):
        _file(
            "Labels as a table",
            f"labels-{name}.{kind}",
            kind,
            "a row a feature",
            partial(_table, write, lambda: exporting.labels_table(opened, features)),
        )
    return features


def history(opened: readers.OpenStudy) -> None:
    """The label history as a file, to take elsewhere or to read."""
    name = opened.name
    st.subheader("Whole label history of this SAE")
    with st.container(key="quiet_history"):
        st.text("Of all features, from every study: who decided what, and when.")
    _file(
        "History to take elsewhere",
        f"label-history-{name}.jsonl",
        "events",
        "imported into another installation, nothing is lost and nothing there twice",
        lambda: exporting.whole_history(opened),
    )
    for kind, write in (("csv", tables.csv), ("parquet", tables.parquet)):
        _file(
            "Label history of this SAE",
            f"label-history-{name}.{kind}",
            kind,
            "a row an event, to read or to count",
            partial(_table, write, lambda: tables.history_table(readers.history(), opened.sae)),
        )


def _table(write: Callable[[pd.DataFrame], bytes], table: Callable[[], pd.DataFrame]) -> bytes:
    return write(table())


def _features(snapshot: Snapshot) -> list[int]:
    matching = snapshot.features[snapshot.order(looking().view)]
    decided = snapshot.features[snapshot.status > 0]
    labelled = snapshot.features[np.asarray([x is not None for x in snapshot.label_objects])]
    choices: dict[str, list[int]] = {
        f"All ({len(snapshot):,})": snapshot.features.tolist(),
        f"With a label ({len(labelled):,})": labelled.tolist(),
        f"Reviewed ({len(decided):,})": decided.tolist(),
        f"In the table's filter ({len(matching):,})": matching.tolist(),
        f"Selected ({len(looking().picked):,})": sorted(looking().picked),
    }
    chosen = st.selectbox("Which features", list(choices), key="export_which", width=320)
    return choices[chosen]


def _file(title: str, name: str, kind: str, about: str, data: Callable[[], bytes]) -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", key=f"file_{kind}_{title}", gap="small"
    ):
        st.download_button(
            "Download",
            data=data,
            file_name=name,
            key=f"download_{kind}_{title}",
            icon=":material/download:",
            on_click="ignore",
        )
        with st.container(width="stretch", gap=None):
            st.text(f"{title}: {about}")
            with st.container(key=f"quiet_{kind}_{title}"):
                st.text(name)
