"""Embedding scores of many features by several processes; the same events for any number of them.

What a label scores depends on the feature, its history, the corpus and the labels of others. The
process that asked reads histories and records events, in order, as chunks come back; the others
sample windows, compare vectors and work out intervals. None of them holds the embedding model
(see :mod:`~autointerp_core.labels.workers`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autointerp_core.labels import workers
from autointerp_core.labels.embedders import Embedder
from autointerp_core.labels.scoring.chunks import ChunkResult, ChunkScorer, Histories
from autointerp_core.labels.scoring.config import ScoreConfig
from autointerp_core.labels.scoring.scorers.embedding import EMBEDDING
from autointerp_core.labels.scoring.shuffled_labels import OtherLabels
from autointerp_core.store.events import LabelEvent
from autointerp_core.store.study import Study

_ASKED = ("score_windows", "again", "harder_windows")
"""Of the config, what embedding scores depend on."""

Read = Callable[[Sequence[int]], Histories]
"""Histories of some features; called in threads."""


def how_many(scorers: Sequence[str], embedder: Embedder, features: int) -> int:
    """Processes worth having for so many features: one, or one a core.

    A judge has the model that takes the time, so only embedding scores are shared.
    """
    can = tuple(scorers) == (EMBEDDING,) and workers.can_share(embedder)
    return workers.worth_having(features) if can else 1


def score_chunks(
    scorer: ChunkScorer,
    config: ScoreConfig,
    chunks: Sequence[Sequence[int]],
    others: OtherLabels,
    read: Read,
    count: int,
) -> Iterator[ChunkResult]:
    """What came of each chunk, in order.

    Args:
        scorer: as it would do it here.
        config: by which it was made.
        chunks: features.
        others: labels of other features.
        read: gives histories.
        count: processes.

    Raises:
        AutointerpError: a process failed or was killed; chunks given back before stay.
    """
    job = {
        "study": str(scorer.study.folder),
        "config": {name: getattr(config, name) for name in _ASKED},
        "seed": scorer.seed,
        "others": others.to_json(),
    }

    def task(features: Sequence[int]) -> Any:
        found = read(features)
        return [[feature, [asdict(event) for event in found[feature]]] for feature in features]

    shared = workers.in_processes(
        __name__,
        job,
        chunks,
        min(count, len(chunks)),
        embedder=scorer.tools.known.embedder,
        doing="scoring labels",
        task=task,
    )
    with closing(shared):
        yield from map(ChunkResult.from_json, shared)


def _scores(job: dict[str, Any], embedder: Embedder) -> workers.Task:
    config = ScoreConfig(scorers=(EMBEDDING,), embedder=embedder.name, **job["config"])
    scorer = ChunkScorer(Study(Path(job["study"])), config, None, embedder, job["seed"])
    others = OtherLabels.from_json(job["others"])

    def score(task: Sequence[Any]) -> dict[str, Any]:
        histories = {feature: [LabelEvent(**one) for one in events] for feature, events in task}
        return scorer.score(histories, others, lambda _: None).to_json()

    return score


if __name__ == "__main__":
    sys.exit(workers.serve(sys.argv[1:], _scores))
