"""Planted concepts are found from twenty documents each, and nothing is where nothing is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from autointerp_core.find.contrast import ContrastConfig, contrast
from autointerp_core.find.evidence import StudyCorpus
from autointerp_core.find.sides import Side
from autointerp_core.sources.demo import demo_corpus_path
from benchmarks.find import POSITIVES, draw, frequent_share, nothing_share, place_of, positives
from benchmarks.planted.concepts import LEXICAL, Concept, spellings
from benchmarks.planted.find_concepts import FIND_CONCEPTS
from tests.core.label_fixtures import Fire, on_words, write_study

N_NOISE = 60


def by_lot(density: float, seed: int) -> Fire:
    """Fires on tokens by lot; the same lot for the same text."""

    def fire(pieces: list[str]) -> list[float]:
        rng = np.random.default_rng([seed, len(pieces), sum(map(len, pieces))])
        fires = rng.random(len(pieces)) < density
        return [float(rng.gamma(2.0, 5.0)) if each else 0.0 for each in fires.tolist()]

    return fire


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyCorpus, dict[int, Concept]]:
    """600 of the demo's passages; word concepts, and features that fire by lot, some often."""
    lexical = [concept for concept in FIND_CONCEPTS if concept.kind == LEXICAL]
    features = {
        at: on_words(*(form for member in concept.members for form in spellings(member)))
        for at, concept in enumerate(lexical)
    }
    densities = np.geomspace(2e-3, 0.3, N_NOISE)
    features |= {100 + at: by_lot(float(density), at) for at, density in enumerate(densities)}
    texts = pq.read_table(demo_corpus_path())["text"].to_pylist()[:600]
    folder = tmp_path_factory.mktemp("planted") / "study"
    study = write_study(Path(folder), texts, features, d_sae=200)
    return StudyCorpus(study), dict(enumerate(lexical))


@pytest.mark.slow
def test_the_right_feature_comes_first(corpus: tuple[StudyCorpus, dict[int, Concept]]) -> None:
    documents, concepts = corpus
    every = np.arange(documents.n_documents)
    tried = hits = 0
    for feature, concept in concepts.items():
        holds = positives(documents, concept)
        if holds.sum() < POSITIVES:
            continue
        chosen = draw(np.random.default_rng(feature), holds, POSITIVES)
        result = contrast(
            Side(documents, chosen, concept.name),
            Side(documents, every, "rest"),
            ContrastConfig(shuffles=0, examples=0),
        )
        tried += 1
        hits += place_of(result, feature) == 1 and result.found[0].significant
    assert tried >= 6
    assert hits >= 0.9 * tried


@pytest.mark.slow
def test_nothing_is_found_by_lot_and_frequency_earns_nothing(
    corpus: tuple[StudyCorpus, dict[int, Concept]],
) -> None:
    from autointerp_core.find.statistics import MAX, Ranked

    documents, _ = corpus
    found = documents.evidence(documents.features, None)
    ranked = Ranked.of(found, documents.lengths(None), MAX)
    assert nothing_share(ranked, POSITIVES, 100) >= 0.95
    own, plain, _ = frequent_share(ranked, 40)
    # Four of the seventy-two are the most frequent: 5.6 % by chance.
    assert own <= 0.15
    assert plain > own
