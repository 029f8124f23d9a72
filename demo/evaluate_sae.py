"""Measure the demo SAE on the bundled corpus, which it was not trained on.

    python demo/evaluate_sae.py

Writes `demo/sae/evaluation.json` and the generated part of `demo/sae/MODEL_CARD.md`: every figure
there comes from here. A plain computation, one passage at a time and without padding, so that it
also serves as a check of the extraction that the tool itself does.
"""

import argparse
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from sae_lens import SAE
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from autointerp_core.home import home
from autointerp_core.sources.demo import demo_corpus_path, demo_sae_path, prepare_demo_model

SHOWN_FEATURES, SHOWN_WINDOWS = 20, 5
BEFORE, AFTER = 10, 5  # tokens of a window on either side of its peak
CARD_PART = re.compile(r"(?<=<!-- evaluation -->\n).*?(?=<!-- /evaluation -->)", re.DOTALL)


def activations(
    model_path: Path, layer: int, sequences: list[list[int]], cache: Path | None
) -> list[np.ndarray]:
    """Residual stream after `layer`, float32 [tokens, d_model] a sequence, position 0 included."""
    if cache and cache.exists():
        flat = np.load(cache, mmap_mode="r")
    else:
        model = AutoModelForCausalLM.from_pretrained(
            model_path, num_hidden_layers=layer + 1
        ).model.eval()
        kept: list[torch.Tensor] = []
        model.layers[layer].register_forward_hook(
            lambda _module, _args, output: kept.append(output)
        )
        found = []
        with torch.inference_mode():
            for ids in sequences:
                model(torch.tensor([ids]), use_cache=False)
                found.append(kept.pop()[0].numpy())
        flat = np.concatenate(found)
        if cache:
            np.save(cache, flat)
    return np.split(flat, np.cumsum([len(ids) for ids in sequences])[:-1])


class Measure:
    """Sums over tokens, from which the figures follow; position 0 of a sequence is not counted."""

    def __init__(self, d_model: int, d_sae: int) -> None:
        self.tokens = 0
        self.squared_error = self.squared_norm = 0.0
        self.total = np.zeros(d_model)
        self.firings = np.zeros(d_sae, dtype=np.int64)

    def add(self, x: np.ndarray, reconstruction: np.ndarray, acts: np.ndarray) -> None:
        """x, reconstruction [tokens, d_model]; acts [tokens, d_sae]."""
        x = x.astype(np.float64)
        self.tokens += len(x)
        self.squared_error += float(((x - reconstruction) ** 2).sum())
        self.squared_norm += float((x**2).sum())
        self.total += x.sum(0)
        self.firings += (acts > 0).sum(0)

    @property
    def fvu(self) -> float:
        """Σ‖x − x̂‖² / Σ‖x − mean x‖²"""
        return self.squared_error / (self.squared_norm - float((self.total**2).sum()) / self.tokens)


def windows(
    acts: list[np.ndarray], sequences: list[list[int]], tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[float, str]]:
    """The peaks of one feature, highest first, one a passage: (activation, text, peak in brackets).

    acts: [tokens] a sequence, position 0 included and never a peak.
    """
    peaks = sorted(
        ((float(a[1:].max()), i, int(a[1:].argmax()) + 1) for i, a in enumerate(acts)), reverse=True
    )
    for value, sequence, at in peaks[:SHOWN_WINDOWS]:
        if value > 0:
            ids = sequences[sequence]
            before, peak, after = (
                ids[max(0, at - BEFORE) : at],
                ids[at : at + 1],
                ids[at + 1 : at + 1 + AFTER],
            )
            yield (
                value,
                f"{tokenizer.decode(before)}⟦{tokenizer.decode(peak)}⟧{tokenizer.decode(after)}",
            )


def evaluate(cache: Path | None) -> dict[str, Any]:
    folder = demo_sae_path()
    sae = SAE.load_from_disk(folder, dtype="float32")
    layer = int(sae.cfg.metadata.hook_name.split(".")[1])
    model_path = prepare_demo_model(home(), print)
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    rows = pq.read_table(demo_corpus_path()).to_pylist()
    sequences = tokenizer([row["text"] for row in rows], add_special_tokens=False).input_ids

    features = sorted(random.Random(0).sample(range(sae.cfg.d_sae), SHOWN_FEATURES))
    everything = Measure(sae.cfg.d_in, sae.cfg.d_sae)
    by_source: dict[str, Measure] = {}
    shown: list[np.ndarray] = []  # [tokens, SHOWN_FEATURES] a sequence
    for row, x in zip(rows, activations(model_path, layer, sequences, cache), strict=True):
        with torch.inference_mode():
            acts = sae.encode(torch.from_numpy(np.array(x)))
            reconstruction = sae.decode(acts).numpy()
        shown.append(acts[:, features].numpy())
        source = "Wikipedia" if "wikipedia" in row["source"] else row["title"]
        for measure in (
            everything,
            by_source.setdefault(source, Measure(sae.cfg.d_in, sae.cfg.d_sae)),
        ):
            measure.add(x[1:], reconstruction[1:], acts[1:].numpy())

    density = everything.firings / everything.tokens
    return {
        "hook_name": sae.cfg.metadata.hook_name,
        "latents": sae.cfg.d_sae,
        "passages": len(rows),
        "tokens": sum(map(len, sequences)),
        "counted_tokens": everything.tokens,
        "fvu": round(everything.fvu, 4),
        "fvu_by_source": {name: round(measure.fvu, 4) for name, measure in by_source.items()},
        "l0": round(float(density.sum()), 3),
        "dead_latents": int((density == 0).sum()),
        "dead_share": round(float((density == 0).mean()), 5),
        "dense_latents_over_10_percent": int((density > 0.1).sum()),
        "median_density": float(f"{np.median(density):.3g}"),
        "features": [
            {
                "feature": feature,
                "density": float(f"{density[feature]:.3g}"),
                "windows": [
                    {"activation": round(value, 2), "text": text}
                    for value, text in windows([a[:, column] for a in shown], sequences, tokenizer)
                ],
            }
            for column, feature in enumerate(features)
        ],
    }


def card_part(result: dict[str, Any]) -> str:
    sources = ", ".join(f"{name} {fvu:.3f}" for name, fvu in result["fvu_by_source"].items())
    lines = [
        "| figure | value |",
        "|---|---|",
        f"| held-out text | {result['passages']:,} passages, {result['tokens']:,} tokens |",
        f"| FVU = Σ‖x − x̂‖² / Σ‖x − mean x‖² | **{result['fvu']:.3f}** ({sources}) |",
        f"| L0 | {result['l0']:.2f} |",
        f"| dead latents (silent on all {result['counted_tokens']:,} counted tokens) | "
        f"**{result['dead_latents']} of {result['latents']:,}** ({result['dead_share']:.2%}) |",
        "| latents firing on more than 10 % of tokens | "
        f"{result['dense_latents_over_10_percent']} |",
        f"| median density | {result['median_density']:.2%} |",
        "",
        f"### {SHOWN_FEATURES} features, drawn at random with seed 0",
        "",
        "`random.Random(0).sample(range(latents), 20)`, none left out. The five highest peaks, one "
        "a passage; the peak is in ⟦ ⟧.",
    ]
    for shown in result["features"]:
        lines += ["", f"**{shown['feature']}** · density {shown['density']:.3%}", ""]
        lines += [
            f"- {w['activation']:.1f}: `` {' '.join(w['text'].split())} ``"
            for w in shown["windows"]
        ]
        lines += [] if shown["windows"] else ["- never fires on the corpus"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cache", type=Path, help=".npy file that keeps the model's activations for the next run"
    )
    torch.set_num_threads(1)  # passages are short: more threads spend their time waiting
    result = evaluate(parser.parse_args().cache)
    sae = demo_sae_path().parent
    (sae / "evaluation.json").write_text(
        json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf8"
    )
    card = sae / "MODEL_CARD.md"
    card.write_text(
        CARD_PART.sub(lambda _: card_part(result), card.read_text("utf8")), encoding="utf8"
    )
    print({name: value for name, value in result.items() if name != "features"})


if __name__ == "__main__":
    main()
