"""The Export page: files out, labels in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import streamlit as st

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.export import import_labels, tables
from ui import exporting, problems, readers, session
from ui.decisions import author
from ui.marks import marked
from ui.navigation import looking
from ui.sentences import sentence

_SHOWN = 12
_WORDS: dict[import_labels.Effect, str] = {
    "new": "get a first label",
    "changed": "change their label",
    "same": "stay as they are",
    "refused": "are refused",
    "unknown": "are not in this study",
}


@dataclass
class ImportDone:
    """What the last import did, until it was told."""

    told: list[str] = field(default_factory=list)


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("export")
    with problems.errors():
        snapshot = opened.snapshot()
        out, into = st.columns([1.3, 1], gap="large")
        with out:
            _export(opened, snapshot)
        with into:
            _import(opened, snapshot)


def _export(opened: readers.OpenStudy, snapshot: Snapshot) -> None:
    st.subheader("Export")
    features = _features(snapshot)
    st.text(f"{len(features):,} features. Every file holds the decisions made so far.")
    name = opened.name
    _file("Labels", "feature_labels.json", "json", lambda: exporting.labels_json(opened, features))
    _file(
        "Examples",
        "feature_examples.jsonl",
        "jsonl",
        lambda: exporting.examples_jsonl(opened, features),
    )

    def labels() -> bytes:
        return tables.csv(exporting.labels_table(opened, features))

    def history() -> bytes:
        return tables.csv(tables.history_table(readers.history(), opened.sae))

    _file("Labels as a table", f"labels-{name}.csv", "csv", labels)
    _file(
        "Labels as a table",
        f"labels-{name}.parquet",
        "parquet",
        lambda: tables.parquet(exporting.labels_table(opened, features)),
    )
    _file("Label history of this SAE", f"label-history-{name}.csv", "csv", history)
    _file(
        "Label history of this SAE",
        f"label-history-{name}.parquet",
        "parquet",
        lambda: tables.parquet(tables.history_table(readers.history(), opened.sae)),
    )
    st.text("The same from a terminal: python -m autointerp_core export --help")


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


def _file(title: str, name: str, kind: str, data: Callable[[], bytes]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"file_{kind}_{title}"):
        with st.container(width="stretch", gap=None):
            st.text(title)
            with st.container(key=f"quiet_{kind}_{title}"):
                st.text(name)
        st.download_button(
            "Download",
            data=data,
            file_name=name,
            key=f"download_{kind}_{title}",
            icon=":material/download:",
            on_click="ignore",
        )


def _import(opened: readers.OpenStudy, snapshot: Snapshot) -> None:
    st.subheader("Import labels")
    st.write(
        "From a `feature_labels.json`. First you see what would change; nothing is overwritten, "
        "the labels before stay in the history."
    )
    upload = st.file_uploader("Label file", type="json", key="import_file")
    kept = session.memory(ImportDone)
    told, kept.told = kept.told, []
    for line in told:
        st.text(line)
    if upload is None:
        return
    with problems.errors():
        changes = import_labels.plan(upload.getvalue(), snapshot)
        counts = Counter(change.effect for change in changes)
        with st.container(key="import_plan", border=True, gap="xxsmall"):
            for effect, words in _WORDS.items():
                if counts[effect]:
                    st.text(f"{counts[effect]:,} features {words}.")
            if not changes:
                st.text("The file holds no label.")
        for change in [c for c in changes if c.effect in ("new", "changed", "refused")][:_SHOWN]:
            before = change.before or "no label"
            line = f"{change.feature}: {before} → {change.label}"
            st.text(marked(f"{change.feature}: {change.why}" if change.why else line))
        count = counts["new"] + counts["changed"]
        if not author.current():
            st.text("Say who you are first: the person button at the top right.")
        st.button(
            f"Import {count:,} labels",
            key="import_apply",
            type="primary",
            disabled=not count or not author.current(),
            on_click=_apply,
            args=(changes, opened.sae, upload.name),
        )


def _apply(changes: list[import_labels.Change], sae: str, name: str) -> None:
    with problems.errors():
        done = import_labels.apply(
            changes, readers.history(), sae, file_name=name, author=author.current()
        )
        told = [f"{done.count:,} labels imported."]
        told += [sentence(outcome.conflict) for outcome in done.conflicts[:_SHOWN]]
        if len(done.conflicts) > _SHOWN:
            told.append(f"And {len(done.conflicts) - _SHOWN:,} more conflicts.")
        session.memory(ImportDone).told = told
