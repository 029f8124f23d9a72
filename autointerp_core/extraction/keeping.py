"""How much of features that nobody asked for is worth keeping, and worth working out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from autointerp_core.extraction.pass_folder import OpenPass, shards_size
from autointerp_core.store.feature_shards import read_features
from autointerp_core.store.study_record import StudyRecord
from autointerp_core.store.tokenstore import IntArray

KEEP_SHARE = 0.1
"""Share of the free disk that ``keep="auto"`` may fill with features that nobody asked for."""
KEPT_PRODUCTS, KEPT_PRODUCTS_CUDA = 5e11, 5e14
"""Multiplications worth spending on logits, or neighbours, of features not asked for."""


def too_large(keeping: OpenPass, n_asked: int, sequences: IntArray) -> str:
    """Why the firings of all features of a pass would take too much disk; empty where not.

    Projected from the shards that are there.

    Args:
        sequences: first token of each of the study's, and the end of the last.
    """
    done = [s for s in keeping.shards if s.path(keeping.folder).exists()]
    n_done = sum(int(sequences[s.last] - sequences[s.first]) for s in done)
    written = shards_size(keeping.folder)
    projected = written * int(sequences[-1]) / max(n_done, 1)
    free = shutil.disk_usage(keeping.folder).free + written
    if projected <= free * KEEP_SHARE:
        return ""
    return (
        f"note: firings of all {len(keeping.features):,} features would take "
        f"{projected / 1e9:.2g} GB, more than a tenth of the {free / 1e9:.2g} GB free on this "
        f"disk: only the {n_asked:,} asked for are kept (--keep all keeps them all)"
    )


def lacking_folders(
    passes: Path, record: StudyRecord, file_name: str, products: float, *, cuda: bool
) -> Sequence[Path]:
    """Folders of passes that need a file of a line a feature.

    Kept features are among them where all of them cost little; then the passes taken from them
    need none of their own.

    Args:
        passes: the folder of all passes.
        products: multiplications that a line takes.
    """
    limit = KEPT_PRODUCTS_CUDA if cuda else KEPT_PRODUCTS
    found, there = [], set()
    for entry in record.kept or ():
        folder = passes / entry.name
        if (folder / file_name).exists():
            there.add(entry.name)
        elif len(read_features(folder)) * products <= limit:
            there.add(entry.name)
            found.append(folder)
    for made in record.passes:
        if made.shards_of not in there and not (passes / made.name / file_name).exists():
            found.append(passes / made.name)
    return found
