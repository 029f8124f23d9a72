"""delphi's results folder: cached activations, explanations and judgements.

``latents/{hook}/{start}_{end}.safetensors`` as ``delphi/latents/cache.py`` writes and
``loader.py`` reads it (EleutherAI/delphi, eai-delphi 0.1.3): locations [n, 3] of row, position and
latent (relative to ``start``), activations in half precision, and the tokens. ``explanations/`` has
a JSON string a latent, ``scores/{scorer}/`` what a judge said of each window.

delphi has rows of one length. The study's tokens stand in them end to end, so the place of token
``t`` is row ``t // 256``, position ``t % 256``; the last row is filled up with the first special
token. Activations at positions that the study does not count are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors.numpy import save

from autointerp_core.exchange.delphi_scores import judged_windows
from autointerp_core.exchange.format import Batch, Format, Plan
from autointerp_core.exchange.subject import Subject
from autointerp_core.export.history_file import origin
from autointerp_core.labels.scoring.scorers import SCORERS
from autointerp_core.store.files import write_bytes

ROW = 256
LATENTS_A_FILE = 512
_SMALL = 1 << 16


def latent_name(hook: str, feature: int) -> str:
    """What delphi calls a latent, and its files."""
    return f"{hook}_latent{feature}"


def _plan(subject: Subject) -> Plan:
    hook = subject.info.hook
    first = subject.features[0] // LATENTS_A_FILE
    last = subject.features[-1] // LATENTS_A_FILE
    batches = []
    # Every range between the first and the last is there, as its loader finds files by their edges.
    for number in range(first, last + 1):
        low = number * LATENTS_A_FILE
        high = min(low + LATENTS_A_FILE, subject.info.d_sae)
        inside = tuple(f for f in subject.features if low <= f < high)
        batches.append(Batch(f"{low}_{high - 1}", inside, (_cache(hook, low, high),)))
    return Plan(
        tuple(batches),
        (f"latents/{hook}/config.json",),
        (
            f"latents/{hook}/: {len(batches)} files of {LATENTS_A_FILE} latents, and config.json",
            f"explanations/{hook}_latentN.txt: a file a labelled feature",
            f"scores/SCORER/{hook}_latentN.txt: where the judged windows were kept",
        ),
        ("explanations", *(f"scores/{name}" for name in SCORERS)),
    )


def _cache(hook: str, low: int, high: int) -> str:
    return f"latents/{hook}/{low}_{high - 1}.safetensors"


def _write(subject: Subject, batch: Batch, folder: Path) -> list[str]:
    hook = subject.info.hook
    more: list[str] = []
    for feature, labelled in subject.labels(batch.features).items():
        state = labelled.state
        if state.label is None:
            continue
        name = f"{latent_name(hook, feature)}.txt"
        contents: dict[str, Any] = {f"explanations/{name}": state.label}
        for scorer, windows in judged_windows(subject.study, feature, state).items():
            contents[f"scores/{scorer}/{name}"] = windows
        for path, content in contents.items():
            write_bytes(folder / path, orjson.dumps(content))
        more += contents
    low = int(batch.name.split("_")[0])
    write_bytes(folder / batch.files[0], save(_arrays(subject, batch.features, low)))
    return more


def _arrays(subject: Subject, features: tuple[int, ...], low: int) -> dict[str, NDArray[Any]]:
    study = subject.study
    places, values = [], []
    for feature in features:
        _, token, activation = study.firings(feature)
        counted = study.tokens.counted[token] > 0
        token, activation = token[counted], activation[counted]
        latent = np.full(len(token), feature - low, dtype=np.int64)
        places.append(np.stack([token // ROW, token % ROW, latent], axis=1))
        values.append(activation)
    locations = np.concatenate(places) if places else np.zeros((0, 3), dtype=np.int64)
    small = not len(locations) or int(locations.max()) < _SMALL
    activations = np.concatenate(values) if values else np.zeros(0, dtype=np.float32)
    return {
        "locations": locations.astype(np.uint16 if small else np.uint32),
        "activations": _half(activations),
        "tokens": _rows(subject),
    }


def _half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """In half precision, as delphi has them; what is too large becomes its largest number."""
    largest = float(np.finfo(np.float16).max)
    return np.clip(values, -largest, largest).astype(np.float16)


def _rows(subject: Subject) -> NDArray[Any]:
    ids = np.asarray(subject.study.tokens.ids)
    special = subject.info.tokenisation.special_ids
    rows = -(-len(ids) // ROW)
    kind = np.uint16 if not len(ids) or int(ids.max()) < _SMALL else np.uint32
    out = np.full(rows * ROW, special[0] if special else 0, dtype=kind)
    out[: len(ids)] = ids
    return out.reshape(rows, ROW)


def _close(subject: Subject, plan: Plan, folder: Path) -> None:
    info = subject.info
    config = {
        "dataset_repo": info.dataset.path or info.dataset_name,
        "dataset_split": "train",
        "dataset_name": "",
        "dataset_column": info.column,
        "dataset_row": info.column,
        "batch_size": 32,
        "cache_ctx_len": ROW,
        "ctx_len": ROW,
        "n_tokens": info.n_tokens,
        "n_splits": len(plan.batches),
        "model_name": info.model_name,
        "autointerp": origin(info),
    }
    write_bytes(folder / plan.closing[0], orjson.dumps(config, option=orjson.OPT_INDENT_2))


FORMAT = Format(
    name="delphi",
    title="delphi",
    about="its cache of activations with our labels, to score or explain with delphi",
    plan=_plan,
    write=_write,
    close=_close,
)
