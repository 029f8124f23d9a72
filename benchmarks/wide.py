"""Extraction with an SAE of 131,072 latents against its limit, and what each stage costs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import Row
from benchmarks.stages import Stages

WIDE, WIDE_TOKENS = 131_072, 20_000
STAGES = ("tokenising", "forward", "encode", "sorting", "writing", "health", "summary")


def wide_sae() -> Path:
    """A random top-k SAE of 131,072 latents, made once for all processes."""
    from tests.core.tiny import tiny_topk_saelens

    folder = Path(tempfile.gettempdir()) / f"autointerp-bench-wide-{WIDE}"
    if not (folder / "cfg.json").exists():
        tiny_topk_saelens(folder, 576, WIDE, 32, "blocks.9.hook_resid_post")
    return folder


def measure_wide(request: Any) -> dict[str, float]:
    """Our extraction as a request has it: seconds in all, and of each stage."""
    from autointerp_core.extraction.resolve import resolve
    from autointerp_core.extraction.run import extract_resolved

    stages = watched()
    resolved = resolve(request)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        study = extract_resolved(resolved, Path(folder)).study
        seconds = time.perf_counter() - start - stages.seconds["loading"]
    found = {stage: stages.seconds[stage] for stage in STAGES}
    return {
        "seconds": seconds,
        "tokens": study.info.n_tokens,
        **found,
        "other": seconds - sum(found.values()),
    }


def watched() -> Stages:
    """Stopwatches around what an extraction does, from now on."""
    from autointerp_core.extraction import firings, native, pass_folder, study_writer, tokens
    from autointerp_core.sources import model

    stages = Stages()
    for place, name, stage in (
        (model, "load_truncated", "loading"),
        (tokens, "write_tokens", "tokenising"),
        (model.TruncatedModel, "run", "forward"),
        (firings.Extractor, "add", "encode"),
        (firings.Gathered, "firings", "sorting"),
        (pass_folder, "write_shard", "writing"),
        (native, "measure_health", "health"),
        (study_writer, "summarise", "summary"),
    ):
        stages.watch(place, name, stage)
    return stages


def wide_rows(in_process: Callable[..., dict[str, float]]) -> list[Row]:
    """131,072 latents: what everything beside forward and encode costs.

    Args:
        in_process: measures by name, in a process of its own.
    """
    wide_sae()
    limit, ours = in_process("limit", WIDE_TOKENS, 1), in_process("wide", WIDE_TOKENS)
    exact = int(ours["tokens"])
    rows = [
        Row("ratio_wide_vs_limit", ours["seconds"] / limit["seconds"], 1.10, n_tokens=exact),
        Row("memory_wide_vs_limit", ours["peak_mb"] / limit["peak_mb"], 1.5, n_tokens=exact),
        Row("wide_limit_forward_seconds", limit["forward"], n_tokens=exact),
        Row("wide_limit_encode_seconds", limit["seconds"] - limit["forward"], n_tokens=exact),
    ]
    found = (
        Row(f"wide_{stage}_seconds", ours[stage], n_tokens=exact) for stage in (*STAGES, "other")
    )
    return rows + list(found)
