"""The Compare page."""

from ui import readers


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
