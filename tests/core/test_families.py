"""Families: features that fire on the same words stand together, and the file is read again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from autointerp_core.errors import BadInput, StudyError
from autointerp_core.labels.families import _label, make_families
from autointerp_core.store.families import FAMILIES_FILE, read_families
from tests.core.label_fixtures import on_words, write_study
from tests.core.score_fixtures import DAYS, TREES, documents


def test_alike_features_are_a_family_and_others_are_not(tmp_path: Path) -> None:
    features = {
        0: on_words(*DAYS),
        1: on_words(*TREES),
        2: on_words(*DAYS),
        3: on_words(*TREES),
        4: on_words(*DAYS[:3]),
        5: on_words(*TREES[:3]),
        6: on_words("water"),
        7: lambda pieces: [0.0] * len(pieces),
    }
    study = write_study(tmp_path, documents(60), features)
    assert read_families(study.folder) is None
    groups = make_families(study)
    families = {frozenset(one.features): one for group in groups for one in group.families}
    assert set(families) == {frozenset({0, 2, 4}), frozenset({1, 3, 5})}
    assert all(one.label for one in families.values())
    assert read_families(study.folder) == groups
    assert make_families(study) == groups


def test_a_family_is_called_what_its_words_are() -> None:
    words = [Counter(dog=3, cat=1), Counter(horse=2, dog=1), Counter(cow=1, sheep=1)]
    assert _label(words).split(": ")[1].startswith("dog")
    assert _label([Counter(the=2), Counter(the=1, of=1)]) == "the, of"


def test_too_few_features_and_a_damaged_file(tmp_path: Path) -> None:
    study = write_study(tmp_path, documents(25), {0: on_words(*DAYS), 1: on_words(*TREES)})
    with pytest.raises(BadInput, match="has 2 features that fire; families need at least 3"):
        make_families(study)
    (study.folder / FAMILIES_FILE).write_text("{}")
    with pytest.raises(StudyError, match="is damaged"):
        read_families(study.folder)
