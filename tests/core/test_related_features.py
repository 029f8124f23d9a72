"""Related features, and silent windows in which they fire."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autointerp_core.labels.document_split import TEST, Split
from autointerp_core.labels.related_features import RelatedFeatures
from autointerp_core.labels.scoring.sample_windows import NEIGHBOUR, WindowSampler
from tests.core.label_fixtures import on_words, write_study
from tests.core.score_fixtures import DAYS, FRUIT, TREES, documents


def test_features_that_share_tokens_are_related(tmp_path: Path) -> None:
    features = {
        0: on_words(*DAYS[:3]),
        1: on_words(*DAYS[1:]),
        2: on_words(*TREES),
        3: on_words(*FRUIT),
    }
    study = write_study(tmp_path, documents(150), features)
    related = RelatedFeatures(study)
    assert related.of(0) == [1]
    assert related.of(2) == []
    shared = related.cofiring(np.array([0, 1, 2, 3]))
    tokens = [set(study.firings(feature).token.tolist()) for feature in range(4)]
    for a in range(4):
        for b in range(4):
            exact = len(tokens[a] & tokens[b]) / (len(tokens[a]) * len(tokens[b])) ** 0.5
            assert abs(shared[a, b] - exact) < 1e-6


def test_neighbours_windows_are_silent_and_hold_the_neighbour(tmp_path: Path) -> None:
    features = {0: on_words(*DAYS[:3]), 1: on_words(*DAYS[1:]), 2: on_words(*TREES)}
    study = write_study(tmp_path, documents(200), features)
    found = WindowSampler(study, Split(study)).sample(0, TEST)
    assert found.neighbour
    other = study.firings(1).token
    mine = study.firings(0).token
    for window in found.neighbour:
        assert window.kind == NEIGHBOUR
        assert not any(window.example.values)
        assert window.token in other
        assert window.token not in mine
        assert Split(study).part(window.example.document_index) == TEST
    assert WindowSampler(study, Split(study)).sample(2, TEST).neighbour == ()
