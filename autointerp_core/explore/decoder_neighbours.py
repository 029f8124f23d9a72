"""Features whose decoder directions point the same way, as the study keeps them."""

from __future__ import annotations

from autointerp_core.errors import StudyError
from autointerp_core.store.neighbours import NEIGHBOURS_FILE, Neighbour, read_neighbours
from autointerp_core.store.study import Study

__all__ = ["Neighbour", "neighbours"]


def neighbours(study: Study, feature: int, limit: int = 10) -> list[Neighbour]:
    """The features of the SAE most alike in direction, in the study or not, most alike first.

    Raises:
        BadInput: the feature is not in the study.
        StudyError: the study was made before neighbours were kept, or their file is damaged.
    """
    found, row = study.locate(feature)
    place = found.beside(NEIGHBOURS_FILE, row)
    kept = read_neighbours(*place) if place is not None else None
    if kept is None:
        raise StudyError("this study was made before they were kept")
    return kept[:limit]
