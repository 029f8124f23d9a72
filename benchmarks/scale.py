"""``make bench-scale``: Ray against one process, nodes that die, and summaries of large studies.

Every part can be measured alone: ``python -m benchmarks.scale ray nodes summary``. Summaries are
of made-up studies of 131,072 features with 32 firings a token; each size is a process of its own,
its memory the largest ``RssAnon`` of it and its children, sampled every 50 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.apart import in_process, on_a_core
from benchmarks.label_speed import measure_labels, measure_scores, score_rows
from benchmarks.large_summaries import SIZES, measure_summary, summary_rows
from benchmarks.ray_runs import (
    driver_rows,
    measure_driver,
    measure_engine,
    measure_nodes,
    nodes_row,
    ray_rows,
    run_tiny,
)
from benchmarks.report import Row, publish

LAYERS, LAYER_TOKENS, LAYER_WIDTH = range(4, 10), 200_000, 1_024
PARTS = ("ray", "nodes", "layers", "labels", "summary")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"of {', '.join(PARTS)}")
    parser.add_argument("--sizes", default="5m,10m,20m", help=f"summaries of {SIZES}")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--tokens", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--embedder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(_ONE[given.one](given)))
        return 0
    rows: list[Row] = []
    if "ray" in given.parts:
        rows += ray_rows()
    if "nodes" in given.parts:
        rows.append(nodes_row())
        rows += driver_rows()
    if "layers" in given.parts:
        rows.append(_layers_row())
    if "labels" in given.parts:
        rows += _label_rows()
    if "summary" in given.parts:
        rows += summary_rows([name for name in given.sizes.split(",") if name in SIZES])
    return publish("scale", rows)


def _layers_row() -> Row:
    found = in_process("layers")
    return Row(
        "ratio_six_layers_vs_deepest",
        found["together"] / (found["deepest"] + found["encodes"]),
        1.3,
        n_tokens=int(found["tokens"]),
        note="over the deepest alone and the encodes of the others; health checks included",
    )


def _measure_layers() -> dict[str, float]:
    """Six random SAEs of the demo model's layers 4 to 9: together, and the deepest alone."""
    import torch

    from autointerp_core.extraction.several import extract_several
    from autointerp_core.sources.sae import load_sae
    from benchmarks.bench import request
    from tests.core.tiny import tiny_topk_saelens

    hooks = [f"blocks.{layer}.hook_resid_post" for layer in LAYERS]
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        for hook in hooks:
            tiny_topk_saelens(root / "saes" / hook, 576, LAYER_WIDTH, 32, hook)
        whole = request(LAYER_TOKENS, sae_path=str(root / "saes"))
        seconds = {}
        for name, chosen in (("deepest", hooks[-1:]), ("together", hooks)):
            requests = [replace(whole, sae_id=hook) for hook in chosen]
            start = time.perf_counter()
            done = extract_several(requests, root / name)
            seconds[name] = time.perf_counter() - start
        tokens = done[0].study.info.n_tokens
        sae = load_sae(str(root / "saes"), hooks[0]).sae
        x = torch.randn(4_096, 576)
        sae.encode(x)
        start = time.perf_counter()
        with torch.inference_mode():
            for _ in range(4):
                sae.encode(x)
        encode = (time.perf_counter() - start) * tokens / (4 * len(x))
    return {**seconds, "encodes": encode * (len(hooks) - 1), "tokens": tokens}


def _label_rows() -> list[Row]:
    one, two = on_a_core("labels", "--tokens", "1"), on_a_core("labels", "--tokens", "2")
    return [
        Row(
            "search_labels_per_minute_per_core",
            one["a_minute"],
            6_300,
            ">=",
            note="by the clock, one thread",
        ),
        Row("search_labels_per_minute_2_processes", two["a_minute"], note="start-up included"),
        *score_rows(on_a_core),
    ]


_ONE: dict[str, Any] = {
    "native": lambda _: measure_engine("native"),
    "ray": lambda _: measure_engine("ray"),
    "nodes": lambda _: measure_nodes(),
    "driver": lambda _: measure_driver(),
    "tiny": lambda given: run_tiny(Path(given.folder)),
    "layers": lambda _: _measure_layers(),
    "labels": lambda given: measure_labels(given.tokens),
    "scores": lambda given: measure_scores(given.tokens, given.embedder),
    "summary": lambda given: measure_summary(Path(given.folder), given.tokens),
}


if __name__ == "__main__":
    sys.exit(main())
