"""The Map page: its empty state, what it sends to the browser, and what a selection does."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from autointerp_core import jobs
from autointerp_core.explore.feature_map import inside, on_grid
from autointerp_core.extraction import feature_map
from autointerp_core.store.families import Family, Group, write_families
from autointerp_core.store.history import LabelHistory
from benchmarks.synthetic import write_map
from tests.pages.conftest import SAE, Open
from tests.pages.test_pages import texts
from ui.map.places import Looked, read_shape, write_shape

LEFT = (0, 0, 32_767, 0, 32_767, 65_535, 0, 65_535)
"""The left half of the map."""


def scatter(app: AppTest) -> dict[str, Any]:
    for found in app.get("bidi_component"):
        data: dict[str, Any] = json.loads(found.proto.json)
        if "places" in data:
            return data
    raise AssertionError("no map")


@pytest.mark.slow
def test_without_a_map_the_page_offers_to_make_one(
    study: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        jobs, "submit", lambda kind, params, title: asked.append((kind, dict(params)))
    )
    app = open_page("map", study="small")
    assert "decoder directions are alike" in texts(app)
    app.button(key="map_make").click().run()
    assert not app.exception, app.exception
    assert asked == [("map", {"study": "small"})]


def test_without_umap_the_page_says_how_to_get_it(
    study: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_map, "find_spec", lambda name: None)
    app = open_page("map", study="small")
    assert "pip install umap-learn==0.5.12" in texts(app)
    assert not [b for b in app.button if b.key == "map_make"]


@pytest.mark.slow
def test_the_map_comes_with_labels_colours_and_what_was_looked_for(
    study: Path, open_page: Open
) -> None:
    made = write_map(study, 120, per_cluster=30)
    app = open_page("map", study="small", colour="cluster", find="words 7")
    data = scatter(app)
    places = np.frombuffer(base64.b64decode(data["places"]), "<u2").reshape(2, -1).T
    assert (places == on_grid(made.places)).all()
    labels = gzip.decompress(base64.b64decode(data["labels"])).decode().split("\n")
    assert len(labels) == data["n"] == 120
    assert (labels[3], labels[7]) == ("model 3", "words 7")
    assert data["found"][0] == 7
    colours = np.frombuffer(base64.b64decode(data["colours"]), np.uint8)
    assert len(colours) == 120
    assert max(colours) < len(data["light"]) == len(data["dark"]) == len(data["names"])
    group = Group("courts", (Family("judges", (5, 7)), Family("juries", (9,))))
    write_families(study, (group,))
    data = scatter(open_page("map", study="small", colour="family"))
    at = np.frombuffer(base64.b64decode(data["colours"]), np.uint8)
    assert np.flatnonzero(at).tolist() == [5, 7, 9]
    assert data["legend"][0]["text"] == "courts"
    for name in ("score", "density", "status"):
        app = open_page("map", study="small", colour=name)
        assert not app.exception, app.exception
        assert scatter(app)["legend"]
    with LabelHistory.open() as history:
        history.flag(SAE, 5, author="Ana")
    app = open_page("map", study="small", colour="status")
    data = scatter(app)
    index = base64.b64decode(data["colours"])
    assert (data["names"][index[5]], data["names"][index[6]]) == ("flagged", "unreviewed")


@pytest.mark.slow
def test_a_shape_in_the_address_selects_and_the_selection_goes_on(
    study: Path, open_page: Open
) -> None:
    made = write_map(study, 120)
    chosen = made.features[inside(on_grid(made.places), LEFT)].tolist()
    assert 10 < len(chosen) < 110
    app = open_page("map", study="small", shape=write_shape(LEFT))
    assert f"{len(chosen)} features selected" in texts(app)
    tables = [json.loads(c.proto.json) for c in app.get("bidi_component")]
    (rows,) = (t["rows"] for t in tables if t.get("title") == "Features")
    assert {row["feature"] for row in rows} <= set(chosen)
    app.button(key="chosen_table").click().run()
    assert not app.exception, app.exception
    assert f"{len(chosen)} of 120 features" in texts(app)
    name = app.query_params["among"]
    name = name[0] if isinstance(name, list) else name
    # The same selection as a review queue, and one may leave it.
    app = open_page("review", study="small", of="all", among=name)
    assert "in a selection" in texts(app)
    app.button(key="queue_leave").click().run()
    assert "in a selection" not in texts(app)
    assert "among" not in app.query_params


@pytest.mark.slow
def test_what_an_address_holds_that_makes_no_sense_is_ignored(study: Path, open_page: Open) -> None:
    write_map(study, 120)
    app = open_page("map", study="small", colour="x", shape="zz", sight="1_2", find="\u202eno")
    assert not app.exception, app.exception
    assert scatter(app)["shape"] is None
    looked = Looked("score", LEFT, (100, 200, 5_000), "war")
    assert Looked.from_params(looked.params()) == looked
    assert read_shape(write_shape(LEFT)[:-1]) == ()
    assert read_shape("0" * 16) == ()


@pytest.mark.slow
def test_features_that_came_later_are_told(study: Path, open_page: Open) -> None:
    write_map(study, 100)
    app = open_page("map", study="small")
    assert "20 features of the study came after the map was made" in texts(app)
