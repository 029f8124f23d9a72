"""Summaries of made-up studies of 131,072 features with 32 firings a token."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.apart import in_process
from benchmarks.report import Row

SIZES = {"1m": 1_250_000, "5m": 5_000_000, "10m": 10_000_000, "20m": 20_000_000}
FEATURES, PER_TOKEN, SEQUENCE = 131_072, 32, 128
SHARD_TOKENS, MORE_SHARDS = 32_768, 20


def summary_rows(sizes: list[str]) -> list[Row]:
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
    found = in_process("summary", "--folder", str(folder), "--tokens", str(n_tokens))
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


def measure_summary(folder: Path, n_tokens: int) -> dict[str, float]:
    from autointerp_core.extraction.summary import summarise
    from autointerp_core.progress import silent
    from autointerp_core.store.study import Pass, TokenStore

    found = Pass(folder / "pass")
    start = time.perf_counter()
    summarise(TokenStore(folder / "tokens"), found, n_tokens, 20, silent)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "us": seconds * 1e6 / float(found.counts().sum())}
