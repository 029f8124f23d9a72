"""A tiny model, SAE and dataset, and a request that joins them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.store.study import Study
from tests.core.tiny import TEXTS, tiny_llama, tiny_sparsify, tiny_topk_saelens

HOOK = "blocks.2.hook_resid_post"
D_SAE = 64


@dataclass(frozen=True)
class Tiny:
    """Folders of one tiny setting."""

    model: Path
    saelens: Path
    sparsify: Path
    dataset: Path

    def request(self, **changes: Any) -> ExtractionConfig:
        base = ExtractionConfig(
            model_path=str(self.model),
            sae_path=str(self.saelens),
            sae_id=HOOK,
            dataset_path=str(self.dataset),
            device="cpu",
            context_size=24,
            prepend_bos=False,
            shard_tokens=200,
            batch_sequences=8,
        )
        return replace(base, **changes)


def tiny_texts(n: int = 60) -> list[str]:
    """Texts of many lengths: an empty one, one-word ones, repeats, and some cut in several."""
    texts = []
    for i in range(n):
        text = TEXTS[i % len(TEXTS)]
        texts.append({0: "", 1: text.split()[0], 2: text * 3}.get(i % 7, text[i % 5 :]))
    return texts


def make_tiny(root: Path, n_documents: int = 60) -> Tiny:
    tiny = Tiny(root / "model", root / "saelens", root / "sparsify", root / "data.jsonl")
    tiny_llama(tiny.model)
    tiny_topk_saelens(tiny.saelens, hook=HOOK)
    tiny_sparsify(tiny.sparsify, layer=2)
    lines = [json.dumps({"text": text}) for text in tiny_texts(n_documents)]
    tiny.dataset.write_text("\n".join(lines) + "\n")
    return tiny


def data_files(folder: Path) -> dict[str, bytes]:
    """Bytes of every file of a study but run.json, which holds times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def copy_study(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def assert_same(one: Study, other: Study) -> None:
    """Equal within DESIGN's tolerance; top-k latents that trade the last place are counted."""
    assert (one.tokens.ids == other.tokens.ids).all()
    assert (one.tokens.counted == other.tokens.counted).all()
    firings = trades = 0
    for feature in one.features.tolist():
        a, b = _dense(one, feature), _dense(other, feature)
        both = (a > 0) & (b > 0)
        firings += int(both.sum())
        trades += int(((a > 0) != (b > 0)).sum())
        scale = np.maximum(b, 0.01 * b.max())[both]
        assert (np.abs(a - b)[both] <= 2e-4 * scale).all()
        ours, theirs = one.examples(feature), other.examples(feature)
        assert len(ours) == len(theirs)
        for x, y in zip(ours, theirs, strict=True):
            # Peaks closer than rounding may change places, nothing else.
            limit = 2e-4 * max(y.activation, 0.01 * b.max())
            assert abs(x.activation - y.activation) <= limit
    assert trades <= 1e-5 * firings


def _dense(study: Study, feature: int) -> np.ndarray:
    _, token, value = study.firings(feature)
    out = np.zeros(study.tokens.n_tokens, dtype=np.float32)
    out[token] = value
    return out
