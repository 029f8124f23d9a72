"""``python -m benchmarks.exchange [FORMAT …] [api]``: 16,384 features exported, an API under fire.

Every format writes a synthetic study of 16,384 features × 20 examples in a process of its own: how
long, how much memory against a quarter of the features, and, after a SIGKILL in the middle and the
same command again, whether the folder is the same to the byte. Then the HTTP API: requests made
from its schema (no 500), and 200 readers at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok

from autointerp_core.api.app import Served, make_api
from autointerp_core.api.serve import KEEP_ALIVE
from autointerp_core.exchange.run_names import MANIFEST
from autointerp_core.service.desk import Desk
from autointerp_core.service.library import Library
from autointerp_core.store.history import LabelHistory, NewEvent
from benchmarks.report import Row, publish
from benchmarks.synthetic import write_study

FEATURES = 16_384
FORMATS = ("neuronpedia", "neuronpedia-upload", "delphi", "circuit-tracer", "dataset")
SAE = "synthetic-sae"
TOKEN, BASE = "a-token", "http://127.0.0.1:8510"
API = "api"
EXAMPLES, READERS = 200, 200
MEMORY_GROWTH = 1.15
"""Peak memory of all features against a quarter of them: the tables of statistics and the list of
files grow, examples and labels do not."""
_RUN = """
import resource, sys
from autointerp_core.cli import main
status = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


def main(asked: Sequence[str] = ()) -> int:
    """Measure the formats asked for, and the API; without names all of them."""
    rows: list[Row] = []
    wanted = [name for name in (*FORMATS, API) if name in asked or not asked]
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        os.environ["AUTOINTERP_HOME"] = str(home)
        os.environ.pop("AUTOINTERP_DB", None)
        _study(home, "all", FEATURES)
        _study(home, "quarter", FEATURES // 4)
        for name in wanted:
            rows += _api(home) if name == API else _measured(name, home)
    return publish("exchange", rows)


def _study(home: Path, name: str, features: int) -> None:
    write_study(home / "studies" / name, features, 20, fingerprint=f"{SAE}-{name}")
    with LabelHistory.open() as history:
        history.record_many(
            NewEvent(f"{SAE}-{name}", f, "generated", f"label of {f}", source="llm:x/tiny",
                     method="peaks", study=name)
            for f in range(features)
        )  # fmt: skip


def _command(name: str, study: str, out: Path) -> list[str]:
    return [sys.executable, "-c", _RUN, "export", "--study", study, "--format", name,
            "--output-dir", str(out)]  # fmt: skip


def _measured(name: str, home: Path) -> list[Row]:
    peaks, seconds = {}, 0.0
    for study in ("quarter", "all"):
        started = time.perf_counter()
        done = subprocess.run(
            _command(name, study, home / "out" / name / study),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        peaks[study] = int(done.stderr.rsplit("peak ", 1)[1]) / 1024
    cut = home / "out" / name / "cut"
    process = subprocess.Popen(_command(name, "all", cut), stderr=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    while not (cut / MANIFEST).exists() and process.poll() is None:
        time.sleep(0.005)
    time.sleep(0.3)
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(_command(name, "all", cut), capture_output=True, check=True)
    same = _digest(cut) == _digest(home / "out" / name / "all")
    size = sum(p.stat().st_size for p in (home / "out" / name / "all").rglob("*") if p.is_file())
    return [
        Row(f"seconds_{name}", seconds, note=f"{FEATURES:,} features, {size / 1e6:,.0f} MB"),
        Row(f"memory_mb_{name}", peaks["all"], note=f"{peaks['quarter']:,.0f} MB for a quarter"),
        Row(f"memory_growth_{name}", peaks["all"] / peaks["quarter"], MEMORY_GROWTH),
        Row(f"same_after_kill_{name}", float(same and killed), 1.0, ">="),
    ]


def _api(home: Path) -> list[Row]:
    """Requests made from the API's own schema, then many readers at once."""
    with LabelHistory.open() as history:
        served = make_api(Desk(Library(history)), TOKEN)
        counts = any_requests(served, EXAMPLES, "all", FEATURES)
        served_at = uvicorn.Server(
            uvicorn.Config(served.app, port=0, log_level="error", timeout_keep_alive=KEEP_ALIVE)
        )
        thread = threading.Thread(target=served_at.run, daemon=True)
        thread.start()
        while not served_at.started:
            time.sleep(0.01)
        port = served_at.servers[0].sockets[0].getsockname()[1]
        times: list[float] = []

        def read(number: int) -> int:
            started = time.perf_counter()
            path = f"/api/studies/all/features/{number * 7 % FEATURES}"
            try:
                status = client.get(path, timeout=120).status_code
            except httpx.HTTPError:
                status = 0
            times.append(time.perf_counter() - started)
            return status

        limits = httpx.Limits(max_connections=READERS)
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", limits=limits) as client,
            ThreadPoolExecutor(READERS) as pool,
        ):
            answers = list(pool.map(read, range(10 * READERS)))
        served_at.should_exit = True
        thread.join(10)
    return [
        Row("api_requests", float(sum(counts.values())), note=f"by status: {counts}"),
        Row("api_500", float(sum(n for status, n in counts.items() if status >= 500)), 0.0),
        Row("readers_failed", float(sum(status != 200 for status in answers)), 0.0,
            note=f"{READERS} at once, {len(answers):,} requests"),
        Row("readers_p95_seconds", statistics.quantiles(times, n=20)[-1]),
    ]  # fmt: skip


def any_requests(served: Served, examples: int, study: str, features: int) -> Counter[int]:
    """Statuses of requests made from the API's schema, ``examples`` an address.

    Every second one is about ``study``, which has so many features; the others about any name.
    """
    schema = schemathesis.openapi.from_dict(served.api.openapi())
    statuses: Counter[int] = Counter()

    async def ask(sent: dict[str, Any]) -> int:
        transport = httpx.ASGITransport(app=served.app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            answer = await client.request(**sent)
            return answer.status_code

    for operation in schema.exclude(path_regex="encode").get_all_operations():
        assert isinstance(operation, Ok)

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.ok().as_strategy())
        def run(case: Any) -> None:
            parameters = case.path_parameters
            if parameters and sum(statuses.values()) % 2:
                parameters["study"] = study
                if isinstance(index := parameters.get("feature"), int):
                    parameters["feature"] = index % features
            made = case.as_transport_kwargs(base_url=BASE)
            headers = {k: v for k, v in dict(made.get("headers") or {}).items() if v.isascii()}
            sent = {name: made.get(name) for name in ("method", "url", "params", "json")}
            sent["headers"] = {**headers, "Authorization": f"Bearer {served.token}"}
            statuses[asyncio.run(ask(sent))] += 1

        run()
    return statuses


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(".autointerp-") and path.suffix != ".tmp":
            found.update(str(path.relative_to(folder)).encode() + b"\0")
            found.update(path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
