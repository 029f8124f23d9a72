"""The studies of this installation, opened once and shared between threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from autointerp_core.explore.feature_index import FeatureIndex, Snapshot
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.studies import list_studies, study_folder
from autointerp_core.store.study import Study
from autointerp_core.store.study_record import FILE_NAME

_OPEN = 4


@dataclass(frozen=True)
class OpenStudy:
    """A study with its index of features."""

    study: Study
    index: FeatureIndex
    stamp: int


class Library:
    """Opens studies by id, and keeps the last few open."""

    def __init__(self, history: LabelHistory | None = None) -> None:
        self.history = history if history is not None else LabelHistory.open()
        self._lock = threading.Lock()
        self._open: OrderedDict[str, OpenStudy] = OrderedDict()

    def close(self) -> None:
        """Close the label history."""
        self.history.close()

    def ids(self) -> list[str]:
        """Ids of the complete studies."""
        return [record.id for record in list_studies().studies]

    def open(self, study_id: str) -> OpenStudy:
        """A study by its id.

        Raises:
            StudyError: there is none of that id, or it cannot be read.
        """
        folder = study_folder(study_id)
        stamp = (folder / FILE_NAME).stat().st_mtime_ns
        key = folder.name
        with self._lock:
            found = self._open.get(key)
            if found is None or found.stamp != stamp:
                found = _opened(folder, stamp)
                self._open[key] = found
            self._open.move_to_end(key)
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
            return found

    def snapshot(self, opened: OpenStudy) -> Snapshot:
        """Its features with their labels as they are now."""
        return opened.index.refresh(self.history)


def _opened(folder: Path, stamp: int) -> OpenStudy:
    study = Study(folder)
    return OpenStudy(study, FeatureIndex(study), stamp)
