"""A small study in the documented layout, written without a model or an SAE.

Documents are cut into pieces by a toy tokeniser (words with their leading space, long
words in two pieces); a feature is a function from (pieces of a sequence) to activations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import regex
from safetensors.numpy import save_file

from autointerp_core.store.study import GROUPS, Study

Fire = Callable[[list[str]], Sequence[float]]

_PIECE = regex.compile(r" ?[\p{L}\p{M}]+| ?\p{N}+|\n+| ?[^\s\p{L}\p{N}]|\s")
_HALF = 7


def toy_pieces(text: str) -> list[str]:
    """Pieces that join to ``text``; words longer than eight letters come in two."""
    out = []
    for match in _PIECE.finditer(text):
        piece = match.group()
        if len(piece) > _HALF + 2 and piece.strip().isalpha():
            out += [piece[:_HALF], piece[_HALF:]]
        else:
            out.append(piece)
    return out


def on_words(*words: str, strength: float = 4.0) -> Fire:
    """Fires on pieces whose stripped, lower-cased text is one of ``words``."""
    wanted = {word.lower() for word in words}
    return lambda pieces: [strength if p.strip().lower() in wanted else 0.0 for p in pieces]


def write_study(
    folder: Path,
    documents: Sequence[str],
    features: Mapping[int, Fire],
    *,
    context_size: int = 64,
    max_examples: int = 20,
    d_sae: int = 64,
    split: Callable[[str], list[str]] = toy_pieces,
) -> Study:
    """Write a study of ``documents`` and open it; one shard a study, one pass."""
    vocab: dict[str, int] = {}
    ids: list[int] = []
    ends: list[int] = []
    sequences, owners, starts, borders = [0], [], [], [0]
    pieces_of: list[list[str]] = []
    at = 0
    for document, text in enumerate(documents):
        pieces = split(text)
        assert "".join(pieces) == text
        for first in range(0, len(pieces), context_size):
            chunk = pieces[first : first + context_size]
            owners.append(document)
            starts.append(at)
            for piece in chunk:
                at += len(piece.encode())
                ids.append(vocab.setdefault(piece, len(vocab)))
                ends.append(at)
            sequences.append(len(ids))
            pieces_of.append(chunk)
        borders.append(at)

    tokens = folder / "tokens"
    tokens.mkdir(parents=True)
    total = len(ids)
    for name, values, dtype in (
        ("ids", ids, "<u4"),
        ("ends", ends, "<i8"),
        ("flags", [0] * total, "u1"),
        ("counted", [1] * total, "u1"),
        ("sequences", sequences, "<i8"),
        ("owners", owners, "<i8"),
        ("starts", starts, "<i8"),
        ("documents", borders, "<i8"),
    ):
        np.asarray(values, dtype=dtype).tofile(tokens / f"{name}.bin")
    (tokens / "text.bin").write_bytes("".join(documents).encode())
    (tokens / "vocab.json").write_text(json.dumps([*vocab]))

    wanted = sorted(features)
    firing: list[tuple[np.ndarray, np.ndarray]] = []
    for feature in wanted:
        dense = np.concatenate(
            [np.asarray(features[feature](p), np.float32) for p in pieces_of]
            or [np.zeros(0, np.float32)]
        )
        assert len(dense) == total
        where = np.flatnonzero(dense > 0)
        firing.append((where, dense[where].astype(np.float32)))
    _write_pass(folder / "passes" / "000", wanted, firing, np.asarray(sequences), max_examples)
    info = {
        "schema": 1,
        "id": folder.name,
        "model": {"name": "toy"},
        "sae": {"source": "toy", "fingerprint": "f" * 64, "d_sae": d_sae},
        "hook": "blocks.0.hook_resid_post",
        "dataset": {"name": "toy", "column": "text"},
        "counts": {
            "documents": len(documents),
            "sequences": len(owners),
            "tokens": total,
            "counted": total,
        },
        "tokenisation": {"context_size": context_size},
        "passes": [{"name": "000"}],
        "health": {"warnings": []},
    }
    (folder / "study.json").write_text(json.dumps(info))
    return Study(folder)


def _write_pass(
    folder: Path,
    features: list[int],
    firing: list[tuple[np.ndarray, np.ndarray]],
    sequences: np.ndarray,
    max_examples: int,
) -> None:
    (folder / "shards").mkdir(parents=True)
    np.save(folder / "features.npy", np.asarray(features, dtype=np.int32))
    indptr = np.concatenate([[0], np.cumsum([len(t) for t, _ in firing])]).astype(np.int64)
    token = np.concatenate([t for t, _ in firing]) if firing else np.zeros(0)
    value = np.concatenate([v for _, v in firing]) if firing else np.zeros(0)
    save_file(
        {
            "indptr": indptr,
            "token": token.astype(np.uint32),
            "activation": value.astype(np.float32),
            "norm": np.ones(len(token), np.float32),
        },
        folder / "shards" / "00000.safetensors",
        metadata={"first_token": "0"},
    )
    peaks: list[tuple[int, float, int]] = []
    bounds, rows = [0], []
    for feature, (where, strength) in zip(features, firing, strict=True):
        owner = np.searchsorted(sequences, where, "right") - 1
        best: dict[int, tuple[int, float]] = {}
        for t, v, s in zip(where.tolist(), strength.tolist(), owner.tolist(), strict=True):
            if s not in best or v > best[s][1]:
                best[s] = (t, v)
        ranked = sorted(best.values(), key=lambda item: (-item[1], item[0]))
        peaks += [(t, v, 0) for t, v in ranked[:max_examples]]
        for quarter in range(4):
            part = ranked[quarter * len(ranked) // 4 : (quarter + 1) * len(ranked) // 4]
            peaks += [(t, v, quarter + 1) for t, v in part[:5]]
        bounds.append(len(peaks))
        quantiles = np.quantile(strength, [0.25, 0.5, 0.75]) if len(where) else [0, 0, 0]
        rows.append(
            {
                "feature": feature,
                "fired": len(where),
                "density": len(where) / max(int(sequences[-1]), 1),
                "num_examples": len(best),
                "max": float(strength.max()) if len(where) else 0.0,
                "mean": float(strength.mean()) if len(where) else 0.0,
                "q25": float(quantiles[0]),
                "q50": float(quantiles[1]),
                "q75": float(quantiles[2]),
                "top_tokens": [],
            }
        )
    assert len(GROUPS) == 5
    save_file(
        {
            "indptr": np.asarray(bounds, np.int64),
            "token": np.asarray([p[0] for p in peaks], np.int64),
            "activation": np.asarray([p[1] for p in peaks], np.float32),
            "group": np.asarray([p[2] for p in peaks], np.uint8),
        },
        folder / "peaks.safetensors",
    )
    pq.write_table(pa.Table.from_pylist(rows), folder / "features.parquet")
