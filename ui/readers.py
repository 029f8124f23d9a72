"""Everything a page reads, behind bounded caches keyed by study folder and modification time.

Studies only grow by whole passes and their ``study.json`` is replaced then, so its
modification time says whether anything changed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from autointerp_core.explore.feature_index import FeatureIndex, Row, Snapshot
from autointerp_core.home import home, studies_dir
from autointerp_core.jobs import list_jobs
from autointerp_core.jobs.old_scores import adopt_scores_of_jobs
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.search_forms import search_forms
from autointerp_core.store.studies import StudyList, list_studies, study_folder
from autointerp_core.store.study import SPECIAL, Example, Study
from autointerp_core.store.study_names import study_name
from autointerp_core.store.study_record import StudyRecord
from ui.elements.tokens import Line
from ui.marks import marked

_STUDIES_OPEN = 3


@dataclass(frozen=True)
class OpenStudy:
    """A study as the pages use it."""

    study: Study
    index: FeatureIndex
    stamp: int

    @property
    def info(self) -> StudyRecord:
        return self.study.info

    @property
    def sae(self) -> str:
        return self.study.info.sae_fingerprint

    @property
    def name(self) -> str:
        return self.study.folder.name

    def snapshot(self) -> Snapshot:
        return self.index.refresh(history())


def row(opened: OpenStudy, snapshot: Snapshot, feature: int) -> Row | None:
    """A feature's line: of the table, or of kept firings; None where the study has neither."""
    at = snapshot.at(feature)
    if at is not None:
        return snapshot.row(at)
    kept = bool(np.isin(feature, opened.study.kept))
    return snapshot.kept_row(opened.study, feature) if kept else None


def studies() -> StudyList:
    """Complete studies on disk, newest first, and what is wrong with the others."""
    found, errors = list_studies()
    return StudyList(sorted(found, key=lambda each: -stamp_of(studies_dir() / each.id)), errors)


def names(found: Sequence[StudyRecord]) -> dict[str, str]:
    """What each study is called, by its id; those called the same are told apart by their id."""
    plain = {each.id: marked(study_name(studies_dir() / each.id, each)) for each in found}
    twice = {name for name, count in Counter(plain.values()).items() if count > 1}
    return {
        study: f"{name} ({study[-6:]})" if name in twice else name for study, name in plain.items()
    }


def stamp_of(folder: Path) -> int:
    path = folder / "study.json"
    return path.stat().st_mtime_ns if path.exists() else 0


def open_study(name: str) -> OpenStudy:
    """Open a study of this installation by its folder name.

    Raises:
        StudyError: no such study, or one that cannot be read.
    """
    folder = study_folder(name)
    return _open(str(folder), stamp_of(folder))


@st.cache_resource(max_entries=_STUDIES_OPEN, show_spinner=False)
def _open(folder: str, stamp: int) -> OpenStudy:
    adopt_scores_of_jobs(Path(folder), list_jobs)
    study = Study(Path(folder))
    return OpenStudy(study, FeatureIndex(study), stamp)


def history() -> LabelHistory:
    """The label history of this installation (one connection pool for all sessions)."""
    return _history(os.environ.get("AUTOINTERP_DB", ""), str(home()))


@st.cache_resource(max_entries=2, show_spinner=False)
def _history(_url: str, _home: str) -> LabelHistory:
    return LabelHistory.open()


def search_form(opened: OpenStudy, row: Row) -> str | None:
    """The semantic regex of a feature's search label; None where it has none."""
    states = {row.feature: row.state}
    return search_forms(history(), opened.sae, states, opened.study.id).get(row.feature)


def line(study: Study, example: Example) -> Line:
    """An example as the token view shows it."""
    low = int(study.tokens.sequences[example.sequence_index]) + example.start_position
    flags = study.tokens.flags[low : low + len(example.tokens)].tolist()
    vocab = study.tokens.vocab
    tokens = list(example.tokens)
    if example.opening:  # of a sequence cut inside a character
        tokens[example.continues[0]] = example.opening + tokens[example.continues[0]]
    first, stop = example.unit(example.peak_index)
    # The frame is on what can be seen: the token that holds the peak's character.
    shown = next((i for i in range(first, stop) if tokens[i]), example.peak_index)
    return Line(
        activation=example.activation,
        sequence=example.sequence_index,
        position=example.token_position,
        document=example.document_index,
        start=example.start_position,
        peak=example.peak_index,
        shown=shown,
        tokens=tokens,
        values=list(example.values),
        ids=list(example.token_ids),
        special={
            i: vocab[token]
            for i, (token, flag) in enumerate(zip(example.token_ids, flags, strict=True))
            if flag & SPECIAL and token < len(vocab)
        },
    )


@st.cache_data(max_entries=256, show_spinner=False)
def _lines(
    folder: str, stamp: int, feature: int, group: str, limit: int, before: int, after: int
) -> list[Line]:
    study = _open(folder, stamp).study
    if group == "silent":
        found = study.silent_examples(feature, limit, before=before, after=after)
    else:
        found = study.examples(feature, group, limit=limit, before=before, after=after)
    return [line(study, example) for example in found]


def lines(
    opened: OpenStudy, feature: int, group: str, *, limit: int, before: int, after: int
) -> list[Line]:
    """Examples of one group (``silent`` is one), ready to show."""
    folder = str(opened.study.folder)
    found: list[Line] = _lines(folder, opened.stamp, feature, group, limit, before, after)
    return found


def active_jobs() -> int:
    """How many background jobs are queued or running."""
    return _active_jobs(str(home()))


@st.cache_data(ttl=2, max_entries=2, show_spinner=False)
def _active_jobs(_home: str) -> int:
    return sum(job.active for job in list_jobs())


def study_of(folder: str, stamp: int) -> Study:
    """The open study in ``folder``, for functions whose cache is keyed by folder and stamp."""
    return _open(folder, stamp).study
