"""A made-up study on disk, in the layout :mod:`autointerp_core.store.study` reads.

For measuring and testing the app without a model: any number of features in seconds.
Every feature fires at ``n_examples`` peaks in different sequences and half as strongly on
the token after each; one in 97 never fires.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import save_file

from autointerp_core.store.feature_map import ALONE, FeatureMap, MapRecord, write_feature_map

_TEXT = (
    "market profit river station because quarterly century species Monday revenue temple the of "
    "island north judge appeal percent dollar album guitar orbit enzyme castle battle treaty harbor"
)
WORDS = _TEXT.split()
BOS = "<|endoftext|>"
N_LOGITS = 10
DEAD_EVERY = 97


@dataclass(frozen=True)
class _Corpus:
    """Token texts by id, and each sequence's token ids (BOS first)."""

    vocab: list[str]
    sequences: list[NDArray[np.uint32]]


def write_study(
    folder: Path,
    n_features: int,
    n_examples: int = 20,
    seed: int = 0,
    *,
    documents: Sequence[Sequence[str]] | None = None,
    fingerprint: str = "synthetic-sae",
    warnings: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write a study of ``n_features`` into ``folder`` and return ``folder``.

    ``documents`` gives the token texts of each document (at least two tokens each);
    without it, documents of random words are made.
    """
    generator = np.random.default_rng(seed)
    corpus = _corpus(documents, max(2 * n_examples, 64), generator)
    counts = _write_tokens(folder / "tokens", corpus)
    _write_pass(folder / "passes" / "000", corpus, n_features, n_examples, generator)
    info = {
        "schema": 1,
        "id": folder.name,
        "model": {"name": "synthetic/tiny-model", "fingerprint": "none"},
        "sae": {"source": "synthetic", "fingerprint": fingerprint, "d_sae": n_features},
        "hook": "blocks.9.hook_resid_post",
        "dataset": {"name": "made-up words", "column": "text", "rows": counts["documents"]},
        "counts": counts,
        "tokenisation": {"context_size": 128},
        "passes": [{"name": "000"}],
        "health": {"warnings": [{"code": code, "message": text} for code, text in warnings]},
    }
    (folder / "study.json").write_text(json.dumps(info), encoding="utf-8")
    return folder


def write_map(study: Path, n_features: int, seed: int = 0, per_cluster: int = 200) -> FeatureMap:
    """Give a made-up study a made-up map: clusters as round clouds, some features in none."""
    generator = np.random.default_rng(seed)
    count = max(n_features // per_cluster, 1)
    cluster = generator.integers(0, count, n_features).astype(np.int32)
    middle = generator.normal(scale=8, size=(count, 2))
    places = (middle[cluster] + generator.normal(scale=0.4, size=(n_features, 2))).astype(
        np.float32
    )
    cluster[generator.random(n_features) < 0.1] = ALONE
    record = MapRecord(
        neighbours=15, min_dist=0.1, seed=seed, least_cluster=10, sae="synthetic-sae", made_with="-"
    )
    made = FeatureMap(np.arange(n_features, dtype=np.int32), places, cluster, record)
    write_feature_map(study, made)
    return made


def _corpus(
    documents: Sequence[Sequence[str]] | None, count: int, generator: np.random.Generator
) -> _Corpus:
    vocab = [BOS]
    if documents is None:
        vocab += [f" {word}" for word in WORDS]
        rows = generator.integers(1, len(vocab), size=(count, 79), dtype=np.uint32)
        bos = np.zeros(1, dtype=np.uint32)
        return _Corpus(vocab, [np.concatenate([bos, row]) for row in rows])
    ids: dict[str, int] = {}
    sequences = []
    for document in documents:
        row = [0]
        for text in document:
            row.append(ids.setdefault(text, len(ids) + 1))
        sequences.append(np.asarray(row, dtype=np.uint32))
    return _Corpus(vocab + list(ids), sequences)


def _write_tokens(folder: Path, corpus: _Corpus) -> dict[str, int]:
    folder.mkdir(parents=True, exist_ok=True)
    raw = [b""] + [text.encode("utf-8") for text in corpus.vocab[1:]]
    size = np.asarray([len(text) for text in raw], dtype=np.int64)
    ids = np.concatenate(corpus.sequences)
    ends = np.cumsum(size[ids])
    lengths = np.asarray([len(row) for row in corpus.sequences])
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    special = ids == 0
    starts = np.where(bounds[:-1] > 0, ends[bounds[:-1] - 1], 0)
    arrays: dict[str, NDArray[Any]] = {
        "ids": ids.astype("<u4"),
        "ends": ends.astype("<i8"),
        "flags": special.astype(np.uint8),
        "counted": (~special).astype(np.uint8),
        "sequences": bounds.astype("<i8"),
        "owners": np.arange(len(lengths), dtype="<i8"),
        "starts": starts.astype("<i8"),
        "documents": np.concatenate([starts, ends[-1:]]).astype("<i8"),
    }
    for name, array in arrays.items():
        array.tofile(folder / f"{name}.bin")
    (folder / "text.bin").write_bytes(b"".join(raw[i] for i in ids))
    (folder / "vocab.json").write_text(json.dumps(corpus.vocab), encoding="utf-8")
    return {
        "documents": len(lengths),
        "sequences": len(lengths),
        "tokens": len(ids),
        "counted": int((~special).sum()),
    }


def _write_pass(
    folder: Path,
    corpus: _Corpus,
    n_features: int,
    n_examples: int,
    generator: np.random.Generator,
) -> None:
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    lengths = np.asarray([len(row) for row in corpus.sequences])
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    n_sequences = len(lengths)
    n = min(n_examples, n_sequences)
    alive = np.arange(n_features) % DEAD_EVERY != DEAD_EVERY - 1
    # Consecutive sequences from a random start are distinct, so one peak a sequence holds.
    start = generator.integers(0, n_sequences, size=n_features)
    sequence = (start[:, None] + np.arange(n)) % n_sequences
    room = np.maximum(lengths[sequence] - 2, 1)
    peak = first[sequence] + 1 + (generator.random((n_features, n)) * room).astype(np.int64)
    top = generator.gamma(2.0, 4.0, size=n_features).astype(np.float32) + 0.5
    value = top[:, None] * np.linspace(1.0, 0.05, n, dtype=np.float32)
    value = value.astype(np.float32)
    has_next = peak + 1 < first[sequence] + lengths[sequence]
    token = np.concatenate([peak, peak + 1], axis=1)
    activation = np.concatenate([value, value / 2], axis=1)
    keep = np.concatenate([np.ones_like(has_next), has_next], axis=1) & alive[:, None]
    order = np.argsort(token, axis=1)
    token, activation, keep = (np.take_along_axis(a, order, 1) for a in (token, activation, keep))
    _write_shard(folder, token, activation, keep)
    _write_peaks(folder, peak, value, alive)
    features = np.arange(n_features, dtype=np.int32)
    np.save(folder / "features.npy", features)
    ids = np.concatenate(corpus.sequences)
    texts = [corpus.vocab[i] for i in range(len(corpus.vocab))]
    fired = keep.sum(1)
    n_counted = int((ids != 0).sum())
    kept = np.where(keep, activation, np.nan)
    kept[~alive] = 0
    tokens = [
        [texts[i] for i in row] if living else []
        for row, living in zip(ids[peak[:, : min(5, n)]].tolist(), alive.tolist(), strict=True)
    ]
    quantiles = np.nanquantile(kept, [0.25, 0.5, 0.75], axis=1).astype(np.float32)
    table = pa.table(
        {
            "feature": features.astype(np.int64),
            "fired": fired,
            "density": fired / n_counted,
            "num_examples": np.where(alive, n, 0),
            "max": np.where(alive, top, 0).astype(np.float32),
            "mean": np.nanmean(kept, axis=1).astype(np.float32),
            "q25": quantiles[0],
            "q50": quantiles[1],
            "q75": quantiles[2],
            "top_tokens": pa.array(tokens, type=pa.list_(pa.string())),
        }
    )
    pq.write_table(table, folder / "features.parquet")
    _write_logits(folder, n_features, len(corpus.vocab), generator)


def _write_shard(
    folder: Path, token: NDArray[Any], activation: NDArray[Any], keep: NDArray[np.bool_]
) -> None:
    indptr = np.concatenate([[0], np.cumsum(keep.sum(1))]).astype(np.int64)
    save_file(
        {
            "indptr": indptr,
            "token": token[keep].astype(np.uint32),
            "activation": activation[keep].astype(np.float32),
            "norm": np.ones(int(keep.sum()), dtype=np.float32),
        },
        folder / "shards" / "00000.safetensors",
        metadata={"first_token": "0"},
    )


def _write_peaks(
    folder: Path, peak: NDArray[Any], value: NDArray[Any], alive: NDArray[np.bool_]
) -> None:
    """Every peak once as a top example; the first three of each quarter as its quantile."""
    n = peak.shape[1]
    quarters = [np.arange(n)[int(n * q / 4) : int(n * q / 4) + 3] for q in range(4)]
    column = np.concatenate([np.arange(n), *quarters])
    group = np.concatenate(
        [np.zeros(n)] + [np.full(len(part), i + 1) for i, part in enumerate(quarters)]
    )
    rows = peak[alive]
    save_file(
        {
            "indptr": np.concatenate([[0], np.cumsum(alive * len(column))]).astype(np.int64),
            "token": rows[:, column].astype(np.int64).ravel(),
            "activation": value[alive][:, column].astype(np.float32).ravel(),
            "group": np.tile(group.astype(np.uint8), len(rows)),
        },
        folder / "peaks.safetensors",
    )


def _write_logits(
    folder: Path, n_features: int, n_vocab: int, generator: np.random.Generator
) -> None:
    ids = generator.integers(0, n_vocab, size=(2, n_features, N_LOGITS), dtype=np.int32)
    values = -np.sort(-generator.gamma(2.0, 0.4, size=(2, n_features, N_LOGITS)), axis=2)
    save_file(
        {
            "top_ids": ids[0],
            "top_values": values[0].astype(np.float32),
            "bottom_ids": ids[1],
            "bottom_values": -values[1].astype(np.float32),
        },
        folder / "logits.safetensors",
    )
