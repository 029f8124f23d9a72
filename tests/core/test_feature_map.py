"""The map of features: the same every time, alike directions together, and what a polygon holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from autointerp_core.errors import MissingDependency, SAESourceError, StudyError
from autointerp_core.explore.feature_map import cluster_names, inside, on_grid, read_feature_map
from autointerp_core.explore.view import View
from autointerp_core.extraction import feature_map
from autointerp_core.extraction.feature_map import MapConfig, clusters, kept_neighbours, nearest
from autointerp_core.store import selections
from autointerp_core.store.feature_map import ALONE, MAP_FILE, write_feature_map
from autointerp_core.store.neighbours import NEIGHBOURS_FILE
from autointerp_core.store.study import Study
from benchmarks.synthetic import write_map, write_study


def quiet(_: object) -> None:
    pass


def clumps(n: int, of: int, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Directions in ``of`` well-separated bundles, and the bundle of each."""
    g = torch.Generator().manual_seed(seed)
    middle = torch.randn(of, 24, generator=g)
    bundle = torch.arange(n) % of
    return middle[bundle] + 0.25 * torch.randn(n, 24, generator=g), bundle.numpy()


@pytest.mark.slow  # numba compiles UMAP once
def test_a_map_is_the_same_every_time_and_keeps_bundles_together(tmp_path: Path) -> None:
    study = Study(write_study(tmp_path / "s", 300, 4))
    decoder, bundle = clumps(300, 6)
    made = feature_map.lay_out(study, decoder, MapConfig(), quiet)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    again = feature_map.lay_out(study, decoder, MapConfig(), quiet)
    torch.set_num_threads(threads)
    assert (made.places == again.places).all()
    other = feature_map.lay_out(study, decoder, MapConfig(seed=1), quiet)
    assert (made.places != other.places).any()
    # The nearest point on the map is of the same bundle.
    apart = np.linalg.norm(made.places[:, None] - made.places[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (bundle[apart.argmin(1)] == bundle).mean() > 0.97
    # A cluster is never of two bundles.
    for number in range(made.cluster.max() + 1):
        assert len(set(bundle[made.cluster == number])) == 1
    write_feature_map(study.folder, made)
    kept = read_feature_map(study.folder)
    assert kept is not None
    assert kept.record == made.record
    assert (kept.places == made.places).all()
    assert (kept.cluster == made.cluster).all()


def test_neighbours_that_the_study_keeps_are_those_worked_out(tmp_path: Path) -> None:
    study = Study(write_study(tmp_path / "s", 60, 4))
    decoder, _ = clumps(60, 4)
    unit = decoder / decoder.norm(dim=-1, keepdim=True)
    rows, cosines = nearest(unit, 20, quiet)
    every = (unit @ unit.T).numpy()
    np.fill_diagonal(every, -np.inf)
    np.testing.assert_allclose(cosines, -np.sort(-every, axis=1)[:, :20], atol=1.1e-5)
    assert kept_neighbours(study, 15) is None
    ids = rows.astype(np.int32)
    arrays: dict[str, np.ndarray] = {"ids": ids, "cosines": cosines}
    (study.passes[0].folder / NEIGHBOURS_FILE).write_bytes(save(arrays))
    kept = kept_neighbours(study, 15)
    assert kept is not None
    assert (kept[0] == rows[:, :15]).all()
    # Neighbours outside the study do not count; where too few are left, all are worked out.
    arrays["ids"] = ids + np.int32(30)
    (study.passes[0].folder / NEIGHBOURS_FILE).write_bytes(save(arrays))
    assert kept_neighbours(study, 15) is None


@pytest.mark.slow  # reads the demo SAE
def test_what_a_map_needs_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(write_study(tmp_path / "s", 60, 4))
    with pytest.raises(SAESourceError, match="does not say where its SAE lies"):
        feature_map.make_map(study, MapConfig(), quiet)
    with pytest.raises(StudyError, match="a map needs 10 or more"):
        feature_map.make_map(Study(write_study(tmp_path / "t", 4, 4)), MapConfig(), quiet)
    record = replace(study.info, sae=replace(study.info.sae, path="demo"))
    monkeypatch.setattr(study, "info", record)
    with pytest.raises(SAESourceError, match="is not the one that study s was made with"):
        feature_map.make_map(study, MapConfig(), quiet)
    monkeypatch.setattr(feature_map, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install umap-learn==0\.5\.12"):
        feature_map.make_map(study, MapConfig(), quiet)
    assert not (study.folder / MAP_FILE).exists()


def test_a_damaged_or_newer_map_is_told(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", 60, 4)
    assert read_feature_map(study) is None
    made = write_map(study, 60)
    whole = (study / MAP_FILE).read_bytes()
    (study / MAP_FILE).write_bytes(whole[:-40])
    with pytest.raises(StudyError, match="is damaged"):
        read_feature_map(study)
    (study / MAP_FILE).write_bytes(whole.replace(b'"version":"1"', b'"version":"9"'))
    with pytest.raises(StudyError, match="newer version"):
        read_feature_map(study)
    write_feature_map(study, replace(made, cluster=made.cluster[:-1]))
    with pytest.raises(StudyError, match="sizes differ"):
        read_feature_map(study)


def test_clusters_come_largest_first() -> None:
    g = np.random.default_rng(0)
    sizes = (30, 80, 50)
    places = np.concatenate(
        [g.normal(scale=0.1, size=(n, 2)) + 10 * k for k, n in enumerate(sizes)]
    ).astype(np.float32)
    # Round clouds of their own: no part of one is a cluster.
    found = clusters(places, 25)
    assert [int((found == k).sum() > 0) for k in range(3)] == [1, 1, 1]
    assert len({int(k) for k in found[30:110] if k != ALONE}) == 1
    assert (clusters(places[:20], 12) == ALONE).all()


def test_clusters_are_named_after_words_that_are_theirs() -> None:
    cluster = np.array([0, 0, 0, 1, 1, ALONE], dtype=np.int32)
    labels = ["court and judge", "the court", "court", "the river", "river bank", "court"]
    assert cluster_names(cluster, labels) == ["court", "river"]
    assert cluster_names(cluster, [None] * 6) == ["cluster 0", "cluster 1"]


def test_a_polygon_holds_what_the_textbook_rule_says() -> None:
    from matplotlib.path import Path as Outline

    g = np.random.default_rng(3)
    grid = on_grid(g.normal(size=(4000, 2)).astype(np.float32))
    assert grid.min() == 0
    assert grid.max() == 65_535
    angle = np.sort(g.random(40)) * 2 * np.pi
    radius = g.uniform(5_000, 30_000, 40)
    star = np.stack([np.cos(angle) * radius, np.sin(angle) * radius], 1) + 32_768
    corners = np.rint(star).astype(int)
    expected = Outline(corners).contains_points(grid.astype(float))
    found = inside(grid, corners.ravel().tolist())
    assert 0.1 < found.mean() < 0.9
    assert (found == expected).mean() > 0.999  # they may differ on the line itself


def test_a_selection_is_a_filter_by_a_short_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autointerp_core.explore.feature_index import FeatureIndex
    from autointerp_core.feature_request import FeatureRequest
    from autointerp_core.store.history import LabelHistory

    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path))
    study = Study(write_study(tmp_path / "studies" / "s", 60, 4))
    name = selections.keep([9, 3, 3, 41, 500])
    assert name == selections.keep({500, 41, 9, 3})
    view = View.from_params({"among": name, "sort": "density"})
    assert View.from_params(view.params()) == view
    assert view.filtered
    with LabelHistory.open(tmp_path / "labels.db") as history:
        snapshot = FeatureIndex(study).refresh(history)
    assert snapshot.features[snapshot.order(View(among=name))].tolist() == [3, 9, 41]
    # A name that nobody kept here holds nothing; one that is no name is no filter.
    assert not len(snapshot.order(View(among="0123456789ab")))
    assert View.from_params({"among": "../../x"}).among == ""
    assert selections.read("../labels") is None
    # It is a features file like any other.
    asked = FeatureRequest.parse(tmp_path / "selections" / f"{name}.json")
    assert tuple(asked.indices or ()) == (3, 9, 41, 500)
