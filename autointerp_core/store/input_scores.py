"""Input scores: a number a feature that somebody brought along, kept with the study.

They come from ``feature_scores`` or a features file of any run, and are no part of what a
study is: the file lies beside ``study.json``, grows by each run that gives scores (a feature's
newest score stays), and goes with the study.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from autointerp_core.errors import StudyError
from autointerp_core.store.files import write_json, writing

FILE_NAME = "input_scores.json"


class _Content(NamedTuple):
    scores: dict[int, float]
    older_taken: bool
    """Whether scores from before this file existed were looked for."""


def read_input_scores(folder: Path) -> dict[int, float]:
    """Scores by feature, in feature order; empty where none were ever given.

    Raises:
        StudyError: the file is damaged.
    """
    return _read(folder).scores


def add_input_scores(folder: Path, scores: Mapping[int, float]) -> None:
    """Merge scores into those of the study in ``folder``; ones that are not finite are left out.

    Raises:
        StudyError: the file that is there is damaged.
        DiskFull: no space is left.
        OutputError: the folder cannot be written.
    """
    with _locked(folder):
        known = _read(folder)
        _write(folder, known, known._replace(scores={**known.scores, **_finite(scores)}))


def has_older_scores(folder: Path) -> bool:
    """Whether :func:`add_older_scores` was called for this study before."""
    return _read(folder).older_taken


def add_older_scores(folder: Path, scores: Mapping[int, float]) -> None:
    """Merge scores from before the file existed: features that have one keep theirs.

    Raises:
        StudyError: the file that is there is damaged.
        DiskFull: no space is left.
        OutputError: the folder cannot be written.
    """
    with _locked(folder):
        known = _read(folder)
        _write(folder, known, _Content({**_finite(scores), **known.scores}, older_taken=True))


def _finite(scores: Mapping[int, float]) -> dict[int, float]:
    return {int(f): float(s) for f, s in scores.items() if math.isfinite(s)}


def _read(folder: Path) -> _Content:
    path = folder / FILE_NAME
    try:
        raw = json.loads(path.read_bytes())
        scores = {int(feature): float(score) for feature, score in raw["scores"].items()}
        return _Content(scores, bool(raw.get("older_taken")))
    except FileNotFoundError:
        return _Content({}, older_taken=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(
            f"{path} cannot be read ({type(error).__name__}: {error}); delete it, and give the "
            "scores again"
        ) from error


def _write(folder: Path, known: _Content, wanted: _Content) -> None:
    if wanted != known:
        rows = {str(feature): wanted.scores[feature] for feature in sorted(wanted.scores)}
        write_json(folder / FILE_NAME, {"scores": rows, "older_taken": wanted.older_taken})


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer of scores at a time; not the study's own lock, which a run holds for hours."""
    with writing(folder), FileLock(folder.with_name(f".{folder.name}.scores.lock")):
        yield


class InputScores:
    """The scores of a study as they are now; the file is read again only when it changed."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._stamp: tuple[int, int] | None = None
        self._scores: Mapping[int, float] = {}

    def now(self) -> Mapping[int, float]:
        """As :func:`read_input_scores`."""
        try:
            found = (self._folder / FILE_NAME).stat()
        except FileNotFoundError:
            self._stamp, self._scores = None, {}
            return self._scores
        stamp = found.st_mtime_ns, found.st_ino
        if stamp != self._stamp:
            self._stamp, self._scores = stamp, read_input_scores(self._folder)
        return self._scores
