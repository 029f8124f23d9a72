"""The studies of this installation, opened once and shared between threads."""

from __future__ import annotations

import threading
from collections import OrderedDict

from autointerp_core.errors import StudyError
from autointerp_core.explore.feature_index import FeatureIndex, Snapshot
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.studies import list_studies, study_folder
from autointerp_core.store.study import Study
from autointerp_core.store.study_record import FILE_NAME

_OPEN = 4


class OpenStudy:
    """A study, and its index of features once somebody searches."""

    def __init__(self, study: Study, stamp: int) -> None:
        self.study, self.stamp = study, stamp
        self._lock = threading.Lock()
        self._index: FeatureIndex | None = None

    @property
    def index(self) -> FeatureIndex:
        """Made when first asked for, and once."""
        with self._lock:
            if self._index is None:
                self._index = FeatureIndex(self.study)
            return self._index


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
        try:
            folder = study_folder(study_id)
        except (OSError, ValueError) as error:  # no file can have such a name
            raise StudyError(f"there is no study named {study_id[:40]!r} here") from error
        stamp = (folder / FILE_NAME).stat().st_mtime_ns
        key = folder.name
        with self._lock:
            found = self._open.get(key)
            if found is None or found.stamp != stamp:
                found = OpenStudy(Study(folder), stamp)
                self._open[key] = found
            self._open.move_to_end(key)
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
            return found

    def snapshot(self, opened: OpenStudy) -> Snapshot:
        """Its features with their labels as they are now."""
        return opened.index.refresh(self.history)
