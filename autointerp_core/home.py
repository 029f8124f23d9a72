"""Where this installation keeps what it makes: studies, labels, models, jobs."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """``AUTOINTERP_HOME``, by default ``.autointerp/`` in the project root (not created here)."""
    given = os.environ.get("AUTOINTERP_HOME")
    return Path(given).expanduser().resolve() if given else PROJECT_ROOT / ".autointerp"


def studies_dir() -> Path:
    return home() / "studies"


def models_dir() -> Path:
    return home() / "models"


def jobs_dir() -> Path:
    return home() / "jobs"
