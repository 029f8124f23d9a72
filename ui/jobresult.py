"""What a job that ended well made, in lines of plain text: labels, tokens, cost, scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autointerp_core.jobs import JobState
from ui import cost
from ui.estimate import duration

_COUNTS = {
    "made": "{} made",
    "scored": "{} scored",
    "reused": "{} already there",
    "unscored": "{} not scored",
    "failed": "{} failed",
    "dead": "{} that never fire",
}


def lines(job: JobState) -> list[str]:
    """Empty for jobs that say nothing about labels."""
    if job.kind not in ("generate", "score"):
        return []
    result = job.result
    found = [_counts(result), _usage(result)]
    report = result.get("scores") if job.kind == "generate" else result
    if isinstance(report, Mapping):
        found += _scores(report)
    stopped = result.get("stopped")
    found += [f"Stopped early: {stopped}"] if stopped else []
    found += [str(notice) for notice in result.get("notices") or []]
    return [line for line in found if line]


def _counts(result: Mapping[str, Any]) -> str:
    parts = [
        text.format(f"{count:,}")
        for name, text in _COUNTS.items()
        if isinstance(count := result.get(name), int) and not isinstance(count, bool) and count
    ]
    return " · ".join(parts)


def _usage(result: Mapping[str, Any]) -> str:
    tokens = (result.get("tokens_in") or 0, result.get("tokens_out") or 0)
    seconds = result.get("seconds")
    parts = [f"{tokens[0]:,} tokens in, {tokens[1]:,} out"] if any(tokens) else []
    if any(tokens):
        parts.append(cost.money(result.get("cost")))
    parts += [duration(seconds)] if isinstance(seconds, int | float) else []
    return " · ".join(parts)


def _scores(report: Mapping[str, Any]) -> list[str]:
    return []
