"""Scorers on real text, with features whose concept is known: a fair judge and a fair label."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autointerp_core.controls import carry_labels
from autointerp_core.extraction.control import control_request
from autointerp_core.extraction.run import extract
from autointerp_core.labels.config import ScoreConfig
from autointerp_core.labels.document_split import TEST, VALIDATE, Split
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.scoring.control_results import carried_results
from autointerp_core.labels.scoring.judge import FitQuestion
from autointerp_core.labels.scoring.measures.generation import GENERATION, RESPONSIVENESS
from autointerp_core.labels.scoring.measures.intruder import FLOOR, INTRUDER
from autointerp_core.labels.scoring.measuring import score_and_measure
from autointerp_core.labels.scoring.report import summarise
from autointerp_core.labels.scoring.run import ScoreReport, score_labels
from autointerp_core.labels.scoring.scorers.fuzzing import TOO_FEW
from autointerp_core.store.events import GENERATED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from autointerp_core.study_model import model_of
from benchmarks.judges import ConceptWriter
from benchmarks.planted.build import Planted, build_planted
from benchmarks.planted.concepts import Concept
from benchmarks.planted.judge import PlantedChoiceJudge, PlantedJudge
from benchmarks.planted.measured import measured_intruders, put_labels
from tests.core.score_fixtures import RuleJudge

BOTH = ("detection", "fuzzing")
FLOOR_MARGIN = 0.05


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> Planted:
    return build_planted(tmp_path_factory.mktemp("planted"), n_documents=300, model=demo_model)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


def _by_rule(concept: Concept, question: FitQuestion) -> float:
    """Yes where the concept's rule holds in the window's text, or for half of what is marked."""
    tokens = question.window.example.tokens
    spans = concept.fires("".join(tokens))
    if question.marked is None:
        return float(bool(spans))
    ends = np.cumsum([len(token) for token in tokens]).tolist()
    hits = sum(
        any(low < ends[i] and ends[i] - len(tokens[i].lstrip()) < high for low, high in spans)
        for i in question.marked
    )
    return float(2 * hits >= len(question.marked))


def _score(planted: Planted, study: Study, history: LabelHistory) -> tuple[ScoreReport, RuleJudge]:
    concepts = {concept.name: concept for concept in planted.concepts.values()}
    judge = RuleJudge(lambda question: _by_rule(concepts[question.label], question))
    features = [int(feature) for feature in study.features]
    history.record_many(
        NewEvent(
            study.info.sae_fingerprint,
            feature,
            GENERATED,
            planted.concepts[feature].name,
            source="llm:own name",
            details={"documents": "label"},
        )
        for feature in features
    )
    report = score_labels(
        study, features, history, ScoreConfig(scorers=("embedding", *BOTH)), judge=judge
    )
    return report, judge


@pytest.mark.parametrize(
    ("kind", "least", "features", "worst"),
    [("lexical", 0.95, 35, 0.75), ("pattern", 0.98, 30, 0.9)],
)
def test_a_concepts_own_name_scores_high_and_anothers_at_the_floor(
    planted: Planted, history: LabelHistory, kind: str, least: float, features: int, worst: float
) -> None:
    study: Study = getattr(planted, kind)
    report, judge = _score(planted, study, history)
    assert report.features >= features
    assert report.missing == 0
    for scorer in BOTH:
        found = report.scorers[scorer]
        assert found.mean >= least
        assert (found.easy or 0) >= least
        assert (found.hard or 0) >= least
    for found in report.scorers.values():
        assert found.shuffled is not None
        assert abs(found.shuffled - 0.5) < FLOOR_MARGIN
        assert found.shuffled_low is not None
        assert found.shuffled_low <= 0.5  # never above the floor by more than chance
    states = history.states(study.info.sae_fingerprint)
    values = [
        score["value"]
        for state in states.values()
        for name, score in state.proposals[0].scores.items()
        if name in BOTH and score["reason"] != TOO_FEW
    ]
    # A few lexical features fire on pieces of other words, which no judge of the text can tell.
    assert min(values) >= worst
    split = Split(study)
    text_of: dict[str, set[str]] = {VALIDATE: set(), TEST: set()}
    for question in judge.asked:
        document = question.window.example.document_index
        text_of[split.part(document)].add(study.tokens.document_text(document))
    assert all(text_of.values())
    assert not text_of[VALIDATE] & text_of[TEST]


@pytest.mark.slow
def test_the_odd_one_out_is_found(planted: Planted, tmp_path: Path) -> None:
    for name, study in (("lexical", planted.lexical), ("pattern", planted.pattern)):
        found = measured_intruders(study, tmp_path / f"{name}.db")
        assert found.mean >= 0.93
        assert found.features >= 15


@pytest.mark.slow
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


@pytest.mark.slow
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
