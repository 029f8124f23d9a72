"""A process of its own that looks at an SAE, a model or a dataset and prints what it found.

``python -m ui.studies.probe_worker '{"what": "sae", "path": "…", "id": null}'``. Apart from the
app's process, because looking at hub sources imports what the app must not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from autointerp_core.errors import AutointerpError, BadInput

_CHARACTERS = 20_000


def look(asked: dict[str, Any]) -> dict[str, Any]:
    """What was asked about, as JSON values."""
    if asked["what"] == "dataset":
        return _dataset(asked["path"], asked["rows"])
    if asked["what"] == "speed":
        from autointerp_core.extraction.machine_speed import known, measure

        return asdict(known() or measure())
    if asked["what"] == "engine":
        return _engine(asked["params"])
    from autointerp_core.sources.hook_check import check_hook
    from autointerp_core.sources.model_files import inspect_model
    from autointerp_core.sources.sae import check_fits, inspect_sae

    sae = inspect_sae(asked["path"], asked["id"] or None)
    found: dict[str, Any] = {
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "architecture": sae.architecture,
        "k": sae.k,
        "hook": sae.hook.name,
        "layer": sae.hook.layer,
        "model_name": sae.model_name,
        "context_size": sae.context_size,
        "layout": sae.layout,
    }
    model_path = asked.get("model")
    # The demo model is prepared on first use, which takes long.
    if model_path and (model_path != "demo" or demo_is_prepared()):
        model = inspect_model(model_path)
        check_fits(sae, model)
        check_hook(sae.hook, model)
        found["model"] = {"n_layers": model.n_layers, "d_model": model.d_model}
    return found


def _engine(params: dict[str, Any]) -> dict[str, Any]:
    """The device that an engine's model would run on elsewhere; nothing for this machine.

    Raises:
        ParameterError: a value means nothing, or no cluster answers.
        MissingDependency: the engine's package is absent.
    """
    from autointerp_core.extraction.config import ExtractionConfig
    from autointerp_core.extraction.engines import Elsewhere, load_engine

    elsewhere = params.get("ray_address") not in (None, "local")
    config = ExtractionConfig.from_params(
        {"model_path": "", "sae_path": "", "dataset_path": "", **params}
    )
    engine = load_engine(config.engine)
    if elsewhere and isinstance(engine, Elsewhere):
        return {"device": engine.computes_on(config)}
    return {}


def demo_is_prepared() -> bool:
    from autointerp_core.home import models_dir

    return models_dir().is_dir() and any(models_dir().glob("*/config.json"))


def _dataset(path: str, n_rows: int) -> dict[str, Any]:
    """A dataset's columns, each with the records that its first rows give, or why they give none.

    Raises:
        BadInput: it cannot be read, or holds nothing.
    """
    from autointerp_core.sources.cells import read_cell
    from autointerp_core.sources.dataset import TOOLS, preview_rows

    columns, rows = preview_rows(path, n_rows)
    if not rows:
        raise BadInput(f"{path} is empty; expected texts, a row each")
    records: dict[str, list[str]] = {}
    wrong: dict[str, str] = {}
    for column in columns:
        try:
            read = [
                read_cell(row.get(column), row.get(TOOLS), f"row {number}", column)[1]
                for number, row in enumerate(rows)
            ]
        except BadInput as error:
            wrong[column] = str(error)
            continue
        records[column] = [record[:_CHARACTERS] for record in read]
        why = no_text(column, read)
        # A column may begin further down, as far as was not looked.
        if why and (len(rows) < n_rows or any(record.strip() for record in read)):
            wrong[column] = why
    return {"columns": columns, "records": records, "wrong": wrong, "likeliest": likeliest(records)}


def no_text(column: str, records: Sequence[str]) -> str:
    """Why a column's records are nothing to run a model on; empty where they are."""
    filled = [record for record in records if record.strip()]
    if not filled:
        return f"column {column!r} holds no text in its first {len(records)} rows; choose another"
    if not any(character.isalpha() for record in filled for character in record):
        return (
            f"column {column!r} holds no text but values such as {filled[0][:40]!r}; choose another"
        )
    return ""


def likeliest(records: Mapping[str, Sequence[str]]) -> str | None:
    """The column that most looks like text: words and length count, then the name ``text``."""

    def looks(column: str) -> tuple[bool, float]:
        found = records[column]
        words = sum(len(record.split()) for record in found) / max(len(found), 1)
        return not no_text(column, found), words * (1.5 if column.lower() == "text" else 1.0)

    return max(records, key=looks, default=None)


def main() -> None:
    try:
        print(json.dumps({"found": look(json.loads(sys.argv[1]))}))
    except AutointerpError as error:
        print(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    main()
