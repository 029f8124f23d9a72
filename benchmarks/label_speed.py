"""How fast the demo's labels are made by counting, and scored by embedding."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable

from autointerp_core.home import studies_dir
from autointerp_core.labels.scoring.config import ScoreConfig
from autointerp_core.labels.scoring.run import score_labels
from autointerp_core.labels.search.labeler import SearchLabeler
from autointerp_core.labels.search.processes import label_many
from autointerp_core.labels.search.record import record_search_labels
from autointerp_core.pipeline import built_demo
from autointerp_core.progress import silent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from benchmarks.report import Row

LABELLED, SCORED = 1_000, 256


def measure_labels(processes: int) -> dict[str, float]:
    """Search labels of the demo study's features."""
    study = Study(studies_dir() / str(built_demo()))
    labeler = SearchLabeler(study)
    labeler.label(int(study.features[0]))  # reads the corpus
    start = time.perf_counter()
    n = len(list(label_many(labeler, study.features[:LABELLED].tolist(), silent, processes)))
    return {"a_minute": n * 60 / (time.perf_counter() - start)}


def score_rows(in_process: Callable[..., dict[str, float]]) -> list[Row]:
    """Rows of both embedders, by one process and by two."""
    rows = []
    for embedder in ("wordllama", "minilm"):
        for processes in ("1", "2"):
            made = in_process("scores", "--tokens", processes, "--embedder", embedder)
            rows.append(
                Row(
                    f"embedding_scores_per_minute_{embedder}_{processes}",
                    made["a_minute"],
                    note=f"processes; this one's memory {made['own_mb']:.0f} MB, the largest of "
                    f"theirs {made['their_mb']:.0f} MB",
                )
            )
    return rows


def measure_scores(processes: int, embedder: str) -> dict[str, float]:
    """Embedding scores of search labels of the demo study, start-up included."""
    study = Study(studies_dir() / str(built_demo()))
    features = study.features[:SCORED].tolist()
    with tempfile.TemporaryDirectory() as folder, LabelHistory.open(f"{folder}/l.db") as history:
        record_search_labels(study, features, history)
        start = time.perf_counter()
        config = ScoreConfig(embedder=embedder)
        report = score_labels(study, features, history, config, processes=processes)
        seconds = time.perf_counter() - start
    own, their = (
        resource.getrusage(whose).ru_maxrss / 1024
        for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {"a_minute": report.labels * 60 / seconds, "own_mb": own, "their_mb": their}
