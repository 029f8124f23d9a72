"""The real model: every recorded number of 200 features against brute force.

The whole Hugging Face model, untruncated, one unpadded sequence at a time; the reference
libraries' own encode; plain loops. ``make oracle`` does the whole corpus.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.run import extract
from autointerp_core.sources.dataset import open_dataset
from autointerp_core.sources.demo import demo_sae_path
from autointerp_core.store.study import Study
from benchmarks.oracle import (
    Report,
    Truth,
    collect,
    compare,
    demo_sae_folder,
    hidden_states,
    sae_lens_encode,
    sparsify_encode,
)

N_DOCUMENTS, N_FEATURES, MAX_TOKENS = 300, 200, 40_000
CONTEXT = 256
SINK_LAYER = 12
"""Position 0 is an attention sink there, its norm 50 times the median (DESIGN §4)."""


def _sparsify_copy(folder: Path, layers: list[int]) -> Path:
    """The demo SAE's weights in EleutherAI's layout, as if trained at each of ``layers``."""
    from sae_lens import SAE

    sae = SAE.load_from_disk(demo_sae_folder(str(demo_sae_path())), dtype="float32")
    for layer in layers:
        target = folder / f"layers.{layer}"
        target.mkdir(parents=True)
        save_file(
            {
                "encoder.weight": sae.W_enc.detach().T.contiguous(),
                "encoder.bias": sae.b_enc.detach(),
                "W_dec": sae.W_dec.detach().contiguous(),
                "b_dec": sae.b_dec.detach(),
            },
            target / "sae.safetensors",
        )
        config = {
            "activation": "topk",
            "expansion_factor": 32,
            "normalize_decoder": True,
            "num_latents": sae.cfg.d_sae,
            "k": sae.cfg.k,
            "multi_topk": False,
            "skip_connection": False,
            "transcode": False,
            "d_in": sae.cfg.d_in,
        }
        (target / "cfg.json").write_text(json.dumps(config))
    return folder


def _texts() -> list[str]:
    """Fixed documents: one-word ones (a sink is all they hold) among pieces of the corpus."""
    texts = list(open_dataset("demo", "text", None).iterate())[:N_DOCUMENTS]
    cut = [text[: 120 + 37 * (i % 13)] for i, text in enumerate(texts)]
    for i in range(0, N_DOCUMENTS, 25):
        cut[i] = cut[i].split()[0]
    return cut


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
    hook = json.loads((Path(demo_sae_folder(str(demo_sae_path()))) / "cfg.json").read_text())
    layer = int(hook["metadata"]["hook_name"].split(".")[1])
    sparsify = _sparsify_copy(root / "sparsify", [layer, SINK_LAYER])
    cases = {
        "demo": ("demo", layer, sae_lens_encode(demo_sae_folder(str(demo_sae_path())))),
        "sparsify": (str(sparsify), layer, sparsify_encode(str(sparsify / f"layers.{layer}"))),
        "sink": (
            str(sparsify),
            SINK_LAYER,
            sparsify_encode(str(sparsify / f"layers.{SINK_LAYER}")),
        ),
    }
    studies: dict[str, Study] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOINTERP_HOME", str(root / "home"))
        for name, (sae_path, at, _) in cases.items():
            request = ExtractionConfig(
                model_path=str(demo_model),
                sae_path=sae_path,
                sae_id=f"blocks.{at}.hook_resid_post",
                dataset_path=str(dataset),
                context_size=CONTEXT,
                device="cpu",
                logits=False,
            )
            studies[name] = extract(request, root / "studies").study
    model = AutoModelForCausalLM.from_pretrained(demo_model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(demo_model)
    generator = np.random.default_rng(0)
    encoders = {}
    for name, (_, at, encode) in cases.items():
        live = studies[name].table.query("fired > 0")["feature"].to_numpy()
        drawn = generator.choice(live, N_FEATURES, replace=False)
        encoders[name] = (at, encode, sorted(map(int, drawn)))
    layers = sorted({at for _, at, _ in cases.values()})
    special = set(studies["demo"].info.tokenisation.special_ids)
    stream = hidden_states(model, tokenizer, texts, layers, CONTEXT)
    truths = collect(stream, encoders, special)
    return {name: (studies[name], truths[name]) for name in cases}


@pytest.mark.parametrize("case", ["demo", "sparsify", "sink"])
def test_every_number_equals_brute_force(
    results: dict[str, tuple[Study, Truth]], case: str
) -> None:
    study, truth = results[case]
    assert study.info.n_tokens <= MAX_TOKENS
    report: Report = compare(study, truth)
    assert report.errors == []
    assert report.features == N_FEATURES
    assert report.firings > 10_000
    print(f"{case}: {report}")


def test_sinks_are_left_out_where_there_are_sinks(results: dict[str, tuple[Study, Truth]]) -> None:
    sink, _ = results["sink"]
    firsts = sink.tokens.sequences[:-1][np.diff(sink.tokens.sequences) > 0]
    # Nearly every first position; one-word documents must not drag the median up.
    assert (sink.tokens.counted[firsts] == 0).mean() > 0.9
    demo, _ = results["demo"]
    assert demo.tokens.counted.mean() > 0.99
