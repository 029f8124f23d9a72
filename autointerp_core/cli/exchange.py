"""Commands that write what is known of a study in some format, or read it from one."""

from __future__ import annotations

from typing import Annotated

import typer


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    commands.command()(export)


def export(
    study: Annotated[str, typer.Option(help="A study's id or folder.")],
    feature_indices: Annotated[str, typer.Option(help="As for label.")] = "all",
    output_dir: Annotated[str, typer.Option(help="Folder to write to.")] = "results",
) -> None:
    """Write result files, labels and history with people's decisions in them."""
    from autointerp_core.export.study import export_study
    from autointerp_core.jobs import list_jobs
    from autointerp_core.jobs.old_scores import adopt_scores_of_jobs
    from autointerp_core.store.studies import find_study

    adopt_scores_of_jobs(find_study(study), list_jobs)
    for path in export_study(study, feature_indices, output_dir):
        print(path)
