"""What a job that ended well made, in lines of plain text: labels, tokens, cost, scores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from autointerp_core.extraction.estimate import duration
from autointerp_core.home import studies_dir
from autointerp_core.jobs import JobState
from autointerp_core.labels.providers.make import takes_money
from ui.elements.scores import Shown
from ui.runs import cost

_COUNTS = {
    "made": "{} made",
    "labels": "{} scored",
    "reused": "{} there before",
    "failed": "{} failed",
    "dead": "{} features that never fire",
    "unlabelled": "{} features without a label",
}


_LISTED = 40
"""Lines about what was left out; the command line lists as few, and counts the rest."""

Made = tuple[str, str, dict[str, str]]
"""Title of a link, and the page and address it leads to."""


def made(job: JobState) -> Made | None:
    """A link to what a job made, as far as it is still there."""
    path = job.params.get("study") or job.result.get("study_path")
    study = Path(str(path)).name if path else ""
    if not study or not (studies_dir() / study / "study.json").exists():
        return None
    features = job.params.get("features")
    if isinstance(features, list) and len(features) == 1:
        feature = str(features[0])
        return f"Open feature {feature}", "feature", {"study": study, "feature": feature}
    return "Open its features", "features", {"study": study}


def lines(job: JobState) -> list[str]:
    """What it made, in a line, then all that is known of it."""
    result = job.result
    if job.kind in ("export", "import"):
        return _exchanged(job)
    if job.kind not in ("generate", "score"):
        return [_study(job)] if result.get("study_path") else []
    report = _mapping(result.get("scores")) if job.kind == "generate" else result
    found = ["Labels: " + counts] if (counts := _counts(result)) else []
    if job.kind == "generate" and (counts := _counts(report)):
        found.append("Scores: " + counts)
    reasons = _mapping(result.get("reasons"))
    found += [f"{count:,} labels failed: {reason}" for reason, count in reasons.items()]
    found += _scores(report)
    found += _controls(result)
    paid = takes_money(job.params.get("provider"), job.params.get("judge_provider"))
    found.append(_usage(result, paid=paid))
    stopped = result.get("stopped")
    found += [f"Stopped early: {stopped}"] if stopped else []
    found += [str(notice) for notice in result.get("notices") or []]
    return [line for line in found if line]


def _exchanged(job: JobState) -> list[str]:
    """``2,048 features in 12 files: /…/exports``, or what was taken in."""
    result = job.result
    if job.kind == "import":
        found = [str(line) for line in result.get("lines") or []]
        found += [f"Not taken: {line}" for line in (result.get("refused") or [])[:_LISTED]]
        return found + [f"Shortened: {line}" for line in (result.get("shortened") or [])[:_LISTED]]
    features, files = result.get("features"), result.get("files")
    told = [f"{features:,} features in {files:,} files: {result.get('folder')}"]
    told += [str(result["sent"])] if result.get("sent") else []
    left_out = result.get("left_out") or []
    return told + [f"Left out: {line}" for line in left_out[:_LISTED]]


def _found(name: str, result: Any) -> str:
    """``12 of 2,048 features significant``, after the class where there are classes."""
    about = _mapping(_mapping(result).get("statistics"))
    told = f"{about.get('significant', 0):,} of {about.get('tested', 0):,} features significant"
    return f"{name}: {told}" if name else told


def _study(job: JobState) -> str:
    """``Study of 2,048 features, 12 of them dead · 5 min``."""
    count, dead = job.result.get("num_features"), job.result.get("num_dead")
    parts = ["Study" + (f" of {count:,} features" if isinstance(count, int) else " made")]
    parts[0] += f", {dead:,} of them dead" if isinstance(dead, int) and dead else ""
    if job.started and job.finished:
        begun, ended = (datetime.fromisoformat(each) for each in (job.started, job.finished))
        parts.append(duration((ended - begun).total_seconds()))
    return " · ".join(parts)


def _counts(result: Mapping[str, Any]) -> str:
    parts = [
        text.format(f"{count:,}")
        for name, text in _COUNTS.items()
        if isinstance(count := result.get(name), int) and not isinstance(count, bool) and count
    ]
    return ", ".join(parts)


def _usage(result: Mapping[str, Any], *, paid: bool) -> str:
    tokens = (result.get("tokens_in") or 0, result.get("tokens_out") or 0)
    parts = []
    if any(tokens):
        parts = [f"{tokens[0]:,} tokens in, {tokens[1]:,} out"]
        parts.append(cost.money(result.get("cost")) if paid else cost.FREE)
    seconds = result.get("seconds")
    parts += [duration(seconds)] if isinstance(seconds, int | float) else []
    return " · ".join(parts)


def _scores(report: Mapping[str, Any]) -> list[str]:
    """A line a scorer: its mean over the features, beside its floor and shuffled labels."""
    found = []
    for name, raw in _mapping(report.get("scorers")).items():
        summary = _mapping(raw)
        mean = Shown.read(str(name), {**summary, "value": summary.get("mean")})
        count = summary.get("features")
        found.append(f"{mean.line()}, mean over {count} features" if mean.known else mean.line())
        if mean.missing:
            found[-1] += f", {mean.missing:,} judgements missing"
    found += [f"{name}: {why}" for name, why in _mapping(report.get("without")).items()]
    reasons = _mapping(report.get("unscored"))
    found += [f"{count:,} features not scored: {reason}" for reason, count in reasons.items()]
    return found


def _controls(result: Mapping[str, Any]) -> list[str]:
    """A line a scorer of each control, the same numbers as the real SAE's."""
    told = {
        "carried": "with the real SAE's labels",
        "anew": "with labels made anew",
        "measured": "measured alike",
    }
    listed = result.get("controls")
    return [
        f"Control {each.get('kind')}, {how}: {line}"
        for each in (map(_mapping, listed) if isinstance(listed, list) else ())
        for key, how in told.items()
        for line in _scores({"scorers": each.get(key)})
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
