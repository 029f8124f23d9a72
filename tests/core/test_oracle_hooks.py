"""The real model at other hooks than the residual stream: top examples against brute force.

A transcoder that reads the MLP's input and an SAE of the MLP's output, with random weights and
thresholds that let a few percent fire. The Hugging Face model runs one unpadded sequence at a
time, its modules' own inputs and outputs are read, and the publishers' classes encode.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.run import extract
from autointerp_core.sources.dataset import open_dataset
from benchmarks import published_saes as published
from benchmarks.oracle import Encode, collect, compare, values_at
from benchmarks.published_saes import Published, Wanted

N_DOCUMENTS, N_FEATURES, CONTEXT, LAYER = 300, 100, 128, 9
D_SAE = 512


def _texts() -> list[str]:
    texts = list(open_dataset("demo", "text", None).iterate())[:N_DOCUMENTS]
    return [text[: 100 + 29 * (i % 11)] for i, text in enumerate(texts)]


@pytest.mark.slow
def test_a_transcoder_and_an_mlp_out_sae_equal_brute_force(
    demo_model: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts = _texts()
    assert len(texts) == N_DOCUMENTS
    dataset = tmp_path / "documents.jsonl"
    dataset.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    model = AutoModelForCausalLM.from_pretrained(demo_model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(demo_model)
    # No block sees a later one: leaving them out changes nothing that is read, but the wait.
    del model.model.layers[LAYER + 1 :]
    block = model.model.layers[LAYER]
    places = {"in": (block.mlp, "input"), "out": (block.mlp, "output")}
    _, _, _, sample = next(iter(values_at(model, tokenizer, texts[5:6], places, CONTEXT)))

    def wanted(place: str, reads: str) -> Wanted:
        width = sample[place].shape[-1]
        scale = float(sample[place][1:].square().mean().sqrt())
        # Thresholds follow the scale: above most of what random directions give.
        return Wanted(LAYER, width, width, reads, d_sae=D_SAE, scale=scale)

    saes: dict[str, tuple[str, Published]] = {
        "transcoder": (
            "in",
            published.transcoder_set(
                tmp_path / "set", wanted("in", "mlp.hook_in"), jump=True, skip=True
            ),
        ),
        "mlp_out": (
            "out",
            published.saelens(
                tmp_path / "sae", replace(wanted("out", "hook_mlp_out"), k=16), "topk"
            ),
        ),
    }
    features = sorted(np.random.default_rng(0).choice(D_SAE, N_FEATURES, replace=False).tolist())
    encoders: dict[str, tuple[str, Encode, list[int]]] = {
        name: (place, made.encode, features) for name, (place, made) in saes.items()
    }
    stream = values_at(model, tokenizer, texts, places, CONTEXT)
    truths = collect(stream, encoders, special=set())
    for name, (_, made) in saes.items():
        config = ExtractionConfig(
            model_path=str(demo_model),
            sae_path=made.path,
            sae_id=made.sae_id,
            dataset_path=str(dataset),
            features=tuple(features),
            device="cpu",
            context_size=CONTEXT,
            prepend_bos=False,
        )
        study = extract(config, tmp_path / f"studies-{name}").study
        report = compare(study, truths[name])
        assert report.errors == []
        assert report.features == N_FEATURES
        assert report.firings > 5_000
        assert report.examples > 500
