"""The studies of this installation: listed, and found by id."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from autointerp_core.errors import StudyError
from autointerp_core.home import studies_dir
from autointerp_core.store.study_record import FILE_NAME, StudyRecord, read_record


class StudyList(NamedTuple):
    """Studies with at least one finished pass, by folder; what is wrong with the others."""

    studies: list[StudyRecord]
    errors: list[StudyError]


def list_studies(folder: Path | None = None, *, controls: bool = False) -> StudyList:
    """Studies under ``folder`` (by default this installation's), and what cannot be read there.

    What is only begun (:func:`begun_studies`) is neither.

    Args:
        controls: list the controls of studies, and not the studies.
    """
    root = studies_dir() if folder is None else folder
    found = StudyList([], [])
    for child in sorted(root.glob("*/")) if root.is_dir() else []:
        if child.name.startswith(".") or _is_begun(child):
            continue
        try:
            record = read_record(child)
        except StudyError as error:
            found.errors.append(error)
            continue
        if record.complete and (record.control_of is not None) == controls:
            found.studies.append(record)
    return found


def begun_studies(folder: Path | None = None) -> list[str]:
    """Names of studies whose first pass is being made, or was stopped: not yet to be read."""
    root = studies_dir() if folder is None else folder
    return [child.name for child in sorted(root.glob("*/")) if _is_begun(child)]


def _is_begun(folder: Path) -> bool:
    return not (folder / FILE_NAME).exists() and (folder / "tokens").is_dir()


def study_folder(study_id: str) -> Path:
    """Folder of a study of this installation.

    Raises:
        StudyError: there is none of this id (a path is none).
    """
    folder = studies_dir() / study_id
    if not study_id or Path(study_id).name != study_id or not (folder / FILE_NAME).exists():
        known = ", ".join(record.id for record in list_studies().studies) or "none yet"
        raise StudyError(f"there is no study named {study_id!r} here; there are: {known}")
    return folder


def find_study(study: str) -> Path:
    """Folder of a study given by its id or by any folder that holds one.

    Raises:
        StudyError: it is neither.
    """
    try:
        return study_folder(study)
    except StudyError:
        given = Path(study).expanduser()
        if (given / FILE_NAME).exists():
            return given
        raise


def controls_of(study_id: str, folder: Path | None = None) -> list[StudyRecord]:
    """The controls that were extracted of a study."""
    return [
        each for each in list_studies(folder, controls=True).studies if each.control_of == study_id
    ]
