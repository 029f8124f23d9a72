"""Vectors of words kept on disk, so that the next job need not embed a corpus' words again.

``<home>/cache/embeddings/<embedder>/*.safetensors``: ``vectors`` f16[n, d], the words as JSON in
the metadata. Files are only ever added, each by one rename; a damaged one is left out. The folder
can be deleted at any time.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from autointerp_core.arrays import Float32Array
from autointerp_core.errors import AutointerpError
from autointerp_core.home import home
from autointerp_core.store.files import write_bytes

LONGEST = 32
"""Characters of a text that is kept: a word; windows and labels are too many."""
FEWEST = 100
"""New words that are worth a file."""
MOST = 200_000
"""Words kept: 150 MB of MiniLM's vectors."""


def kept_vectors(embedder: str) -> dict[str, Float32Array]:
    """Every word kept for an embedder, with its vector."""
    found: dict[str, Float32Array] = {}
    for path in sorted(_folder(embedder).glob("*.safetensors")):
        try:
            with safe_open(path, framework="np") as handle:
                words = json.loads(handle.metadata()["words"])
                vectors = handle.get_tensor("vectors").astype(np.float32)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            continue  # it is only a cache
        if len(words) == len(vectors):
            found.update(zip(words, vectors, strict=True))
    return found


def keep_vectors(embedder: str, texts: Sequence[str], vectors: Float32Array, had: int) -> None:
    """Keep the words among texts, where they are worth it; ``had``: words kept before."""
    rows = [i for i, text in enumerate(texts) if len(text) <= LONGEST]
    if len(rows) < FEWEST or had + len(rows) > MOST:
        return
    words = json.dumps([texts[i] for i in rows])
    data = save({"vectors": vectors[rows].astype(np.float16)}, metadata={"words": words})
    try:
        write_bytes(_folder(embedder) / f"{uuid.uuid4().hex}.safetensors", data)
    except AutointerpError:
        return  # a full or read-only disk costs time, no result


def _folder(embedder: str) -> Path:
    return home() / "cache" / "embeddings" / embedder
