"""Several SAEs of one model in one pass: the model runs once, to the deepest hook.

Each SAE has a study of its own, the same as it gets alone, and each goes on where it stopped.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from autointerp_core.errors import SAESourceError
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.engines import load_engine
from autointerp_core.extraction.memory import memory_told
from autointerp_core.extraction.native import Job, produce_together
from autointerp_core.extraction.resolve import ResolvedExtraction, resolve
from autointerp_core.extraction.run import ADVICE, Extraction, extract, extract_resolved
from autointerp_core.extraction.run_log import log_run
from autointerp_core.extraction.served import find_served, request_key
from autointerp_core.extraction.study_lock import study_lock
from autointerp_core.extraction.study_writer import StudyWriter
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.files import name_beside, writing
from autointerp_core.store.study import Study

ALL = "all"


def sae_ids(sae_path: str, sae_id: str | Sequence[str] | None) -> list[str] | None:
    """The SAEs that ``sae_id`` names, where it may name several: a list, ``"a,b"``, ``"all"``.

    None where it names one, or none.

    Raises:
        SAESourceError: all are asked for where there is none.
    """
    from autointerp_core.sources.demo import DEMO
    from autointerp_core.sources.sae_files import all_ids

    if sae_path.strip() == DEMO or sae_id is None:
        return None
    if isinstance(sae_id, str):
        if sae_id.strip().lower() == ALL:
            return all_ids(sae_path)
        parts = [part.strip() for part in sae_id.split(",") if part.strip()]
        return parts if len(parts) > 1 else None
    return list(dict.fromkeys(str(each) for each in sae_id))


def extract_several(
    configs: Sequence[ExtractionConfig], studies: Path, progress: ProgressCallback = silent
) -> list[Extraction]:
    """As :func:`~autointerp_core.extraction.run.extract` for each, with one run of the model.

    SAEs whose tokens differ (another context size, BOS or precision) have a pass of their own.

    Raises:
        BadInput: as the message says; SAEs of different models; nothing was written.
        DiskFull: finished shards stay.
        Cancelled: raised by ``progress``; finished shards stay.
    """
    _check_one_model(configs)
    if configs[0].engine != "native":  # it shares no pass: one after the other
        return [extract(config, studies, progress) for config in configs]
    load_engine(configs[0].engine)
    done: dict[int, Extraction] = {}
    groups: dict[str, list[tuple[int, ResolvedExtraction, str | None]]] = defaultdict(list)
    for index, config in enumerate(configs):
        key = request_key(config)
        served = find_served(config, key, studies, progress) if key is not None else None
        if served is not None:
            done[index] = Extraction(served.study, served.added)
            continue
        progress(Progress("preparing", message=f"SAE {index + 1} of {len(configs)}"))
        resolved = resolve(config, progress)
        apart = replace(resolved.identity, sae="", hook="")
        groups[apart.digest].append((index, resolved, key))
    for group in groups.values():
        if len(group) == 1:
            index, resolved, key = group[0]
            done[index] = extract_resolved(resolved, studies, progress, key)
        else:
            found = _one_pass([each[1:] for each in group], studies, progress)
            done |= {index: each for (index, _, _), each in zip(group, found, strict=True)}
    return [done[index] for index in range(len(configs))]


def _check_one_model(configs: Sequence[ExtractionConfig]) -> None:
    from autointerp_core.sources.sae import inspect_sae

    named: dict[str, str] = {}
    for config in configs:
        model = inspect_sae(config.sae_path, config.sae_id).model_name
        if model:
            named.setdefault(model.rsplit("/", 1)[-1].lower(), str(config.sae_id))
    if len(named) > 1:
        told = ", ".join(f"{sae} was trained on {model}" for model, sae in named.items())
        raise SAESourceError(
            f"SAEs of different models cannot share a pass: {told}; give those of one model"
        )


def _one_pass(
    group: Sequence[tuple[ResolvedExtraction, str | None]],
    studies: Path,
    progress: ProgressCallback,
) -> list[Extraction]:
    folders = [studies / resolved.study_id for resolved, _ in group]
    for folder in folders:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        for folder in sorted(set(folders)):  # in one order, so that two runs never wait in a ring
            locks.enter_context(study_lock(folder, progress))
        started, clock = datetime.now(UTC), time.monotonic()
        writers = [
            StudyWriter(folder, resolved, progress)
            for folder, (resolved, _) in zip(folders, group, strict=True)
        ]
        missing = [writer.missing() for writer in writers]
        device = group[0][0].device
        with memory_told(device, ADVICE):
            _share_tokens(writers)
            jobs = []
            for writer, (resolved, _), lacking in zip(writers, group, missing, strict=True):
                rest = writer.bring_in(lacking) if len(lacking) else lacking
                if len(rest):
                    jobs.append(Job(rest, resolved, writer))
            for alike in _cut_alike(jobs):
                produce_together(alike, progress)
            for writer in writers:
                writer.complete()
        seconds = time.monotonic() - clock
        for folder, (_, key), lacking in zip(folders, group, missing, strict=True):
            log_run(
                folder, started=started, seconds=seconds, computed=len(lacking),
                device=str(device), key=key,
            )  # fmt: skip
    return [
        Extraction(Study(folder), np.asarray(lacking, dtype=np.int32))
        for folder, lacking in zip(folders, missing, strict=True)
    ]


def _share_tokens(writers: Sequence[StudyWriter]) -> None:
    """Tokenise once; which positions count is each study's own."""
    first = writers[0]
    source = first.tokens().folder
    for writer in writers[1:]:
        target = writer.folder / "tokens"
        if not target.exists():
            with writing(target):
                beside = name_beside(target)
                shutil.copytree(source, beside, ignore=shutil.ignore_patterns("counted.bin"))
                beside.rename(target)


def _cut_alike(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs by how their sequences are cut; a run before may have cut them another way."""
    groups: dict[tuple[int, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[tuple(shard.last for shard in job.shards)].append(job)
    return list(groups.values())
