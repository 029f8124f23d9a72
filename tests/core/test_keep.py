"""Firings of features not asked for: kept, read without a model, and not kept where too large."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from autointerp_core.errors import BadInput, Cancelled, ParameterError, StudyError
from autointerp_core.explore import first_shards
from autointerp_core.explore.cofiring import companions
from autointerp_core.explore.compare.document_counts import document_counts
from autointerp_core.explore.decoder_neighbours import neighbours
from autointerp_core.extraction import native
from autointerp_core.extraction.kept import bring_in
from autointerp_core.extraction.run import extract
from autointerp_core.progress import Progress
from autointerp_core.store.study import Study
from tests.core.extraction_fixtures import D_SAE, Tiny, data_files, make_tiny

ASKED = (3, 7, 40)
LATER = (0, 12, 63)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"), 30)


@pytest.fixture(scope="module")
def plain(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """All features asked for."""
    return extract(tiny.request(), tmp_path_factory.mktemp("plain")).study


@pytest.fixture(scope="module")
def made(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A few asked for, the others kept."""
    return extract(tiny.request(features=ASKED), tmp_path_factory.mktemp("made")).study


@pytest.fixture
def few(made: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A copy of it to change, where no model can be loaded."""

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    for name in ("model.load_truncated", "model.load_head"):
        monkeypatch.setattr(f"autointerp_core.sources.{name}", forbidden)
    shutil.copytree(made.folder, tmp_path / "studies" / made.id)
    return Study(tmp_path / "studies" / made.id)


def assert_equal(ours: Study, whole: Study, features: tuple[int, ...]) -> None:
    """Everything a study says of a feature."""
    for feature in features:
        assert ours.stats(feature) == whole.stats(feature)
        for group in ("top", "quantile_1", "quantile_4"):
            assert ours.examples(feature, group) == whole.examples(feature, group)
        assert ours.silent_examples(feature, 3) == whole.silent_examples(feature, 3)
        assert ours.histogram(feature) == whole.histogram(feature)
        assert ours.logits(feature) == whole.logits(feature)
        assert neighbours(ours, feature) == neighbours(whole, feature)
        one, other = ours.firings(feature), whole.firings(feature)
        np.testing.assert_array_equal(one.token, other.token)
        np.testing.assert_array_equal(one.activation, other.activation)


def test_all_firings_are_kept_and_those_asked_for_are_the_study(made: Study, plain: Study) -> None:
    assert made.id == plain.id
    assert made.features.tolist() == list(ASKED)
    assert sorted([*made.kept.tolist(), *ASKED]) == list(range(D_SAE))
    assert list(made.table["feature"]) == list(ASKED)
    shards = {k: v for k, v in data_files(made.folder).items() if "/shards/" in k}
    assert shards == {k: v for k, v in data_files(plain.folder).items() if "/shards/" in k}
    assert_equal(made, plain, ASKED)


def test_a_kept_feature_is_read_as_any_other_and_nothing_is_written(
    few: Study, plain: Study
) -> None:
    before = data_files(few.folder)
    assert_equal(few, plain, LATER)
    assert dict(few.iter_examples([3, *LATER])) == {f: plain.examples(f) for f in (3, *LATER)}
    assert data_files(few.folder) == before
    with pytest.raises(BadInput, match="feature 64 is not in study"):
        few.stats(64)


@pytest.mark.slow
def test_kept_features_become_part_of_the_study_without_a_model(few: Study, plain: Study) -> None:
    more = bring_in(few, [*LATER, 3])
    assert more.features.tolist() == sorted([*ASKED, *LATER])
    assert_equal(more, plain, (*ASKED, *LATER))
    assert bring_in(more, LATER) is more
    everything = bring_in(more, range(D_SAE))
    assert everything.features.tolist() == list(range(D_SAE))
    assert not len(everything.kept)
    assert_equal(everything, plain, tuple(range(D_SAE)))
    found = everything.table.drop(columns="top_tokens")
    assert found.equals(plain.table.drop(columns="top_tokens"))
    for feature in ASKED:
        near = {(c.feature, c.together) for c in companions(everything, feature, D_SAE)}
        assert near == {(c.feature, c.together) for c in companions(plain, feature, D_SAE)}
    ours, theirs = document_counts(everything), document_counts(plain)
    for name in ("features", "fired", "squares", "cross", "documents"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    sums = [found.squared_sums().sum() for found in everything.passes]
    assert sum(sums) == pytest.approx(plain.passes[0].squared_sums().sum())


def test_asking_for_them_by_name_takes_what_is_kept(tiny: Tiny, few: Study, plain: Study) -> None:
    (few.folder / "run.json").unlink()  # not known as a request that was carried out before
    done = extract(tiny.request(features=(3, *LATER)), few.folder.parent)
    assert done.computed.tolist() == sorted(LATER)
    assert_equal(done.study, plain, (3, *LATER))
    again = extract(tiny.request(features=(3, 13)), few.folder.parent)  # known now
    assert again.computed.tolist() == [13]
    assert_equal(again.study, plain, (13,))


def test_asked_keeps_only_those(tiny: Tiny, tmp_path: Path) -> None:
    study = extract(tiny.request(features=ASKED, keep="asked"), tmp_path).study
    assert not len(study.kept)
    assert json.loads((study.folder / "study.json").read_bytes())["schema"] == 1
    with pytest.raises(BadInput, match="extract it first"):
        study.examples(12)


@pytest.mark.slow
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "in a thread"])
def test_auto_keeps_only_those_where_the_disk_is_small_and_says_so(
    tiny: Tiny, plain: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    monkeypatch.setattr(native, "_apart", lambda _device: apart)
    whole = sum(path.stat().st_size for path in plain.passes[0].shards)
    free = shutil.disk_usage(tmp_path)._replace(free=9 * whole)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    told: list[str] = []
    study = extract(
        tiny.request(features=ASKED), tmp_path / "a", lambda p: told.append(p.message)
    ).study
    assert not len(study.kept)
    assert sum("more than a tenth" in line and "--keep all" in line for line in told) == 1
    assert_equal_numbers(study, plain)
    assert [p.name for p in (study.folder / "passes").iterdir()] == [study.info.passes[0].name]
    everything = extract(tiny.request(features=ASKED, keep="all"), tmp_path / "b").study
    assert len(everything.kept) == D_SAE - len(ASKED)


def assert_equal_numbers(ours: Study, whole: Study) -> None:
    for feature in ASKED:
        assert ours.stats(feature) == whole.stats(feature)
        assert ours.examples(feature) == whole.examples(feature)


def test_a_stopped_run_that_keeps_goes_on(tiny: Tiny, made: Study, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "extracting" and progress.done > 300:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        extract(tiny.request(features=ASKED), tmp_path, stop)
    study = extract(tiny.request(features=ASKED), tmp_path).study
    assert data_files(study.folder) == data_files(made.folder)


def test_an_older_version_refuses_what_it_would_misread(made: Study) -> None:
    record = json.loads((made.folder / "study.json").read_bytes())
    assert record["schema"] == 2
    assert record["identity"]["schema"] == 1


def test_a_kept_pass_whose_features_are_gone_is_a_damaged_study(few: Study) -> None:
    assert few.info.kept is not None
    (few.folder / "passes" / few.info.kept[0].name / "features.npy").unlink()
    with pytest.raises(StudyError, match="damaged"):
        Study(few.folder)


def test_what_to_keep_is_one_of_three(tiny: Tiny) -> None:
    with pytest.raises(ParameterError, match="keep is 'some'; choose from asked, all, auto"):
        tiny.request(keep="some")


def test_of_a_very_large_study_the_first_shards_stand_for_all(
    plain: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets = plain.passes[0].shard_offsets()
    assert len(offsets) > 2
    n = plain.tokens.n_tokens
    assert first_shards.tokens_read(plain, first_shards.MOST_COMPARED) == n
    assert first_shards.share_read(plain, 0) == offsets[1] / n
    most = int(plain.passes[0].counts_in(0).sum())
    stop = first_shards.tokens_read(plain, most)
    assert stop == offsets[2]
    monkeypatch.setattr("autointerp_core.explore.cofiring.MOST_LOOKED_UP", most)
    on = {f: set(plain.firings(f).token.tolist()) & set(range(stop)) for f in range(D_SAE)}
    feature = max(on, key=lambda f: len(on[f]))
    expected = {f: len(on[f] & on[feature]) for f in on if f != feature and on[f] & on[feature]}
    assert {c.feature: c.together for c in companions(plain, feature, D_SAE)} == expected
    monkeypatch.setattr("autointerp_core.explore.compare.document_counts.MOST_COMPARED", most)
    counted = np.flatnonzero(np.asarray(plain.tokens.counted) > 0).tolist()
    fired = {f: len(on[f] & set(counted)) for f in range(D_SAE)}
    assert document_counts(plain).fired.tolist() == [fired[f] for f in plain.features.tolist()]
