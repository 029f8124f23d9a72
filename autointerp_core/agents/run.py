"""Running the MCP server on stdin and stdout."""

from __future__ import annotations

from autointerp_core.errors import MissingDependency
from autointerp_core.service.desk import Desk


def run_mcp(agent: str | None) -> None:
    """Serve an agent that started this process, until it closes stdin.

    Args:
        agent: the name under which all labels are proposed; None: each call says its own.

    Raises:
        MissingDependency: the package ``mcp`` is not installed.
    """
    try:
        from autointerp_core.agents.server import make_server
    except ImportError as error:
        raise MissingDependency(
            f"the MCP server needs the package mcp ({error.name} is missing); run: "
            "pip install 'mcp>=2.3,<3'"
        ) from error
    desk = Desk()
    try:
        make_server(desk, agent).run("stdio")
    finally:
        desk.close()
