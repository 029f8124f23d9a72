"""Features by meaning over several studies: labels, peak words, and what is talked of around."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autointerp_core.cli import main
from autointerp_core.errors import BadInput, StudyError
from autointerp_core.explore.by_meaning import MeaningSearch, studies_of
from autointerp_core.explore.contexts import context_vectors
from autointerp_core.labels.embedders import default_embedder
from autointerp_core.store.events import GENERATED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.label_fixtures import on_words, write_study

MUSIC = "the violin and the cello played a slow symphony in the concert hall"
MONEY = "the bank paid interest on the loan and raised its price in dollars"
SEA = "the ship left the harbour and sailed over the wide ocean with its crew"
TEXTS = [text for text in (MUSIC, MONEY, SEA) for _ in range(8)]
FEATURES = {1: on_words("played"), 2: on_words("paid"), 3: on_words("left"), 4: on_words("zebra")}


@pytest.fixture
def studies(own_home: Path) -> list[Study]:
    """Two of one SAE, and one of another whose features have other numbers."""
    found = []
    for name, sae, first in (("one", "f", 0), ("two", "f", 0), ("other", "e", 10)):
        moved = {first + feature: fire for feature, fire in FEATURES.items()}
        write_study(own_home / "studies" / name, TEXTS, moved)
        path = own_home / "studies" / name / "study.json"
        content = json.loads(path.read_text())
        content["sae"] |= {"fingerprint": sae * 64, "source": f"sae-{sae}"}
        path.write_text(json.dumps(content))
        found.append(Study(path.parent))
    return found


def test_what_is_talked_of_says_what_a_verb_does_not(studies: list[Study]) -> None:
    features = studies[0].features.astype(np.int64)
    embedder = default_embedder()
    vectors = context_vectors(studies[0], features, embedder)
    assert not vectors[3].any()  # never fires
    for asked, feature in (("orchestra music", 1), ("financial institution", 2), ("marine", 3)):
        likeness = vectors @ embedder.embed([asked])[0]
        assert int(features[likeness.argmax()]) == feature, asked
    kept = list((studies[0].folder / "meaning").iterdir())
    assert len(kept) == 1
    again = context_vectors(studies[0], features, embedder)
    assert np.abs(again - vectors).max() < 1e-3  # half precision
    kept[0].write_bytes(b"damaged")
    assert np.abs(context_vectors(studies[0], features, embedder) - vectors).max() < 1e-6


def test_every_feature_once_an_sae_and_labels_count(studies: list[Study]) -> None:
    with LabelHistory.open() as history:
        history.record_many(
            [NewEvent("e" * 64, 12, GENERATED, "gardens and flowers", source="llm:x",
                      study="other")]
        )  # fmt: skip
        found = MeaningSearch(studies).find("orchestra music", history)
        assert {(each.sae, each.feature) for each in found[:2]} == {("sae-f", 1), ("sae-e", 11)}
        keys = [(each.sae, each.feature) for each in found]
        assert len(keys) == len(set(keys))
        garden = MeaningSearch(studies).find("roses in a garden", history)[0]
        assert (garden.feature, garden.label, garden.study) == (12, "gardens and flowers", "other")
        with pytest.raises(BadInput, match="nothing is asked for"):
            MeaningSearch(studies).find("  ", history)


def test_which_studies(studies: list[Study]) -> None:
    assert [study.id for study in studies_of()] == ["one", "other", "two"]
    assert [study.id for study in studies_of(sae="sae-f")] == ["one", "two"]
    assert [study.id for study in studies_of(sae="eee")] == ["other"]
    assert [study.id for study in studies_of(study="two")] == ["two"]
    with pytest.raises(BadInput, match="no study is of an SAE 'gpt'; there are studies of: sae-e"):
        studies_of(sae="gpt")
    with pytest.raises(StudyError):
        studies_of(study="none")


def test_the_command(studies: list[Study], capsys: pytest.CaptureFixture[str]) -> None:
    given = ["find-label", "money lent", "--sae", "sae-f", "--embedder", "wordllama", "--top", "2"]
    assert main(given) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["feature"] == 2
    assert len(found) <= 2
    assert main(["find-label", "x", "--embedder", "none"]) == 2
    assert "no embedder" in capsys.readouterr().err


def test_without_a_study_it_says_so() -> None:
    with pytest.raises(BadInput, match="there is no study yet"):
        studies_of()
