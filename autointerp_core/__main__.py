"""The command line: ``python -m autointerp_core label|export|demo|doctor``.

Progress goes to stderr, results to stdout. An error is one line, the last on stderr; the
exit status is 2 for bad input, 1 for other failures, 130 for Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import logging
import os
import re
import sys
import time
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from autointerp_core.errors import AutointerpError
from autointerp_core.progress import Progress, ProgressCallback

_QUIET_SECONDS = 5.0
"""Seconds between progress lines when stderr is no terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    _quiet_libraries()
    terminal = _Terminal()
    try:
        status: int = given.run(given, terminal.report)
        return status
    except AutointerpError as error:
        terminal.finish()
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        terminal.finish()
        print(
            "stopped. Run the same command again to go on where it stopped "
            "(finished shards and labels are kept).",
            file=sys.stderr,
        )
        return 130
    finally:
        terminal.finish()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m autointerp_core",
        description="Examples and labels for the features of sparse autoencoders.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_label(commands)
    demo = commands.add_parser("demo", help="build the demo study (bundled model, SAE and text)")
    demo.add_argument(
        "--if-missing", action="store_true", help="do nothing where the demo study exists"
    )
    demo.set_defaults(run=_run_demo)
    export = commands.add_parser(
        "export", help="write result files, labels and history with people's decisions in them"
    )
    export.add_argument("--study", required=True, metavar="ID", help="a study's id or folder")
    export.add_argument(
        "--feature-indices", default="all", metavar="STR", help="as for label (default: all)"
    )
    export.add_argument("--output-dir", default="results", metavar="STR", help="default: results")
    export.set_defaults(run=_run_export)
    doctor = commands.add_parser("doctor", help="say whether this installation works")
    doctor.set_defaults(run=_run_doctor)
    return parser


def _add_label(commands: Any) -> None:
    """The ``label`` command: one flag for every parameter of ``run_labeling``."""
    from autointerp_core.pipeline import run_labeling

    label = commands.add_parser(
        "label",
        help="extract and label features; writes feature_examples.jsonl, feature_labels.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="try it: python -m autointerp_core label --feature-indices 3,7,11 "
        "--model-path demo --sae-path demo --sae-id demo --dataset-path demo",
    )
    helps = _parameter_docs(run_labeling.__doc__ or "")
    hints = typing.get_type_hints(run_labeling)
    for name, parameter in inspect.signature(run_labeling).parameters.items():
        if name in ("progress", "feature_scores"):
            continue
        required = parameter.default is inspect.Parameter.empty and name != "sae_id"
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        options: dict[str, Any] = {
            "required": required,
            "default": default,
            "help": helps[name].replace("%", "%%")
            + ("" if required or default is None else f" (default: {default})"),
        }
        kind = _scalar(hints[name])
        if kind is bool:
            label.add_argument(
                f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction, **options
            )
        else:
            label.add_argument(
                f"--{name.replace('_', '-')}", type=kind, metavar=kind.__name__.upper(), **options
            )
    label.add_argument(
        "--feature-scores",
        type=_numbers,
        metavar="NUMBERS",
        help="a score a feature, comma-separated, repeated in the files",
    )
    label.set_defaults(run=_run_label)


def _run_label(given: argparse.Namespace, report: ProgressCallback) -> int:
    from autointerp_core.pipeline import run_labeling

    parameters = inspect.signature(run_labeling).parameters
    result = run_labeling(
        **{name: value for name, value in vars(given).items() if name in parameters},
        progress=report,
    )
    report(Progress("done"))
    dead = f", {result['num_dead']} dead" if result["num_dead"] else ""
    print(f"{result['num_features']} features{dead}; study {result['study_path']}")
    print(f"search labels: {result['search_labels']}")
    if given.label_provider != "none":
        print(
            f"LLM labels: {result['labels_made']} made, {result['labels_reused']} reused, "
            f"{result['labels_failed']} failed"
        )
    for why, count in result["labels_failed_why"].items():
        print(f"failed: {count} × {why}")
    if result["requests"]:
        print(_spent(result, paid="openai" in (given.label_provider, given.judge_provider)))
    for line in _score_lines(result["scores"]):
        print(line)
    for notice in result["notices"]:
        print(f"note: {notice}")
    if result["stopped"]:
        again = (
            "the same command, without --regenerate," if given.regenerate else "the same command"
        )
        print(f"stopped: {result['stopped']}; {again} goes on from here")
    print(result["examples_path"])
    print(result["labels_path"])
    return 0


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


def _run_demo(given: argparse.Namespace, report: ProgressCallback) -> int:
    from autointerp_core.pipeline import build_demo, built_demo

    if given.if_missing and (study := built_demo()):
        print(f"demo study {study} is there")
        return 0
    result = build_demo(report)
    report(Progress("done"))
    print(result["study_path"])
    return 0


def _run_export(given: argparse.Namespace, report: ProgressCallback) -> int:
    from autointerp_core.export.study import export_study

    for path in export_study(given.study, given.feature_indices, given.output_dir):
        print(path)
    return 0


def _run_doctor(given: argparse.Namespace, report: ProgressCallback) -> int:
    from autointerp_core.doctor import run_checks

    failed = 0
    for check in run_checks():
        print(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}", flush=True)
        failed += not check.ok
    return 1 if failed else 0


class _Terminal:
    """Progress as one rewritten line on a terminal, else as a line now and then."""

    def __init__(self) -> None:
        self.rewrites = sys.stderr.isatty()
        self.stage = ""
        self.width = 0
        self.said = 0.0
        self.told = ""

    def report(self, progress: Progress) -> None:
        if progress.stage == "done":
            self.finish()
            return
        now = time.monotonic()
        complete = progress.total > 0 and progress.done >= progress.total
        # "40 of 360 judgements" after "20 of 360" is no news, only a count.
        kind = re.sub(r"\d+", "", progress.message)
        news = bool(kind) and kind != self.told
        fresh = progress.stage != self.stage or news or (complete and not kind)
        self.told = kind
        pause = 0.1 if self.rewrites else _QUIET_SECONDS
        if not fresh and now - self.said < pause:
            return
        if progress.message or (self.rewrites and progress.stage != self.stage):
            self.finish()
        self.stage, self.said = progress.stage, now
        line = _describe(progress)
        if self.rewrites and not progress.message:
            print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
            self.width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def finish(self) -> None:
        if self.width:
            print(file=sys.stderr, flush=True)
            self.width = 0


def _describe(progress: Progress) -> str:
    if progress.message:
        return f"{progress.stage}: {progress.message}"
    parts = [f"{progress.stage}:"]
    if progress.total:
        share = 100 * progress.done / progress.total
        parts.append(f"{progress.done:,}/{progress.total:,} {progress.unit} ({share:.0f} %)")
    if progress.rate:
        parts.append(f"{progress.rate:,.0f} {progress.unit}/s")
    if progress.seconds_left is not None:
        minutes, seconds = divmod(int(progress.seconds_left + 0.5), 60)
        hours, minutes = divmod(minutes, 60)
        left = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
        parts.append(f"{left} left")
    return " ".join(parts)


def _parameter_docs(docstring: str) -> dict[str, str]:
    """The ``Args:`` section of a Google-style docstring, by parameter."""
    section = re.search(r"Args:\n(.*?)\n\s*\n", inspect.cleandoc(docstring), re.DOTALL)
    found = re.findall(
        r"^    (\w+): (.*?)(?=^    \w+: |\Z)",
        section[1] if section else "",
        re.DOTALL | re.MULTILINE,
    )
    return {name: " ".join(text.replace("``", "").split()) for name, text in found}


def _scalar(hint: Any) -> Callable[[str], Any]:
    """The type a flag is parsed as: the first scalar in a union, text for paths and lists."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for kind in (str, bool, int, float):
        if kind in options:
            return kind
    return str


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _quiet_libraries() -> None:
    """Keep libraries' own bars and notices off stderr: its last line is ours."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    logging.captureWarnings(True)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
