"""Commands that make labels: ``label``."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import typer

from autointerp_core.cli.options import option, with_options
from autointerp_core.cli.terminal import TERMINAL
from autointerp_core.labels.providers.make import takes_money
from autointerp_core.progress import Progress


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    commands.command(
        "label",
        epilog="Try it: autointerp label --feature-indices 3,7,11 --model-path demo "
        "--sae-path demo --dataset-path demo",
    )(_label_command())


def _label_command() -> Callable[..., None]:
    """``label``: an option for every parameter of ``run_labeling``."""
    from autointerp_core.pipeline import run_labeling

    helps = _parameter_docs(run_labeling.__doc__ or "")
    hints = typing.get_type_hints(run_labeling)
    found = []
    for name, parameter in inspect.signature(run_labeling).parameters.items():
        if name == "progress":
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        if name == "sae_id":
            default = None
        found.append(option(name, _scalar(hints[name]), default, helps[name]))
    return with_options(label, found)


def label(given: Mapping[str, Any]) -> None:
    """Extract and label features; writes feature_examples.jsonl and feature_labels.json."""
    from autointerp_core.pipeline import run_labeling

    values = dict(given)
    values["feature_scores"] = _numbers(values["feature_scores"])
    result = run_labeling(**values, progress=TERMINAL.report)
    TERMINAL.report(Progress("done"))
    dead = f", {result['num_dead']} dead" if result["num_dead"] else ""
    print(f"{result['num_features']} features{dead}; study {result['study_path']}")
    print(f"search labels: {result['search_labels']}")
    if values["label_provider"] != "none":
        print(
            f"LLM labels: {result['labels_made']} made, {result['labels_reused']} reused, "
            f"{result['labels_failed']} failed"
        )
    for why, count in result["labels_failed_why"].items():
        print(f"failed: {count} × {why}")
    if result["requests"]:
        paid = takes_money(values["label_provider"], values["judge_provider"])
        print(_spent(result, paid=paid))
    for line in _score_lines(result["scores"]):
        print(line)
    for notice in result["notices"]:
        print(f"note: {notice}")
    if result["stopped"]:
        again = (
            "the same command, without --regenerate,"
            if values["regenerate"]
            else "the same command"
        )
        print(f"stopped: {result['stopped']}; {again} goes on from here")
    print(result["examples_path"])
    print(result["labels_path"])


def _spent(result: dict[str, Any], *, paid: bool) -> str:
    """Tokens and money; a cost that is not known is said to be unknown, not 0."""
    line = f"{result['tokens_in']:,} tokens in, {result['tokens_out']:,} out"
    if not paid:
        return f"{line}, on this machine"
    cost = result["cost"]
    return f"{line}, " + ("cost unknown (no price given)" if cost is None else f"${cost:.4f}")


def _score_lines(report: dict[str, Any] | None) -> list[str]:
    """A line a scorer: what a person must see beside a score stands beside it."""
    if report is None:
        return []
    lines = []
    for name, found in report["scorers"].items():
        shuffled = "unknown" if found["shuffled"] is None else f"{found['shuffled']:.2f}"
        lines.append(
            f"{name}: {found['mean']:.2f} ({found['low']:.2f}–{found['high']:.2f}) mean "
            f"{found['measure']} of {found['features']} labels; floor {found['floor']:.2f}, "
            f"other features' labels {shuffled}; {found['n']:,} judgements, "
            f"{found['n_missing']:,} missing; judge {found['judge']}"
        )
    lines += [f"{name}: {why}" for name, why in report.get("without", {}).items()]
    lines += [f"no score for {n:,} features: {why}" for why, n in report["unscored"].items()]
    return lines


def _parameter_docs(docstring: str) -> dict[str, str]:
    """The ``Args:`` section of a Google-style docstring, by parameter."""
    section = re.search(r"Args:\n(.*?)\n\s*\n", inspect.cleandoc(docstring), re.DOTALL)
    found = re.findall(
        r"^    (\w+): (.*?)(?=^    \w+: |\Z)",
        section[1] if section else "",
        re.DOTALL | re.MULTILINE,
    )
    return {name: " ".join(text.replace("``", "").split()) for name, text in found}


def _scalar(hint: Any) -> Any:
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kind = next((one for one in (str, bool, int, float) if one in choices), str)
    return kind | None if types.NoneType in choices else kind


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of numbers") from error
