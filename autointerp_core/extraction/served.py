"""Whether a study already has all that is asked for, told without loading anything.

Working out which study a request means takes the SAE, the tokenizer and the texts, and so half
a minute of imports. A request that was carried out before is known again by what it named: its
parameters, and path, size and time of every file these lead to. (A file rewritten in place with
the same size and time is not noticed; neither is it by the model's fingerprint.)

Only local files and the demo are known so; what a hub holds today only the hub can say.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import AutointerpError
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.kept import bring_in
from autointerp_core.extraction.record import PACKAGES, package_version
from autointerp_core.extraction.run_log import read_run_log
from autointerp_core.home import models_dir
from autointerp_core.progress import ProgressCallback, silent
from autointerp_core.sources.demo import DEMO, MODEL_NAME, demo_corpus_path
from autointerp_core.sources.sae_files import locate
from autointerp_core.store.neighbours import NEIGHBOURS_FILE
from autointerp_core.store.study import LOGITS_FILE, Study
from autointerp_core.store.study_record import FILE_NAME

_CHANGES_NO_STUDY = (
    "features", "batch_sequences", "block_features", "shard_tokens", "n_examples", "logits",
    "neighbours", "keep", "workers", "ray_address",
)  # fmt: skip
_ACCELERATORS = ("nvidia[0-9]*", "kfd", "dxg")


def request_key(config: ExtractionConfig) -> str | None:
    """A name for what ``config`` leads to as things are now; None where that cannot be told."""
    try:
        places = [_model(config.model_path), _sae(config), _dataset(config.dataset_path)]
    except AutointerpError:
        return None  # whatever is wrong with it, resolving says it better
    if None in places:
        return None
    named = {k: v for k, v in asdict(config).items() if k not in _CHANGES_NO_STUDY}
    named["masks"] = config.masks.to_json()
    files = [[_files(path) for path in place] for place in places if place is not None]
    # "auto" means another device, and with it another dtype, on another machine.
    devices = [str(path) for glob in _ACCELERATORS for path in sorted(Path("/dev").glob(glob))]
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    versions = [package_version(name) for name in PACKAGES]
    parts = [named, files, devices, seen, versions, _files(Path(__file__).parents[1])]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Served(NamedTuple):
    """A study that has all that is asked for."""

    study: Study
    added: NDArray[np.int32]
    """Features that its kept firings were enough for."""


def find_served(
    config: ExtractionConfig, key: str, studies: Path, progress: ProgressCallback = silent
) -> Served | None:
    """The study that a request of this key made, where it holds all that is asked for now.

    Features whose firings it keeps are made part of it.
    """
    for folder in sorted(studies.glob("*/")):
        if folder.name.startswith(".") or not (folder / FILE_NAME).exists():
            continue
        if key in read_run_log(folder).requests:
            before = Study(folder)
            wanted = _wanted(before, config)
            study = before
            if not np.isin(wanted, before.features).all():
                if not np.isin(wanted, np.concatenate([before.features, before.kept])).all():
                    return None
                study = bring_in(before, wanted, progress)
            added = np.setdiff1d(study.features, before.features).astype(np.int32)
            return Served(study, added) if _serves(study, config) else None
    return None


def _serves(study: Study, config: ExtractionConfig) -> bool:
    wanted = _wanted(study, config)
    if not len(wanted) or not np.isin(wanted, study.features).all():
        return False
    files = [LOGITS_FILE] if config.logits else []
    files += [NEIGHBOURS_FILE] if config.neighbours else []
    return all(
        (entry.n_examples or 0) >= config.n_examples and all(found.has(name) for name in files)
        for entry, found in zip(study.info.passes, study.passes, strict=True)
    )


def _wanted(study: Study, config: ExtractionConfig) -> NDArray[np.int32]:
    if config.features is None:
        return np.arange(study.info.d_sae, dtype=np.int32)
    return np.asarray(config.features, dtype=np.int32)


def _model(given: str) -> list[Path] | None:
    demo = given.strip() == DEMO  # made by its first use: until then it is not there
    path = models_dir() / MODEL_NAME if demo else Path(given).expanduser()
    return [path] if os.path.exists(path) else None


def _sae(config: ExtractionConfig) -> list[Path] | None:
    given = config.sae_path.strip()
    if given != DEMO and not os.path.isdir(Path(given).expanduser()):
        return None
    folder = locate(given, config.sae_id).folder
    # sparsify's trainer leaves its configuration beside the layer folders.
    return None if folder is None else [folder, folder.parent / "config.json"]


def _dataset(given: str) -> list[Path] | None:
    path = demo_corpus_path() if given.strip() == DEMO else Path(given).expanduser()
    return [path] if os.path.exists(path) else None


def _files(path: Path) -> list[tuple[str, int, int]]:
    """Path, size and time of a file, or of every file in a folder and below it."""
    return sorted(
        (str(each), found.st_size, found.st_mtime_ns)
        for each in _walk(path.resolve())
        if (found := each.stat())
    )


def _walk(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, _, names in os.walk(path):
        if not folder.endswith("__pycache__"):
            yield from (Path(folder) / name for name in names)
