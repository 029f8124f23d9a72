"""``python -m autointerp_core``: the command line without the installed command."""

from __future__ import annotations

import contextlib
import sys

from autointerp_core.cli import main

if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
