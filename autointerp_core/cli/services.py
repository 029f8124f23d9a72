"""Commands that let scripts and agents in: ``serve`` and ``mcp``."""

from __future__ import annotations

from typing import Annotated

import typer


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    commands.command()(serve)
    commands.command()(mcp)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of this machine.", min=0, max=65535)] = 8510,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="AUTOINTERP_TOKEN",
            help="What writes must bring; by default a new one is printed.",
        ),
    ] = None,
) -> None:
    """Serve the HTTP API: studies, search, features, proposals and scores."""
    from autointerp_core.api.serve import serve as listen

    listen(host, port, token, lambda line: print(line, flush=True))


def mcp(
    agent: Annotated[
        str | None,
        typer.Option(help="The name under which all labels are proposed; else each call says it."),
    ] = None,
) -> None:
    """Run the MCP server on stdin and stdout, for an agent that starts it."""
    from autointerp_core.agents.run import run_mcp

    run_mcp(agent)
