"""The commands together, and what every command has in common: how it ends.

Progress goes to stderr, results to stdout. An error is one line, the last on stderr; the
exit status is 2 for bad input, 1 for other failures, 130 for Ctrl-C.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import typer

from autointerp_core.cli import (
    comparing,
    exchange,
    finding,
    installation,
    label_database,
    labelling,
    playground,
    report,
    services,
    sources,
)
from autointerp_core.cli.terminal import TERMINAL, one_line
from autointerp_core.errors import AutointerpError

commands = typer.Typer(
    name="autointerp",
    help="Examples and labels for the features of sparse autoencoders.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
ROOMS = (
    *(labelling, finding, playground, comparing, report, exchange),
    *(label_database, installation, sources, services),
)
for room in ROOMS:
    room.register(commands)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    _quiet_libraries()
    command = typer.main.get_command(commands)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command.main(given or ["--help"], prog_name="autointerp", standalone_mode=False)
    except typer.Exit as ended:
        return ended.exit_code
    except typer.TyperException as error:
        return _failed(error.format_message(), 2)
    except AutointerpError as error:
        return _failed(one_line(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        TERMINAL.finish()
        print(
            "stopped. Run the same command again to go on where it stopped "
            "(finished shards and labels are kept).",
            file=sys.stderr,
        )
        return 130
    finally:
        TERMINAL.finish()
    return 0


def _failed(message: str, status: int) -> int:
    TERMINAL.finish()
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _quiet_libraries() -> None:
    """Keep libraries' own bars and notices off stderr: its last line is ours."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    logging.captureWarnings(True)
