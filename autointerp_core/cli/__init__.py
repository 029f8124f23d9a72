"""The command line: ``autointerp``, or ``python -m autointerp_core``."""

from autointerp_core.cli.main import main

__all__ = ["main"]
