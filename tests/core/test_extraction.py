"""Extraction against brute force, and its laws: order, batches, shards, growth."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp_core.errors import (
    FeatureRequestError,
    ParameterError,
)
from autointerp_core.explore.decoder_neighbours import neighbours
from autointerp_core.extraction import native
from autointerp_core.extraction.firings import Batching, plan_shards
from autointerp_core.extraction.pass_folder import OpenPass
from autointerp_core.extraction.run import extract
from autointerp_core.store.study import Study
from benchmarks.oracle import collect, compare, sae_lens_encode, sparsify_encode
from tests.core.extraction_fixtures import (
    D_SAE,
    Tiny,
    assert_same,
    data_files,
    make_tiny,
    tiny_texts,
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Matrices this small are slower on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def plain(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """All features, extracted without interruption."""
    studies = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOINTERP_HOME", str(studies / "home"))
        return extract(tiny.request(), studies).study


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["saelens", "sparsify"])
def test_equals_brute_force(tiny: Tiny, tmp_path: Path, layout: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = getattr(tiny, layout)
    study = extract(tiny.request(sae_path=str(folder)), tmp_path).study
    model = AutoModelForCausalLM.from_pretrained(tiny.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny.model)
    encode = {
        "saelens": lambda: sae_lens_encode(_config_folder(folder)),
        "sparsify": lambda: sparsify_encode(_config_folder(folder)),
    }[layout]()
    from benchmarks.oracle import hidden_states

    stream = hidden_states(model, tokenizer, tiny_texts(), [2], 24)
    truth = collect(stream, {"it": (2, encode, list(range(D_SAE)))}, {0, 1})["it"]
    report = compare(study, truth)
    assert report.errors == []
    assert report.firings > 5_000
    assert report.examples > 300


def test_join_of_tokens_is_the_document(plain: Study) -> None:
    for document, text in enumerate(tiny_texts()):
        assert plain.tokens.document_text(document) == text
        pieces = []
        for sequence in plain.tokens.document_sequences(document):
            low, high = plain.tokens.sequences[sequence : sequence + 2]
            pieces += plain.tokens.pieces(int(low), int(high)) if high > low else []
        assert "".join(pieces) == text


@pytest.mark.parametrize(
    "change",
    [
        {"batch_sequences": 1},
        {"batch_sequences": 64},
        {"shard_tokens": 10_000},
        {"shard_tokens": 1},
        {"block_features": 7},
    ],
    ids=str,
)
@pytest.mark.slow
def test_sizes_change_no_result(
    tiny: Tiny, plain: Study, tmp_path: Path, change: dict[str, int]
) -> None:
    other = extract(tiny.request(**change), tmp_path).study
    assert other.id == plain.id
    assert_same(plain, other)


@pytest.mark.slow
def test_threads_change_no_result(tiny: Tiny, plain: Study, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        other = extract(tiny.request(), tmp_path).study
    finally:
        torch.set_num_threads(threads)
    assert_same(plain, other)


def test_same_run_twice_is_byte_identical(tiny: Tiny, plain: Study, tmp_path: Path) -> None:
    assert data_files(extract(tiny.request(), tmp_path).study.folder) == data_files(plain.folder)


def test_shards_ended_in_a_thread_of_their_own_are_the_same(
    tiny: Tiny, plain: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: sorted and written while the next one is computed, one at a time."""
    monkeypatch.setattr(native, "_apart", lambda _device: True)
    threads: list[str] = []
    put = OpenPass.put

    def watched(self: OpenPass, *given: Any) -> None:
        threads.append(threading.current_thread().name)
        put(self, *given)

    monkeypatch.setattr(OpenPass, "put", watched)
    assert data_files(extract(tiny.request(), tmp_path).study.folder) == data_files(plain.folder)
    assert len(threads) > 3
    assert threading.main_thread().name not in threads


@pytest.mark.slow
def test_study_grows_by_what_is_missing_and_then_computes_nothing(
    tiny: Tiny, plain: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (3, 7, 11, 40), (7, 12, 3, 63)
    assert extract(tiny.request(features=a), tmp_path).computed.tolist() == [3, 7, 11, 40]
    assert extract(tiny.request(features=b), tmp_path).computed.tolist() == [12, 63]

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("autointerp_core.sources.model.load_truncated", forbidden)
    monkeypatch.setattr("autointerp_core.sources.model.load_head", forbidden)
    third = extract(tiny.request(features=a), tmp_path)
    assert third.computed.tolist() == []
    assert third.study.id == plain.id
    assert third.study.features.tolist() == [3, 7, 11, 12, 40, 63]
    for feature in third.study.features.tolist():
        # Columns of a dense block, or all of it: the same numbers.
        assert third.study.examples(feature) == plain.examples(feature)
        assert third.study.stats(feature) == plain.stats(feature)
        for ours, whole in zip(third.study.logits(feature), plain.logits(feature), strict=True):
            assert [x.logit for x in ours] == pytest.approx([x.logit for x in whole], rel=1e-4)
    merged = dict(third.study.iter_examples([3, 12, 63]))
    assert merged == {f: plain.examples(f) for f in (3, 12, 63)}


def test_neighbours_are_the_nearest_decoder_rows(tiny: Tiny, plain: Study, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    weights = load_file(next(tiny.saelens.rglob("*.safetensors")))["W_dec"].astype(np.float64)
    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    few = extract(tiny.request(features=(3, 60)), tmp_path).study
    for study, feature in ((plain, 0), (plain, 63), (few, 3), (few, 60)):
        found = neighbours(study, feature, limit=20)
        expected = np.argsort(-cosine[feature])[:20]
        assert [n.feature for n in found] == expected.tolist()
        assert [n.cosine for n in found] == pytest.approx(cosine[feature][expected], abs=1e-5)


@pytest.mark.slow
def test_more_examples_need_no_model(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = extract(tiny.request(n_examples=2), tmp_path).study
    feature = int(study.table["num_examples"].to_numpy().argmax())
    few = study.examples(feature)
    assert len(few) == 2
    monkeypatch.setattr("autointerp_core.sources.model.load_truncated", None)
    many = extract(tiny.request(n_examples=20), tmp_path).study.examples(feature)
    assert len(many) > 2
    assert many[:2] == few


def test_bos_is_prepended_and_not_counted(tiny: Tiny, tmp_path: Path) -> None:
    study = extract(tiny.request(prepend_bos=True), tmp_path).study
    tokens = study.tokens
    lengths = np.diff(tokens.sequences)
    first = tokens.sequences[:-1][lengths > 0]
    assert (tokens.ids[first] == 0).all()  # id 0 is this tokenizer's real BOS
    assert not tokens.counted[first].any()
    assert lengths.max() == 24
    assert lengths[0] == 0  # an empty document: no BOS alone
    for document, text in enumerate(tiny_texts()):
        for sequence in tokens.document_sequences(document):
            low, high = (int(x) for x in tokens.sequences[sequence : sequence + 2])
            if high > low:
                pieces = tokens.pieces(low, high)
                assert pieces[0] == ""
                assert "".join(pieces) in text


def test_dead_feature_is_reported(tiny: Tiny, tmp_path: Path) -> None:
    one = tmp_path / "one.jsonl"
    one.write_text('{"text": "one two"}\n')
    study = extract(tiny.request(dataset_path=str(one)), tmp_path).study
    dead = int(study.table.loc[study.table["fired"] == 0, "feature"].iloc[0])
    stats = study.stats(dead)
    assert stats.dead
    assert (stats.density, stats.max, stats.num_examples) == (0.0, 0.0, 0)
    assert study.examples(dead) == []


@pytest.mark.parametrize(
    ("features", "message"),
    [((), "empty"), ((1, 64), "64; this SAE has features 0 to 63"), ((-1,), "-1")],
)
def test_feature_range(tiny: Tiny, tmp_path: Path, features: tuple[int, ...], message: str) -> None:
    with pytest.raises(FeatureRequestError, match=message):
        extract(tiny.request(features=features), tmp_path / "studies")
    assert not (tmp_path / "studies").exists()


@pytest.mark.parametrize("field", ["n_rows", "batch_sequences", "block_features", "n_examples"])
def test_sizes_must_be_positive(tiny: Tiny, field: str) -> None:
    with pytest.raises(ParameterError, match=field):
        tiny.request(**{field: 0})


def test_shards_cover_all_and_cut_at_the_reference() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        lengths = generator.integers(0, 50, generator.integers(1, 300))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        shards = plan_shards(offsets, int(generator.integers(1, 500)))
        assert [s.first for s in shards] == [0, *(s.last for s in shards[:-1])]
        assert shards[-1].last == len(lengths)
        if len(lengths) > 64:
            assert any(s.last == 64 for s in shards)


def test_batches_hold_every_nonempty_sequence_once() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        lengths = generator.integers(0, 60, generator.integers(1, 90))
        limit = Batching(int(generator.integers(1, 20)), int(generator.integers(1, 400)))
        batches = list(limit.batches(lengths))
        assert sorted(np.concatenate([*batches, []]).tolist()) == np.flatnonzero(lengths).tolist()
        for batch in batches:
            assert len(batch) <= limit.sequences
            assert len(batch) == 1 or len(batch) * lengths[batch].max() <= limit.tokens


def test_wrong_layer_is_told(tiny: Tiny, tmp_path: Path) -> None:
    """An SAE that copies its input is perfect everywhere; one fitted to layer 2 is not."""
    study = extract(tiny.request(), tmp_path).study
    fvu = study.info.health.fvu
    assert set(fvu) == {f"blocks.{layer}.hook_resid_post" for layer in (1, 2, 3)}
    best = min(fvu, key=lambda name: fvu[name])
    codes = {warning.code for warning in study.info.warnings}
    assert ("neighbour" in codes) == (best != "blocks.2.hook_resid_post")
    assert ("fvu" in codes) == (fvu["blocks.2.hook_resid_post"] > 1)


def _config_folder(root: Path) -> str:
    return str(next(root.rglob("cfg.json")).parent)
