"""How many features a study holds and how many are reviewed, without opening the study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from autointerp_core.errors import StudyError
from autointerp_core.home import studies_dir
from autointerp_core.store.study_record import StudyRecord
from ui import readers


def features_and_reviewed(info: StudyRecord) -> tuple[int, int]:
    """Features stored, and those of them that a person decided on.

    Raises:
        StudyError: a list of features is damaged.
        LabelStoreError: the label history cannot be read.
    """
    folder = studies_dir() / info.id
    names = [entry.name for entry in info.passes]
    stored = _features(str(folder), readers.stamp_of(folder), names)
    decided = readers.history().decided(info.sae_fingerprint)
    return len(stored), int(np.isin(stored, list(decided)).sum()) if decided else 0


@st.cache_data(max_entries=64, show_spinner=False)
def _features(folder: str, stamp: int, names: list[str]) -> NDArray[np.int32]:
    """The indices alone: a few bytes a feature."""
    try:
        found = [
            np.load(Path(folder) / "passes" / name / "features.npy", allow_pickle=False)
            for name in names
        ]
    except (OSError, ValueError) as error:
        raise StudyError(
            f"study {Path(folder).name} is damaged: {error}; delete it and extract it again"
        ) from error
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int32)
