"""Ray against one process, nodes that die, and a driver that is killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.apart import in_process
from benchmarks.report import Row

RAY_TOKENS, RAY_SHARD = 40_000, 2_048
NODES, KILLED = 3, 5


def ray_rows() -> list[Row]:
    """The same documents by one process with two threads, and by two workers with one each."""
    found = {name: in_process(name) for name in ("native", "ray")}
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


def measure_engine(engine: str) -> dict[str, float]:
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


def nodes_row() -> Row:
    return Row(
        "ray_runs_equal_with_a_node_killed",
        in_process("nodes")["equal"],
        float(KILLED),
        ">=",
        repeats=KILLED,
        note=f"{NODES} nodes of one CPU; every data file as the native engine's",
    )


def measure_nodes() -> dict[str, float]:
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


def driver_rows() -> list[Row]:
    found = in_process("driver")
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


def measure_driver() -> dict[str, float]:
    """``kill -9`` of the driver once some shards are written, and the same request again."""
    import torch

    from autointerp_core.extraction.run import extract
    from tests.core.extraction_fixtures import data_files, make_tiny

    # Bytes are equal for equal threads: each of two workers has one.
    torch.set_num_threads(1)
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


def run_tiny(folder: Path) -> dict[str, float]:
    """The driver that is killed."""
    from autointerp_core.extraction.run import extract
    from tests.core.extraction_fixtures import Tiny

    root = folder / "tiny"
    tiny = Tiny(root / "model", root / "saelens", root / "sparsify", root / "data.jsonl")
    config = tiny.request(engine="ray", workers=2, ray_address="local")
    extract(config, folder / "ray")
    return {}
