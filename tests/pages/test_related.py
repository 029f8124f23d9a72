"""The list of related features: kept neighbours, those not extracted, and a study without any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest

from autointerp_core import jobs
from tests.pages.conftest import Open


def _alike(app: AppTest) -> dict[str, Any]:
    """The group of features that point in a similar direction."""
    data = [json.loads(each.proto.json) for each in app.get("bidi_component")]
    groups = [group for each in data for group in each.get("groups", [])]
    (found,) = [group for group in groups if "similar direction" in str(group.get("title"))]
    return dict(found)


def _opened(open_page: Open) -> AppTest:
    app = open_page("feature", study="small", feature="5")
    app.session_state["related_open"] = True
    app.run()
    assert not app.exception, app.exception
    return app


@pytest.mark.slow
def test_kept_neighbours_are_listed(study: Path, open_page: Open) -> None:
    ids = np.tile(np.array([[7, 4000]], dtype=np.int32), (120, 1))
    cosines = np.tile(np.array([[0.75, 0.5]], dtype=np.float32), (120, 1))
    folder = study / "passes" / "000"
    save_file({"ids": ids, "cosines": cosines}, folder / "neighbours.safetensors")
    here, elsewhere = _alike(_opened(open_page))["rows"]
    assert (here["feature"], here["value"], here["label"]) == (7, "0.75", "words 7")
    assert "feature=7" in here["href"]
    assert elsewhere["feature"] == 4000
    assert elsewhere["label"] == "(not extracted here)"
    assert elsewhere["href"] == ""


@pytest.mark.slow
def test_a_study_without_them_offers_to_work_them_out(
    study: Path, open_page: Open, monkeypatch: Any
) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def submit(kind: str, params: dict[str, str], title: str) -> None:
        asked.append((kind, params))

    monkeypatch.setattr(jobs, "submit", submit)
    app = _opened(open_page)
    assert "made before they were kept" in _alike(app)["empty"]
    app.session_state["related_open"] = True  # AppTest does not send an expander's state back
    app.button(key="neighbours_make").click().run()
    assert not app.exception, app.exception
    assert asked == [("neighbours", {"study": "small"})]
