"""Commands that write what is known of a study in some format, or read it from one."""

from __future__ import annotations

import getpass
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from autointerp_core.cli.options import Knob, option, with_options
from autointerp_core.cli.terminal import TERMINAL
from autointerp_core.exchange.config import ExportConfig
from autointerp_core.exchange.registry import EXPORTS, IMPORTS
from autointerp_core.progress import Progress

_TOLD = 12
"""Lines listed of what was left out; the rest is counted."""


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    commands.command()(with_options(export, list(_export_options())))
    commands.command(name="import")(import_)


def _export_options() -> Iterator[inspect.Parameter]:
    yield option("study", str, ..., "A study's id or folder.")
    yield option("format", str, "results", f"One of: {', '.join(EXPORTS)}.")
    yield option("feature_indices", str, "all", "As for label.")
    yield option("output_dir", str, "results", "Folder to write to.")
    yield option("preview", bool, False, "Only say what would be written.")
    for each in fields(ExportConfig):
        yield Knob(each.name, ExportConfig, each.name).parameter()


def export(given: Mapping[str, Any]) -> None:
    """Write a study in a format: our own, a web page, or another tool's.

    Interrupted, the same command goes on where it stopped.
    """
    from autointerp_core.exchange.run import Exported, export_features, preview
    from autointerp_core.exchange.subject import Subject
    from autointerp_core.export.output import Output
    from autointerp_core.extraction.kept import bring_in
    from autointerp_core.feature_request import FeatureRequest
    from autointerp_core.jobs import list_jobs
    from autointerp_core.jobs.old_scores import adopt_scores_of_jobs
    from autointerp_core.pipeline import naming
    from autointerp_core.store.history import LabelHistory
    from autointerp_core.store.studies import find_study
    from autointerp_core.store.study import Study

    with naming({}):
        config = ExportConfig(**{each.name: given[each.name] for each in fields(ExportConfig)})
    folder = find_study(given["study"])
    adopt_scores_of_jobs(folder, list_jobs)
    study = Study(folder)
    asked = FeatureRequest.parse(given["feature_indices"])
    wanted = list(asked.indices) if asked.indices is not None else study.features.tolist()
    study = bring_in(study, wanted)
    with LabelHistory.open() as history:
        if given["preview"]:
            chosen = tuple(sorted(set(wanted)))
            plan = preview(Subject(study, history, chosen, config), given["format"])
            for line in (f"{plan.n_files:,} files", *plan.lines):
                print(line)
            _list("left out", plan.left_out)
            return
        output = Output.of(given["output_dir"])
        with output.folder() as place:
            done: Exported = export_features(
                study,
                history,
                given["format"],
                wanted,
                place,
                config,
                TERMINAL.report,
                asked.scores,
            )
    TERMINAL.report(Progress("done"))
    if done.batches:
        print(f"{done.features:,} features in {done.files:,} files: {output.given}")
    for path in () if done.batches else done.closing:
        print(output.place(path.relative_to(place).as_posix()))
    _list("left out", done.left_out)
    if done.sent:
        print(done.sent)


def import_(
    path: Annotated[str, typer.Argument(help="A file or folder.")],
    study: Annotated[str, typer.Option(help="Id or folder of the study it is about.")],
    format: Annotated[
        str,
        typer.Option(help="; ".join(f"{name}: {about}" for name, about in IMPORTS.items()) + "."),
    ] = "results",
    author: Annotated[
        str | None, typer.Option(help="Who imports; by default the name you are logged in as.")
    ] = None,
    long: Annotated[
        str, typer.Option(help="Labels of more than 9 words: refuse, or shorten (listed).")
    ] = "refuse",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> None:
    """Take in labels and scores that another tool made: as proposals, never as decisions."""
    from autointerp_core.exchange.imports import import_path
    from autointerp_core.store.history import LabelHistory
    from autointerp_core.store.studies import find_study
    from autointerp_core.store.study import Study

    opened = Study(find_study(study))
    with LabelHistory.open() as history:
        report = import_path(
            opened,
            history,
            path,
            format,
            author=author or getpass.getuser(),
            long=long,  # checked there
            dry_run=dry_run,
        )
    for line in report.lines:
        print(line)
    _list("not taken", report.refused)
    _list("shortened", report.shortened)
    if not report.recorded:
        print("nothing was recorded (--dry-run)")


def _list(what: str, lines: tuple[str, ...]) -> None:
    for line in lines[:_TOLD]:
        print(f"{what}: {line}")
    if len(lines) > _TOLD:
        print(f"{what}: and {len(lines) - _TOLD:,} more")
