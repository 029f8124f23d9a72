"""What people call a study: made up of its model, layer, dataset and date, or given by somebody.

A given name is kept in ``name.json`` in the study's folder. It is no part of what the study is:
its id, made from what its numbers hang on, stays.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from autointerp_core.errors import ParameterError
from autointerp_core.store.files import write_json
from autointerp_core.store.study_record import StudyRecord
from autointerp_core.store.text_cleaning import one_line

FILE = "name.json"
MAX_NAME = 100


def study_name(folder: Path, info: StudyRecord) -> str:
    """The name given to it, else :func:`plain_name`."""
    return given_name(folder) or plain_name(folder, info)


def given_name(folder: Path) -> str:
    """The name that somebody gave it; empty where nobody did, or where it cannot be read."""
    try:
        given = json.loads((folder / FILE).read_bytes())["name"]
    except (OSError, ValueError, KeyError, TypeError):  # a damaged name is no reason to show none
        return ""
    return one_line(str(given))[:MAX_NAME]


def plain_name(folder: Path, info: StudyRecord) -> str:
    """``SmolLM2-135M · layer 9 · demo · 25 Nov 2026``; a hook other than the residual in words."""
    layer = info.hook.replace("blocks.", "layer ").replace(".hook_", " ").replace(".", " ")
    layer = layer.removesuffix(" resid_post")
    parts = [_last(info.model_name), layer, _last(info.dataset_name), _date(folder)]
    return one_line(" · ".join(part for part in parts if part))


def rename(folder: Path, name: str) -> None:
    """Give a study a name; an empty one takes the given name away.

    Raises:
        ParameterError: the name is too long.
        OutputError: it cannot be saved.
    """
    name = one_line(name)
    if len(name) > MAX_NAME:
        raise ParameterError(
            f"a study's name has at most {MAX_NAME} characters, this one {len(name)}; shorten it"
        )
    if name:
        write_json(folder / FILE, {"name": name})
    else:
        (folder / FILE).unlink(missing_ok=True)


def _last(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


def _date(folder: Path) -> str:
    """The day of its first run."""
    try:
        first = json.loads((folder / "run.json").read_bytes())["runs"][0]["started"]
        day = datetime.fromisoformat(first)
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return ""
    return f"{day.day} {day:%b %Y}"
