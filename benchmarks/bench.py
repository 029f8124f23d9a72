"""``make bench``: extraction against its limit, against itself with few features, and
against sae-dashboard, on the demo model, SAE and corpus.

    (a) limit   bare truncated forward + ``sae.encode``: same sequences, order and batches
    (b) all     our extraction of all features: tokenising, firings, masks, health check,
                statistics, examples, and the examples file
    (c) few     the same for 20 features
    (d) vis     sae-dashboard's ``SaeVisRunner``
    (e) wide    (b) with an SAE of 131,072 latents, against (a) with it

Every repeat is a process of its own, so nothing is warm; (a), (b) and (c) take turns, so a
machine that slows down slows all of them. Loading model and SAE is left out of all times.
Memory is the largest ``RssAnon`` of the process, sampled every 50 ms.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.report import Row, publish
from benchmarks.selected_columns import selected_columns
from benchmarks.stages import Stages
from benchmarks.wide import measure_wide, wide_rows, wide_sae

SMALL, LARGE = 50_000, 200_000
VIS_TOKENS, VIS_FEATURES, VIS_CAP = 25_000, 256, 300.0
REPEATS = 3
FEW = 20
WIDE_ROWS = 256


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--one", choices=("limit", "all", "few", "vis", "wide"), help=argparse.SUPPRESS
    )
    parser.add_argument("--tokens", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--features", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(_MEASURE[given.one](given.tokens, given.features)))
        return 0
    return publish("bench", list(_rows(given.repeats)))


def _rows(repeats: int) -> list[Row]:
    rows: list[Row] = []
    peaks: dict[int, float] = {}
    for n_tokens in (SMALL, LARGE):
        found: dict[str, list[dict[str, float]]] = {"limit": [], "all": [], "few": []}
        for _ in range(repeats):
            for name, results in found.items():
                results.append(in_process(name, n_tokens))
        seconds = {name: median(r["seconds"] for r in found[name]) for name in found}
        exact = int(found["all"][0]["tokens"])
        peaks[n_tokens] = median(r["peak_mb"] for r in found["all"])
        rows += [
            Row(
                "ratio_all_vs_limit",
                seconds["all"] / seconds["limit"],
                1.05 if n_tokens == LARGE else 1.15,
                n_tokens=exact,
                repeats=repeats,
            ),
            Row(
                "ratio_all_vs_20_features",
                seconds["all"] / seconds["few"],
                1.10,
                n_tokens=exact,
                repeats=repeats,
            ),
            *(
                Row(f"{name}_tokens_per_s", exact / seconds[name], n_tokens=exact, repeats=repeats)
                for name in seconds
            ),
            Row("logits_seconds", median(r["logits"] for r in found["all"]), n_tokens=exact),
            Row(
                "neighbours_seconds", median(r["neighbours"] for r in found["all"]), n_tokens=exact
            ),
            Row("peak_mb", peaks[n_tokens], n_tokens=exact, repeats=repeats),
        ]
    rows.append(
        Row("memory_growth_n_to_4n", peaks[LARGE] / peaks[SMALL] - 1, 0.05, repeats=repeats)
    )
    rows.append(selected_columns(repeats))
    rows += wide_rows(in_process)
    ours = in_process("all", VIS_TOKENS)
    some = in_process("vis", VIS_TOKENS, VIS_FEATURES)
    whole = in_process("vis", VIS_TOKENS)
    note = (
        f"extrapolated from {int(whole['features'])} features"
        if whole["features"] < whole["wanted"]
        else ""
    )
    exact = int(ours["tokens"])
    vis_all = whole["seconds"] * whole["wanted"] / whole["features"]
    rows += [
        Row("saedashboard_256_features_s", some["seconds"], n_tokens=exact),
        Row("saedashboard_all_features_s", vis_all, n_tokens=exact, note=note),
        Row("ours_all_features_s", ours["seconds"], n_tokens=exact),
        Row(
            "ratio_saedashboard_vs_ours",
            vis_all / ours["seconds"],
            5.0,
            ">=",
            n_tokens=exact,
            note=note,
        ),
    ]
    return rows


def in_process(name: str, n_tokens: int, features: int = 0) -> dict[str, float]:
    """One measurement in a fresh process, its memory watched from here."""
    command = [sys.executable, "-m", "benchmarks.bench", "--one", name, "--tokens", str(n_tokens)]
    command += ["--features", str(features)]
    peak = 0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            try:
                lines = status.read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                break
            peak = max(
                [peak, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))]
            )
            time.sleep(0.05)
        if process.wait():
            raise SystemExit(f"{' '.join(command)} failed; run it by hand to see why")
        output.seek(0)
        result: dict[str, float] = json.loads(output.read().splitlines()[-1])
    result["peak_mb"] = peak / 1024
    print(f"  {name} {n_tokens:,}: {result}", file=sys.stderr, flush=True)
    return result


def request(n_tokens: int, **changes: Any) -> Any:
    """The demo, cut to the documents that hold ``n_tokens`` tokens."""
    from autointerp_core.extraction.config import ExtractionConfig
    from autointerp_core.sources.dataset import open_dataset
    from autointerp_core.sources.model import inspect_model, load_tokenizer

    tokenizer = load_tokenizer(inspect_model("demo"))
    texts = list(open_dataset("demo", "text", None).iterate())
    lengths = np.cumsum([len(x) for x in tokenizer(texts, add_special_tokens=False)["input_ids"]])
    n_rows = min(int(np.searchsorted(lengths, n_tokens)) + 1, len(texts))
    given = {"model_path": "demo", "sae_path": "demo", "dataset_path": "demo", "n_rows": n_rows}
    return ExtractionConfig(**{**given, "logits": False, "neighbours": False, **changes})


def _measure_ours(n_tokens: int, few: bool) -> dict[str, float]:
    from autointerp_core.export.result_files import write_feature_examples
    from autointerp_core.extraction.resolve import resolve
    from autointerp_core.extraction.run import extract_resolved
    from autointerp_core.sources import model

    apart = Stages()
    apart.watch(model, "load_truncated", "loading")
    features = tuple(range(0, 2000, 2000 // FEW)) if few else None
    asked = request(n_tokens, features=features)
    resolved = resolve(asked)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        start = time.perf_counter()
        study = extract_resolved(resolved, root / "studies").study
        write_feature_examples(root / "feature_examples.jsonl", study, study.features.tolist())
        seconds = time.perf_counter() - start - apart.seconds["loading"]
        start = time.perf_counter()
        _logits(asked, study)
        logits = time.perf_counter() - start
        start = time.perf_counter()
        _neighbours(study)
        alike = time.perf_counter() - start
        return {
            "seconds": seconds,
            "tokens": study.info.n_tokens,
            "logits": logits,
            "neighbours": alike,
        }


def _logits(request: Any, study: Any) -> None:
    import torch

    from autointerp_core.extraction.logits import write_logits
    from autointerp_core.progress import silent
    from autointerp_core.sources.model import inspect_model, load_head
    from autointerp_core.sources.sae import load_sae

    device = torch.device("cpu")
    head = load_head(inspect_model("demo"), device)
    sae = load_sae("demo", None, device).sae
    path = study.folder / "logits.safetensors"
    write_logits(path, sae.W_dec, head, study.features, request.block_features, silent)


def _neighbours(study: Any) -> None:
    import torch

    from autointerp_core.extraction.neighbours import write_neighbours
    from autointerp_core.progress import silent
    from autointerp_core.sources.sae import load_sae

    decoder = load_sae("demo", None, torch.device("cpu")).sae.W_dec
    write_neighbours(study.passes[0].folder, decoder, study.features, silent)


def _measure_limit(n_tokens: int, wide: int) -> dict[str, float]:
    """Forward to the hook and ``encode``, nothing else, on the batches (b) uses."""
    import torch
    from sae_lens import SAE
    from transformers import AutoConfig, AutoModel

    from autointerp_core.extraction.firings import BATCH_TOKENS, Batching, plan_shards
    from autointerp_core.extraction.resolve import resolve
    from autointerp_core.sources.demo import demo_sae_path

    root = str(wide_sae()) if wide else demo_sae_path()
    plan = resolve(request(n_tokens, sae_path=root if wide else "demo"))
    config = AutoConfig.from_pretrained(plan.model.path)
    config.num_hidden_layers = plan.hook.blocks_needed
    model = AutoModel.from_pretrained(plan.model.path, config=config, dtype=torch.float32).eval()
    model.norm = torch.nn.Identity()
    folder = next(Path(root).rglob("cfg.json")).parent
    sae = SAE.load_from_disk(str(folder), device="cpu", dtype="float32")
    bos = [plan.tokenisation.bos_id] if plan.tokenisation.prepend_bos else []
    context = plan.tokenisation.context_size - len(bos)
    sequences = [
        bos + ids[start : start + context]
        for ids in plan.tokenizer(list(plan.rows.iterate()), add_special_tokens=False)["input_ids"]
        for start in range(0, max(len(ids), 1), context)
    ]
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in sequences])])
    batching = Batching(plan.config.batch_sequences, BATCH_TOKENS)
    forward = 0.0
    start = time.perf_counter()
    with torch.inference_mode():
        for shard in plan_shards(offsets, plan.config.shard_tokens):
            part = sequences[shard.first : shard.last]
            for batch in batching.batches(np.array([len(s) for s in part])):
                chosen = [torch.tensor(part[i]) for i in batch]
                padded = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True)
                begun = time.perf_counter()
                x = model(input_ids=padded, use_cache=False).last_hidden_state
                forward += time.perf_counter() - begun
                real = torch.arange(padded.shape[1]) < torch.tensor([[len(c)] for c in chosen])
                for piece in x[real].split(WIDE_ROWS) if wide else (x[real],):
                    sae.encode(piece)  # of a wide one never more than fits in memory
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "tokens": int(offsets[-1]), "forward": forward}


def _measure_vis(n_tokens: int, n_features: int) -> dict[str, float]:
    """``SaeVisRunner`` in the blocks of 256 it is used with, stopped after the cap."""
    from autointerp_core.extraction.resolve import resolve
    from autointerp_core.extraction.sae_dashboard.runner import Rectangle, load_bridge, run_sae_vis
    from autointerp_core.extraction.tokens import write_tokens
    from autointerp_core.progress import silent
    from autointerp_core.store.study import TokenStore

    plan = resolve(request(n_tokens))
    bridge = load_bridge(plan.model, plan.tokenizer, plan.dtype, plan.device)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "tokens"
        texts = plan.rows.iterate()
        write_tokens(store, texts, plan.rows.n_rows, plan.tokenizer, plan.tokenisation, silent)
        rectangle = Rectangle.of(TokenStore(store), plan.config.masks)
    wanted = n_features or plan.sae.config.d_sae
    done, start = 0, time.perf_counter()
    while done < wanted and time.perf_counter() - start < VIS_CAP:
        stop = min(done + VIS_FEATURES, wanted)
        run_sae_vis(
            bridge,
            plan.sae.sae,
            rectangle.tokens,
            plan.hook.name,
            range(done, stop),
            minibatch_size_features=plan.config.block_features,
            minibatch_size_tokens=plan.config.batch_sequences,
        )
        done = stop
    return {"seconds": time.perf_counter() - start, "features": done, "wanted": wanted}


_MEASURE: dict[str, Callable[[int, int], dict[str, float]]] = {
    "limit": _measure_limit,
    "all": lambda n, _: _measure_ours(n, few=False),
    "few": lambda n, _: _measure_ours(n, few=True),
    "vis": _measure_vis,
    "wide": lambda n, _: measure_wide(request(n, sae_path=str(wide_sae()))),
}


if __name__ == "__main__":
    sys.exit(main())
