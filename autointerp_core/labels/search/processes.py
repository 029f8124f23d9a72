"""Search labels of many features by several processes; the same labels for any number of them.

A label depends on its feature and the corpus alone. Each process reads the corpus once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autointerp_core.labels import workers
from autointerp_core.labels.embedders import Embedder
from autointerp_core.labels.search.corpus_counts import BLOCK
from autointerp_core.labels.search.labeler import SearchLabel, SearchLabeler
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.event_details import SearchEvidence
from autointerp_core.store.study import Study


def label_many(
    labeler: SearchLabeler,
    features: Sequence[int],
    progress: ProgressCallback,
    processes: int | None = None,
) -> Iterator[SearchLabel]:
    """As :meth:`.SearchLabeler.label_all`; by several processes where there is much to do.

    Args:
        processes: how many; None: this one alone, or one a core.

    Raises:
        AutointerpError: a process failed.
        Cancelled: raised by ``progress``; the processes are ended.
    """
    can = workers.can_share(labeler.embedder)
    count = processes or (workers.worth_having(len(features)) if can else 1)
    if count == 1:
        yield from labeler.label_all(features, progress)
        return
    wanted = sorted(features)
    blocks = [wanted[at : at + BLOCK] for at in range(0, len(wanted), BLOCK)]
    documents = labeler.documents
    job = {
        "study": str(labeler.study.folder),
        "documents": None if documents is None else list(documents),
    }
    done = 0
    shared = workers.in_processes(
        __name__,
        job,
        blocks,
        min(count, len(blocks)),
        embedder=labeler.embedder,
        doing="making search labels",
    )
    with closing(shared):
        for made in shared:
            yield from map(_read, made)
            done += len(made)
            progress(Progress("search labels", done, len(wanted), "features"))


def _read(raw: dict[str, Any]) -> SearchLabel:
    return SearchLabel(**{**raw, "evidence": SearchEvidence(**raw["evidence"])})


def _labels(job: dict[str, Any], embedder: Embedder) -> workers.Task:
    labeler = SearchLabeler(Study(Path(job["study"])), job["documents"], embedder)
    return lambda block: [asdict(label) for label in labeler.label_all(block)]


if __name__ == "__main__":
    sys.exit(workers.serve(sys.argv[1:], _labels))
