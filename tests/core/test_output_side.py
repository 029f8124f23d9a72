"""The output side: labels against the tokens that features raise, and against what is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from autointerp_core.errors import ParameterError
from autointerp_core.labels.config import LabelConfig, ScoreConfig
from autointerp_core.labels.document_split import TEST, Split
from autointerp_core.labels.run import label_features
from autointerp_core.labels.scoring.measuring import score_and_measure
from autointerp_core.store.events import IMPORTED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.score_fixtures import CONCEPTS, concept_study
from tests.core.test_generation import ToyEncoder

RIGHT = {0: "days of the week", 1: "kinds of trees", 2: "fruit"}
WRONG = {0: "fruit", 1: "days of the week", 2: "kinds of trees"}


def _with_logits(study: Study) -> Study:
    """Every feature raises the words of its concept; feature 3, and the rest, raise marks."""
    vocab = study.tokens.vocab
    ids = np.zeros((4, 4), dtype=np.int32)
    for row, members in enumerate([*CONCEPTS.values(), (".",) * 4]):
        ids[row] = [vocab.index(word if word == "." else f" {word}") for word in members]
    values = np.tile(np.array([4, 3, 2, 1], dtype=np.float32), (4, 1))
    save_file(
        {"top_ids": ids, "top_values": values, "bottom_ids": ids, "bottom_values": -values},
        study.folder / "passes" / "000" / "logits.safetensors",
    )
    return Study(study.folder)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return _with_logits(concept_study(tmp_path_factory.mktemp("output") / "toy", count=120))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


def _label(study: Study, history: LabelHistory, labels: dict[int, str]) -> None:
    history.record_many(
        NewEvent(study.info.sae_fingerprint, feature, IMPORTED, text, source="import:x")
        for feature, text in labels.items()
    )


@pytest.mark.parametrize("measure", ["output", "ablation"])
def test_a_label_of_what_the_feature_says_is_told_from_one_of_what_another_says(
    study: Study, history: LabelHistory, measure: str
) -> None:
    config = ScoreConfig(scorers=(measure,), provider="none")
    means = []
    for labels in (RIGHT, WRONG):
        _label(study, history, labels)
        report = score_and_measure(study, [0, 1, 2], history, config, open_model=ToyEncoder)
        means.append(report.scorers[measure].mean)
        assert report.scorers[measure].floor == 0.5
        assert report.scorers[measure].shuffled is not None
    assert means[0] > 0.9
    assert means[1] < 0.5


def test_what_it_raises_is_a_proposal_of_its_own(study: Study, history: LabelHistory) -> None:
    config = LabelConfig(provider="none", output_labels=True)
    for _ in range(2):
        label_features(study, [0, 1, 2, 3], history, config)
    found = [
        (feature, p.text)
        for feature, state in sorted(history.states(study.info.sae_fingerprint).items())
        for p in state.proposals
        if p.source == "output"
    ]
    assert found == [
        (0, "predicts monday, tuesday, friday, sunday"),
        (1, "predicts oak, birch, willow, pine"),
        (2, "predicts apple, cherry, plum, pear"),
    ]


def test_ablation_reads_up_to_peaks_in_test_documents(study: Study, history: LabelHistory) -> None:
    seen: list[str] = []

    class Watched(ToyEncoder):
        def ablated(self, texts: Sequence[str], feature: int, count: int) -> list[str]:
            seen.extend(texts)
            return super().ablated(texts, feature, count)

    _label(study, history, RIGHT)
    score_and_measure(study, [0], history, ScoreConfig(scorers=("ablation",)), open_model=Watched)
    split = Split(study)
    held = [" ".join(study.tokens.document_text(d).split()) for d in split.documents(TEST)]
    assert seen
    assert all(any(" ".join(text.split()) in document for document in held) for text in seen)


def test_without_logits_or_a_model_it_says_so(tmp_path: Path, history: LabelHistory) -> None:
    bare = concept_study(tmp_path / "bare", count=60)
    _label(bare, history, RIGHT)
    report = score_and_measure(bare, [0], history, ScoreConfig(scorers=("output",)))
    assert "no top and bottom logits" in report.without["output"]
    with pytest.raises(ParameterError, match="ablation needs the study's own model and SAE"):
        score_and_measure(bare, [0], history, ScoreConfig(scorers=("ablation",)))
