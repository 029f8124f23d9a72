"""``make bench-scale``: Ray against one process, nodes that die, and summaries of large studies.

Every part can be measured alone: ``python -m benchmarks.scale ray nodes summary``. Summaries are
of made-up studies of 131,072 features with 32 firings a token; each size is a process of its own,
its memory the largest ``RssAnon`` of it and its children, sampled every 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_speed import measure_labels, measure_scores, score_rows
from benchmarks.report import Row, publish

SIZES = {"1m": 1_250_000, "5m": 5_000_000, "10m": 10_000_000, "20m": 20_000_000}
FEATURES, PER_TOKEN, SEQUENCE = 131_072, 32, 128
SHARD_TOKENS, MORE_SHARDS = 32_768, 20
RAY_TOKENS, RAY_SHARD = 40_000, 2_048
NODES, KILLED = 3, 5
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
        rows += _ray_rows()
    if "nodes" in given.parts:
        rows.append(_nodes_row())
        rows += _driver_rows()
    if "layers" in given.parts:
        rows.append(_layers_row())
    if "labels" in given.parts:
        rows += _label_rows()
    if "summary" in given.parts:
        rows += _summary_rows([name for name in given.sizes.split(",") if name in SIZES])
    return publish("scale", rows)


# ------------------------------------------------------------------ Ray


def _ray_rows() -> list[Row]:
    """The same documents by one process with two threads, and by two workers with one each."""
    found = {name: _in_process(name) for name in ("native", "ray")}
    tokens = int(found["ray"]["tokens"])
    return [
        Row(
            "ray_efficiency_2_workers",
            found["ray"]["rate"] / found["native"]["rate"],
            0.9,
            ">=",
            n_tokens=tokens,
            note="throughput once both workers are there",
        ),
        Row("native_tokens_per_s_2_threads", found["native"]["rate"], n_tokens=tokens),
        Row("ray_tokens_per_s_2_workers", found["ray"]["rate"], n_tokens=tokens),
        Row("ray_start_s", found["ray"]["start"], note="until the second shard is back"),
    ]


def _measure_engine(engine: str) -> dict[str, float]:
    import torch

    from autointerp_core.extraction.run import extract
    from autointerp_core.progress import Progress
    from benchmarks.bench import request

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    torch.set_num_threads(2)
    seen: list[tuple[float, int]] = []

    def report(progress: Progress) -> None:
        if progress.stage == "extracting" and (not seen or progress.done > seen[-1][1]):
            seen.append((time.perf_counter(), progress.done))

    more = {"workers": 2} if engine == "ray" else {}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        asked = request(RAY_TOKENS, engine=engine, shard_tokens=RAY_SHARD, **more)
        study = extract(asked, Path(folder), report).study
        tokens = study.info.n_tokens
    # From the second shard on: by then both workers are at it.
    begun = next(entry for entry in seen if entry[1] >= 2 * RAY_SHARD * 0.9)
    rate = (seen[-1][1] - begun[1]) / (seen[-1][0] - begun[0])
    return {"rate": rate, "tokens": tokens, "start": begun[0] - start}


def _nodes_row() -> Row:
    return Row(
        "ray_runs_equal_with_a_node_killed",
        _in_process("nodes")["equal"],
        float(KILLED),
        ">=",
        repeats=KILLED,
        note=f"{NODES} nodes of one CPU; every data file as the native engine's",
    )


def _measure_nodes() -> dict[str, float]:
    import torch
    from ray.cluster_utils import Cluster

    from autointerp_core.extraction.ray_engine.cluster import import_ray
    from autointerp_core.extraction.run import extract
    from autointerp_core.progress import Progress
    from tests.core.extraction_fixtures import data_files, make_tiny

    ray = import_ray()
    torch.set_num_threads(1)
    root = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    draws, equal = random.Random(0), 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        tiny = make_tiny(folder / "tiny", 400)
        native = data_files(extract(tiny.request(), folder / "native").study.folder)
        for attempt in range(KILLED):
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
            others = [cluster.add_node(num_cpus=1) for _ in range(NODES - 1)]
            cluster.wait_for_nodes()
            ray.init(address=cluster.address, log_to_driver=False)
            victim, at = draws.choice(others), draws.uniform(0.1, 0.8)
            killed = threading.Event()

            def kill(
                progress: Progress,
                at: float = at,
                victim: Any = victim,
                cluster: Any = cluster,
                killed: threading.Event = killed,
            ) -> None:
                due = progress.total and progress.done > at * progress.total
                if progress.stage == "extracting" and due and not killed.is_set():
                    killed.set()
                    cluster.remove_node(victim, allow_graceful=False)

            request = tiny.request(engine="ray", workers=NODES)
            ours = extract(request, folder / f"ray-{attempt}", kill).study.folder
            same = killed.is_set() and data_files(ours) == native
            print(f"  node killed at {at:.0%}: equal {same}", file=sys.stderr, flush=True)
            equal += same
            ray.shutdown()
            cluster.shutdown()
    return {"equal": equal}


def _driver_rows() -> list[Row]:
    found = _in_process("driver")
    return [
        Row(
            "ray_driver_killed_shards_kept",
            found["kept"] / found["written"],
            1.0,
            ">=",
            note=f"{found['written']:.0f} of {found['shards']:.0f} were written at kill -9",
        ),
        Row("ray_driver_killed_equal", found["equal"], 1.0, ">=", note="as the native engine's"),
    ]


def _measure_driver() -> dict[str, float]:
    """``kill -9`` of the driver once some shards are written, and the same request again."""
    from autointerp_core.extraction.run import extract
    from tests.core.extraction_fixtures import data_files, make_tiny

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        tiny = make_tiny(folder / "tiny", 1_600)
        native = data_files(extract(tiny.request(), folder / "native").study.folder)
        command = [sys.executable, "-m", "benchmarks.scale", "--one", "tiny", "--folder", made]
        driver = subprocess.Popen(command, start_new_session=True)
        while not (done := _shards(folder / "ray")) or len(done) < 4:
            if driver.poll() is not None:
                raise SystemExit("the driver ended before it could be killed")
            time.sleep(0.01)
        driver.kill()
        driver.wait()
        before = _shards(folder / "ray")
        again = extract(tiny.request(engine="ray", workers=2, ray_address="local"), folder / "ray")
        after = _shards(folder / "ray")
        return {
            "written": len(before),
            "shards": len(after),
            "kept": sum(after.get(path) == written for path, written in before.items()),
            "equal": float(data_files(again.study.folder) == native),
        }


def _shards(folder: Path) -> dict[Path, int]:
    """Shards on disk, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("shards/0*")}


def _run_tiny(folder: Path) -> dict[str, float]:
    """The driver that is killed."""
    from autointerp_core.extraction.run import extract
    from tests.core.extraction_fixtures import Tiny

    root = folder / "tiny"
    tiny = Tiny(root / "model", root / "saelens", root / "sparsify", root / "data.jsonl")
    config = tiny.request(engine="ray", workers=2, ray_address="local")
    extract(config, folder / "ray")
    return {}


# ------------------------------------------------------------------ several SAEs, labels


def _layers_row() -> Row:
    found = _in_process("layers")
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
    one, two = _in_process("labels", "--tokens", "1"), _in_process("labels", "--tokens", "2")
    return [
        Row(
            "search_labels_per_minute_per_core",
            one["a_minute"],
            6_300,
            ">=",
            note="2,100 a minute before",
        ),
        Row("search_labels_per_minute_2_processes", two["a_minute"], note="start-up included"),
        *score_rows(_in_process),
    ]


# ------------------------------------------------------------------ summaries


def _summary_rows(sizes: list[str]) -> list[Row]:
    rows, found = [], {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("AUTOINTERP_BENCH_FOLDER")) as made:
        for name in sizes:
            folder = Path(made) / name
            found[name] = _summarised(folder, SIZES[name], SHARD_TOKENS)
            rows += [
                Row(f"summary_us_per_firing_{name}", found[name]["us"], n_tokens=SIZES[name]),
                Row(f"summary_seconds_{name}", found[name]["seconds"], n_tokens=SIZES[name]),
                Row(f"summary_peak_mb_{name}", found[name]["peak_mb"], n_tokens=SIZES[name]),
            ]
        first, last = sizes[0], sizes[-1]
        rows += [
            Row(
                f"summary_time_growth_{first}_to_{last}",
                found[last]["us"] / found[first]["us"] - 1,
                0.10,
                note="time a firing",
            ),
            Row(
                f"summary_memory_growth_{first}_to_{last}",
                found[last]["peak_mb"] / found[first]["peak_mb"] - 1,
                0.05,
            ),
        ]
        many = _summarised(Path(made) / "many", SIZES[first], SHARD_TOKENS // MORE_SHARDS)
        rows.append(
            Row(
                "summary_time_growth_20_times_the_shards",
                many["us"] / found[first]["us"] - 1,
                0.10,
                n_tokens=SIZES[first],
                note="time a firing",
            )
        )
    return rows


def _summarised(folder: Path, n_tokens: int, shard_tokens: int) -> dict[str, float]:
    write_large(folder, n_tokens, shard_tokens)
    found = _in_process("summary", "--folder", str(folder), "--tokens", str(n_tokens))
    subprocess.run(["rm", "-r", str(folder)], check=True)
    return found


def write_large(folder: Path, n_tokens: int, shard_tokens: int) -> None:
    """Tokens and shards of a study in which every token fires 32 of 131,072 features."""
    from autointerp_core.store.feature_shards import ShardFirings, write_shard

    draws = np.random.default_rng(0)
    (folder / "tokens").mkdir(parents=True)
    bounds = np.append(np.arange(0, n_tokens, SEQUENCE), n_tokens)
    for name, values, kind in (
        ("ids", draws.integers(0, 26, n_tokens), "<u4"),
        ("ends", np.arange(1, n_tokens + 1), "<i8"),
        ("flags", np.zeros(n_tokens), "u1"),
        ("counted", np.ones(n_tokens), "u1"),
        ("sequences", bounds, "<i8"),
        ("owners", np.arange(len(bounds) - 1), "<i8"),
        ("starts", bounds[:-1], "<i8"),
        ("documents", bounds, "<i8"),
        ("text", np.full(n_tokens, ord("a")), "u1"),
    ):
        values.astype(kind).tofile(folder / "tokens" / f"{name}.bin")
    (folder / "tokens" / "vocab.json").write_text(json.dumps([chr(97 + i) for i in range(26)]))
    (folder / "pass" / "shards").mkdir(parents=True)
    np.save(folder / "pass" / "features.npy", np.arange(FEATURES, dtype=np.int32))
    for index, first in enumerate(range(0, n_tokens, shard_tokens)):
        size = min(shard_tokens, n_tokens - first)
        # Some features far more often than others, as they do.
        row = (FEATURES * draws.random((size, PER_TOKEN), dtype=np.float32) ** 2).astype(np.int64)
        row = np.minimum(row, FEATURES - 1)
        key = np.unique(row * size + np.arange(size)[:, None])
        counts = np.bincount(key // size, minlength=FEATURES)
        write_shard(
            folder / "pass" / "shards" / f"{index:06d}.safetensors",
            ShardFirings(
                np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
                (key % size).astype(np.uint32),
                draws.random(len(key), dtype=np.float32) + 0.1,
                np.ones(size, dtype=np.float32),
                first,
            ),
        )


def _measure_summary(folder: Path, n_tokens: int) -> dict[str, float]:
    from autointerp_core.extraction.summary import summarise
    from autointerp_core.progress import silent
    from autointerp_core.store.study import Pass, TokenStore

    found = Pass(folder / "pass")
    start = time.perf_counter()
    summarise(TokenStore(folder / "tokens"), found, n_tokens, 20, silent)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "us": seconds * 1e6 / float(found.counts().sum())}


# ------------------------------------------------------------------ processes


_ONE: dict[str, Any] = {
    "native": lambda _: _measure_engine("native"),
    "ray": lambda _: _measure_engine("ray"),
    "nodes": lambda _: _measure_nodes(),
    "driver": lambda _: _measure_driver(),
    "tiny": lambda given: _run_tiny(Path(given.folder)),
    "layers": lambda _: _measure_layers(),
    "labels": lambda given: measure_labels(given.tokens),
    "scores": lambda given: measure_scores(given.tokens, given.embedder),
    "summary": lambda given: _measure_summary(Path(given.folder), given.tokens),
}


def _in_process(name: str, *more: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scale", "--one", name, *more]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True)
        peak = 0
        watched = threading.Thread(target=process.communicate)
        watched.start()
        while watched.is_alive():
            peak = max(peak, sum(map(_anonymous, _family(process.pid))))
            watched.join(0.05)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed; run it by hand to see why")
        output.seek(0)
        result: dict[str, float] = json.loads(output.read().splitlines()[-1])
    result["peak_mb"] = peak / 1024
    print(f"  {name} {' '.join(more)}: {result}", file=sys.stderr, flush=True)
    return result


def _family(pid: int) -> Iterator[int]:
    """A process and those below it."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _anonymous(pid: int) -> int:
    """Kilobytes that a process has for itself."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    sys.exit(main())
