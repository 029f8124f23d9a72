"""Labels that come in from a file, after showing what would change."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.export import import_labels
from autointerp_core.export.history_file import (
    Brought,
    HistoryFile,
    brought,
    is_history_file,
    plan_history,
    read_history_file,
    take_brought,
)
from ui import problems, readers, session
from ui.decisions import author
from ui.marks import marked
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


def show(opened: readers.OpenStudy, snapshot: Snapshot) -> None:
    """The file to import, what it would change, and the button that does it."""
    st.subheader("Import")
    with st.container(key="quiet_import"):
        st.text(
            "Labels from a feature_labels.json, or a whole label history exported elsewhere. "
            "First you see what would change; nothing is overwritten, what was decided before "
            "stays in the history."
        )
    upload = st.file_uploader(
        "Label file or history", type=["json", "jsonl", "gz"], key="import_file"
    )
    kept = session.memory(ImportDone)
    told, kept.told = kept.told, []
    for line in told:
        st.text(marked(line))
    if upload is None:
        return
    data = upload.getvalue()
    with problems.errors():
        if is_history_file(data):
            _history(opened, read_history_file(data))
        else:
            _labels(opened, snapshot, data, upload.name)


def _labels(opened: readers.OpenStudy, snapshot: Snapshot, data: bytes, name: str) -> None:
    changes = import_labels.plan(data, snapshot, opened.info)
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
        args=(changes, opened.sae, name),
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


def _history(opened: readers.OpenStudy, file: HistoryFile) -> None:
    """A whole history: its events keep their authors and times."""
    history = readers.history()
    planned = plan_history(file, opened.info, history)
    found = brought(file, opened.info, opened.study.folder)
    before, after = history.preview_adoption(file.sae, file.events)
    with st.container(key="import_plan", border=True, gap="xxsmall"):
        st.text(f"{planned.new_events:,} events are new here, with their authors and times.")
        if planned.known_events:
            st.text(f"{planned.known_events:,} are here already and stay as they are.")
        if found.name:
            st.text(f"The study gets its name: {marked(found.name)}.")
        if found.scores:
            st.text(f"{len(found.scores):,} features get their input score.")
        if planned.changed:
            st.text(f"{len(planned.changed):,} features would read differently:")
    for feature in planned.changed[:_SHOWN]:
        old, new = before[feature], after[feature]
        st.text(
            marked(f"{feature}: {old.label} ({old.status}) → {new.label or 'none'} ({new.status})")
        )
    if len(planned.changed) > _SHOWN:
        st.text(f"and {len(planned.changed) - _SHOWN:,} more")
    st.button(
        f"Take in {planned.new_events:,} events",
        key="import_apply",
        type="primary",
        disabled=not (planned.new_events or found),
        on_click=_adopt,
        args=(file, found, opened.study.folder),
    )


def _adopt(file: HistoryFile, found: Brought, folder: Path) -> None:
    with problems.errors():
        take_brought(found, folder)
        count = readers.history().adopt(file.sae, file.events)
        session.memory(ImportDone).told = [f"{count:,} events taken in."]
