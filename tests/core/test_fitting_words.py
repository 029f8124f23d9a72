"""Search labels whose words are chosen by the embedder that scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from autointerp_core.labels.document_split import Split
from autointerp_core.labels.embedders.wordllama import WordLlamaEmbedder
from autointerp_core.labels.search.labeler import FITTED_METHOD, METHOD, SearchLabeler
from autointerp_core.labels.search.record import record_search_labels
from autointerp_core.store.event_details import SearchDetails
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.score_fixtures import CONCEPTS, concept_study


class OtherEmbedder(WordLlamaEmbedder):
    """Any embedder that is not the default one chooses words by likeness."""

    name = "other"
    weights = (0.6, 0.2, 0.2)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return concept_study(tmp_path_factory.mktemp("fitting"), 200)


def test_labels_hold_words_of_their_concept(study: Study) -> None:
    labeler = SearchLabeler(study, embedder=OtherEmbedder())
    labels = {found.feature: found for found in labeler.label_all([0, 1, 2])}
    for feature, members in enumerate(CONCEPTS.values()):
        text = (labels[feature].text or "").casefold()
        assert any(member in text for member in members)
        assert labels[feature].evidence.method == FITTED_METHOD
        assert labels[feature].evidence.form
    again = {f.feature: f for f in SearchLabeler(study, embedder=OtherEmbedder()).label_all([0, 2])}
    assert again[2] == labels[2]


def test_each_way_of_choosing_is_a_method_of_its_own(study: Study, tmp_path: Path) -> None:
    assert SearchLabeler(study).method == METHOD  # tests take wordllama
    split = Split(study)
    with LabelHistory.open(tmp_path / "labels.db") as history:
        record_search_labels(study, [0, 1], history, split=split)
        other = SearchLabeler(study, embedder=OtherEmbedder())
        first = record_search_labels(study, [0, 1], history, split=split, labeler=other)
        second = record_search_labels(study, [0, 1], history, split=split, labeler=other)
        assert (first.made, second.made, second.reused) == (2, 0, 2)
        events = list(history.all_events(study.info.sae_fingerprint))
    assert [event.method for event in events] == [METHOD, METHOD, FITTED_METHOD, FITTED_METHOD]
    assert all(SearchDetails.from_json(event.details).documents == "label" for event in events)
