"""Commands that look at what is given, without running it."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    commands.command(name="inspect-sae")(inspect_sae)


def inspect_sae(
    path: Annotated[
        str, typer.Argument(help="A folder, a SAELens release, a hub repository, or demo.")
    ],
    sae_id: Annotated[
        str | None,
        typer.Option(help="Which one there: a subfolder or file, a SAELens id, or a hook."),
    ] = None,
) -> None:
    """Say what an SAE is: layout, architecture, sizes, hooks, model, and what is unusual."""
    from autointerp_core.sources.sae_describe import describe_sae

    print(json.dumps(describe_sae(path, sae_id).to_json(), indent=2, ensure_ascii=False))
