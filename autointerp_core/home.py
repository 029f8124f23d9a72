"""Where this installation's code lies, and where it keeps what it makes."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CODE_ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds ``autointerp_core``: a checkout, or an environment's packages."""
IS_CHECKOUT = (CODE_ROOT / "pyproject.toml").is_file()
"""Whether the code runs from a clone of the repository."""


def home() -> Path:
    """The folder for studies, labels, models and jobs (not created here).

    ``AUTOINTERP_HOME``; without it ``.autointerp`` in a checkout, and the user's data folder
    (``~/.local/share/autointerp`` on Linux) for an installed package.
    """
    given = os.environ.get("AUTOINTERP_HOME")
    if given:
        return Path(given).expanduser().resolve()
    if IS_CHECKOUT:
        return CODE_ROOT / ".autointerp"
    return platformdirs.user_data_path("autointerp", appauthor=False)


def studies_dir() -> Path:
    return home() / "studies"


def models_dir() -> Path:
    return home() / "models"


def jobs_dir() -> Path:
    return home() / "jobs"
