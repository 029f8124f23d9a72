"""Input scores of jobs done before scores belonged to studies.

They stood only in the label files that those jobs wrote. A study gets them from there, once;
from then on its own file holds them, and jobs may be cleared away.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from autointerp_core.jobs.state import JobState
from autointerp_core.store.input_scores import add_older_scores, has_older_scores


def adopt_scores_of_jobs(study: Path, jobs: Callable[[], Sequence[JobState]]) -> None:
    """Give a study the scores of finished jobs (newest first), where that was never done.

    Raises:
        StudyError: its file of scores is damaged.
        DiskFull: no space is left.
        OutputError: the study's folder cannot be written.
    """
    if has_older_scores(study):
        return
    found: dict[int, float] = {}
    for job in reversed(jobs()):  # oldest first: the newest score of a feature stays
        if Path(str(job.result.get("study_path", ""))).name == study.name:
            found |= dict(_scores(job))
    add_older_scores(study, found)


def _scores(job: JobState) -> Iterator[tuple[int, float]]:
    """Scores in the label file that a job wrote, if it is still there and readable."""
    path = job.result.get("labels_path")
    if job.status != "done" or not path:
        return
    try:
        rows = json.loads(Path(str(path)).read_bytes())["features"]
        pairs = [(row["feature_index"], row.get("score")) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # deleted, moved or overwritten since: then there is nothing to take
    for feature, score in pairs:
        number = isinstance(score, int | float) and not isinstance(score, bool)
        if isinstance(feature, int) and number and math.isfinite(score):
            yield feature, float(score)
