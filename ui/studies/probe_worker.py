"""A process of its own that looks at an SAE, a model or a dataset and prints what it found.

``python -m ui.studies.probe_worker '{"what": "sae", "path": "…", "id": null}'``. Apart from the
app's process, because looking at hub sources imports what the app must not.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from autointerp_core.errors import AutointerpError


def look(asked: dict[str, Any]) -> dict[str, Any]:
    """What was asked about, as JSON values."""
    if asked["what"] == "dataset":
        from autointerp_core.sources.dataset import preview_rows

        columns, rows = preview_rows(asked["path"], 20)
        return {
            "columns": columns,
            "rows": [{k: str(v)[:2000] for k, v in r.items()} for r in rows],
        }
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
    # The demo model is prepared on first use, which takes long; the demo SAE is known to fit.
    if model_path and model_path != "demo":
        model = inspect_model(model_path)
        check_fits(sae, model)
        found["model"] = {"n_layers": model.n_layers, "d_model": model.d_model}
    return found


def main() -> None:
    try:
        print(json.dumps({"found": look(json.loads(sys.argv[1]))}))
    except AutointerpError as error:
        print(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    main()
