"""Measures and controls on real text, with features whose concept is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from autointerp_core.controls import carry_labels
from autointerp_core.extraction.control import control_request
from autointerp_core.extraction.run import extract
from autointerp_core.labels.config import ScoreConfig
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.scoring.control_results import carried_results
from autointerp_core.labels.scoring.measures.generation import GENERATION, RESPONSIVENESS
from autointerp_core.labels.scoring.measures.intruder import FLOOR, INTRUDER
from autointerp_core.labels.scoring.measuring import score_and_measure
from autointerp_core.labels.scoring.report import summarise
from autointerp_core.store.history import LabelHistory
from autointerp_core.study_model import model_of
from benchmarks.judges import ConceptWriter, put_labels
from benchmarks.planted.build import Planted, build_planted
from benchmarks.planted.judge import PlantedChoiceJudge, PlantedJudge

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> Planted:
    return build_planted(tmp_path_factory.mktemp("planted"), n_documents=300, model=demo_model)


def test_the_odd_one_out_is_found(planted: Planted, tmp_path: Path) -> None:
    for name, study in (("lexical", planted.lexical), ("pattern", planted.pattern)):
        with LabelHistory.open(tmp_path / f"{name}.db") as history:
            report = score_and_measure(
                study,
                study.features.tolist(),
                history,
                ScoreConfig(scorers=(INTRUDER,)),
                choice_judge=PlantedChoiceJudge(),
            )
        assert report.scorers[INTRUDER].mean >= 0.93
        assert report.scorers[INTRUDER].features >= 15


def test_text_with_the_concepts_words_makes_the_planted_sae_fire(
    planted: Planted, tmp_path: Path
) -> None:
    study = planted.lexical
    features = study.features.tolist()[::4]
    concepts = [planted.concepts[feature] for feature in features]
    provider = ScriptedProvider(ConceptWriter(concepts))
    opened = model_of(study)
    found = []
    for shift in (0, 1):
        names = [concepts[(i + shift) % len(features)].name for i in range(len(features))]
        with LabelHistory.open(tmp_path / f"{shift}.db") as history:
            put_labels(history, study, dict(zip(features, names, strict=True)))
            report = score_and_measure(
                study,
                features,
                history,
                ScoreConfig(scorers=(GENERATION,)),
                judge=provider,
                open_model=opened,
            )
        found.append(report.scorers[RESPONSIVENESS])
    right, wrong = found
    assert right.mean >= 0.95
    assert wrong.low <= 0.5 <= wrong.high


@pytest.mark.parametrize("kind", ["shuffled", "random-sae"])
def test_controls_are_at_the_floor(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path))
    study = planted.lexical
    features = study.features.tolist()
    control = extract(control_request(study, kind), tmp_path / "studies").study
    with LabelHistory.open(tmp_path / "labels.db") as history:
        put_labels(history, study, {f: planted.concepts[f].name for f in features})
        carry_labels(study, control, features, history)
        report = score_and_measure(
            control,
            features,
            history,
            ScoreConfig(scorers=("detection", INTRUDER)),
            judge=PlantedJudge(),
            choice_judge=PlantedChoiceJudge(),
        )
        states = history.states(control.info.sae_fingerprint, features, control.id).values()
        detection = summarise(carried_results(states)["detection"])
    assert detection is not None
    assert detection.low <= 0.5 <= detection.high
    intruder = report.scorers.get(INTRUDER)
    assert intruder is None or intruder.low <= FLOOR + 0.1
