"""The real model, hooks inside attention: every number of 100 features against brute force.

As in ``test_oracle``: the whole Hugging Face model, untruncated, one unpadded sequence at a
time, with hooks set by hand; SAELens' own encode; plain loops. The SAEs are random top-k ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.run import extract
from autointerp_core.sources.dataset import open_dataset
from autointerp_core.store.study import Study
from benchmarks.oracle import (
    Truth,
    collect,
    compare,
    sae_lens_encode,
)
from tests.core.tiny import tiny_topk_saelens

N_DOCUMENTS, N_FEATURES, MAX_TOKENS = 300, 100, 40_000
CONTEXT, LAYER, D_SAE, K = 64, 4, 256, 12
# Where SmolLM2 (a Llama) has them, by its published code.
PLACES = {
    "hook_resid_mid": ("post_attention_layernorm", "input"),
    "attn.hook_z": ("self_attn.o_proj", "input"),
}


def _texts() -> list[str]:
    """Fixed documents: one-word ones among pieces of the corpus."""
    texts = [str(text) for text in open_dataset("demo", "text", None).iterate()][:N_DOCUMENTS]
    cut = [text[: 60 + 17 * (i % 13)] for i, text in enumerate(texts)]
    for i in range(0, N_DOCUMENTS, 25):
        cut[i] = cut[i].split()[0]
    return cut


def _values(
    model: Any, tokenizer: Any, texts: Iterable[str]
) -> Iterable[tuple[int, list[int], list[str], dict[str, torch.Tensor]]]:
    """(document, ids, token texts, vectors by case) of each sequence."""
    kept: dict[str, torch.Tensor] = {}
    block = model.model.layers[LAYER]
    handles = []
    for case, (path, side) in PLACES.items():
        module = block.get_submodule(path)

        def on_output(_m: Any, _a: Any, output: torch.Tensor, case: str = case) -> None:
            kept[case] = output[0].clone()

        def on_input(_m: Any, args: Any, case: str = case) -> None:
            kept[case] = args[0][0].clone()

        handles.append(
            module.register_forward_hook(on_output)
            if side == "output"
            else module.register_forward_pre_hook(on_input)
        )
    for document, text in enumerate(texts):
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        ends = [end for _, end in offsets]
        pieces = [text[(max(ends[:i]) if i else 0) : max(ends[: i + 1])] for i in range(len(ids))]
        for start in range(0, max(len(ids), 1), CONTEXT):
            part = ids[start : start + CONTEXT]
            if part:
                with torch.inference_mode():
                    model(torch.tensor([part]))
            yield document, part, pieces[start : start + CONTEXT], dict(kept) if part else {}
    for handle in handles:
        handle.remove()


@pytest.fixture(scope="module")
def results(
    demo_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Study, Truth]]:
    """Study and truth by case, from one brute-force pass over the model."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    root = tmp_path_factory.mktemp("oracle")
    texts = _texts()
    dataset = root / "documents.jsonl"
    dataset.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    studies: dict[str, Study] = {}
    encoders = {}
    generator = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOINTERP_HOME", str(root / "home"))
        for case in PLACES:
            folder = root / case
            name = f"blocks.{LAYER}.{case}"
            tiny_topk_saelens(folder, d_in=576, d_sae=D_SAE, k=K, hook=name)
            encode = sae_lens_encode(str(folder))
            config = ExtractionConfig(
                model_path=str(demo_model),
                sae_path=str(folder),
                dataset_path=str(dataset),
                context_size=CONTEXT,
                prepend_bos=False,
                device="cpu",
                logits=False,
            )
            studies[case] = extract(config, root / "studies").study
            live = studies[case].table.query("fired > 0")["feature"].to_numpy()
            drawn = generator.choice(live, N_FEATURES, replace=False)
            encoders[case] = (case, encode, sorted(map(int, drawn)))
    model = AutoModelForCausalLM.from_pretrained(demo_model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(demo_model)
    special = set(studies["attn.hook_z"].info.tokenisation.special_ids)
    truths = collect(_values(model, tokenizer, texts), encoders, special)
    return {case: (studies[case], truths[case]) for case in PLACES}


@pytest.mark.slow
@pytest.mark.parametrize("case", PLACES)
def test_every_number_equals_brute_force(
    results: dict[str, tuple[Study, Truth]], case: str
) -> None:
    study, truth = results[case]
    assert study.info.n_tokens <= MAX_TOKENS
    report = compare(study, truth)
    assert report.errors == []
    assert report.features == N_FEATURES
    assert report.examples > 1_000
    print(f"{case}: {study.info.hook}: {report}")
