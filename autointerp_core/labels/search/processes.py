"""Search labels of many features by several processes; the same labels for any number of them.

A label depends on its feature and the corpus alone. Each process reads the corpus once and labels
every so manieth block of features; the blocks are read back in order.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from autointerp_core.children import check_ended, children, cores
from autointerp_core.errors import AutointerpError
from autointerp_core.labels.embedders import make_embedder
from autointerp_core.labels.search.corpus_counts import BLOCK
from autointerp_core.labels.search.labeler import SearchLabel, SearchLabeler
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.event_details import SearchEvidence
from autointerp_core.store.files import write_json
from autointerp_core.store.study import Study

MANY = 4_000
"""Features from which starting processes, which read the corpus each, pays."""


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
    count = processes or (cores() if len(features) >= MANY else 1)
    if count == 1:
        yield from labeler.label_all(features, progress)
        return
    wanted = sorted(features)
    blocks = [wanted[at : at + BLOCK] for at in range(0, len(wanted), BLOCK)]
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        documents = labeler.documents
        write_json(
            job,
            {
                "study": str(labeler.study.folder),
                "documents": None if documents is None else list(documents),
                "embedder": labeler.embedder.name,
                "blocks": blocks,
            },
        )
        with children(__name__, job, min(count, len(blocks))) as started:
            done = 0
            for number, block in enumerate(blocks):
                child = started[number % len(started)]
                assert child.stdout is not None
                for feature in block:
                    line = child.stdout.readline()
                    if not line:
                        check_ended(child, "making search labels")
                        raise AutointerpError(f"feature {feature} got no search label")
                    yield _read(line)
                done += len(block)
                progress(Progress("search labels", done, len(wanted), "features"))
            for child in started:
                check_ended(child, "making search labels")


def _read(line: str) -> SearchLabel:
    raw = orjson.loads(line)
    return SearchLabel(**{**raw, "evidence": SearchEvidence(**raw["evidence"])})


def main(arguments: Sequence[str]) -> int:
    """Print the labels of every so manieth block of a job, a line each."""
    job = json.loads(Path(arguments[0]).read_bytes())
    number, step = int(arguments[1]), int(arguments[2])
    embedder = make_embedder(job["embedder"])
    labeler = SearchLabeler(Study(Path(job["study"])), job["documents"], embedder)
    for block in job["blocks"][number::step]:
        for label in labeler.label_all(block):
            print(orjson.dumps(asdict(label), option=orjson.OPT_SERIALIZE_NUMPY).decode())
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
