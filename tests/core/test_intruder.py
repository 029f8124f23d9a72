"""Intruder detection: no label, a known floor, windows of test documents alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from autointerp_core.errors import ParameterError
from autointerp_core.labels.config import ScoreConfig
from autointerp_core.labels.document_split import TEST, Split
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.scoring.choice_judge import (
    Choice,
    ChoiceJudge,
    ChoiceQuestion,
    read_choice,
)
from autointerp_core.labels.scoring.measures.intruder import (
    FLOOR,
    INTRUDER,
    SHOWN,
    TRIALS,
    make_trials,
)
from autointerp_core.labels.scoring.measuring import score_and_measure
from autointerp_core.labels.scoring.sample_windows import WindowSampler
from autointerp_core.store.events import MEASURED
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.label_fixtures import write_study
from tests.core.score_fixtures import CONCEPTS, concept_study, documents, graded

ONLY = ScoreConfig(scorers=(INTRUDER,))


class Chooser(ChoiceJudge):
    """Answers by a function of the question."""

    name = "rule"

    def __init__(self, decide: Callable[[ChoiceQuestion], int | None], stop_after: int = 10**9):
        self._decide, self._left = decide, stop_after
        self.asked: list[ChoiceQuestion] = []

    def choose(
        self, questions: Sequence[ChoiceQuestion], *, fresh: bool = False
    ) -> Iterator[Choice]:
        self.stopped = None
        for index, question in enumerate(questions):
            if self._left <= 0:
                self.stopped = "the budget is spent"
                return
            self._left -= 1
            self.asked.append(question)
            said = self._decide(question)
            yield Choice(index, said, None if said is not None else "no idea", tokens_in=7)


def by_concept(question: ChoiceQuestion) -> int:
    """The window whose marked words are not of the concept that those of the others are of."""
    kinds = []
    for window, marked in zip(question.windows, question.marked, strict=True):
        words = {window.example.tokens[i].strip().lower() for i in marked}
        kinds.append(next((n for n, members in CONCEPTS.items() if words & set(members)), ""))
    common = max(CONCEPTS, key=kinds.count)
    return next((i for i, kind in enumerate(kinds) if kind != common), 0)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return concept_study(tmp_path_factory.mktemp("intruder") / "toy", count=300)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


def test_trials_share_no_window_and_show_test_documents_alone(study: Study) -> None:
    split = Split(study)
    found = WindowSampler(study, split, SHOWN * TRIALS).sample(0, TEST)
    trials = make_trials(found)
    assert len(trials) == TRIALS
    tokens = [w.token for trial in trials for w in trial.question.windows]
    assert len(set(tokens)) == len(tokens) == TRIALS * (SHOWN + 1)
    for trial in trials:
        windows = trial.question.windows
        others = [w for i, w in enumerate(windows) if i != trial.intruder]
        assert [w.active for w in windows].count(False) == 1
        assert not windows[trial.intruder].active
        assert all(split.part(w.example.document_index) == TEST for w in windows)
        assert len({w.example.document_index for w in others}) == SHOWN
        fired = windows[trial.intruder].example.values
        assert all(not fired[i] for i in trial.question.marked[trial.intruder])
        assert all(trial.question.marked)
    # Half of the intruders are from a document of the others; quarters go from strong to weak.
    assert sum(trial.hard for trial in trials) == TRIALS // 2
    assert [trial.quarter for trial in trials] == sorted(trial.quarter for trial in trials)
    strength = [
        np.mean([w.example.activation for w in t.question.windows if w.active]) for t in trials
    ]
    assert strength == sorted(strength, reverse=True)
    assert len({trial.intruder for trial in trials}) > 2
    assert make_trials(found) == trials
    assert make_trials(found, seed=1) != trials


def test_a_feature_of_one_meaning_and_one_of_none(tmp_path: Path, history: LabelHistory) -> None:
    """The same rule finds every intruder of a concept's feature, and guesses for a random one."""
    generator = np.random.default_rng(3)

    def anywhere(pieces: list[str]) -> list[float]:
        return [float(draw < 0.02) for draw in generator.random(len(pieces))]

    features = {0: graded(*CONCEPTS["fruit"]), **dict.fromkeys(range(1, 9), anywhere)}
    study = write_study(tmp_path / "mixed", documents(300), features)
    judge = Chooser(by_concept)
    report = score_and_measure(study, list(features), history, ONLY, choice_judge=judge)
    events = history.machine_events(study.info.sae_fingerprint, (MEASURED,), study.id, INTRUDER)
    results = {event.feature: event.details["results"][INTRUDER] for event in events}
    assert results[0]["value"] == 1.0
    assert results[0]["low"] > FLOOR
    assert all(event.parent is None for event in events)
    random = [results[feature]["value"] for feature in range(1, 9)]
    spread = 1.96 * np.sqrt(FLOOR * (1 - FLOOR) / (8 * TRIALS))
    assert abs(np.mean(random) - FLOOR) < spread
    assert report.scorers[INTRUDER].floor == FLOOR
    # Intruders are windows of the others, marked where those fire.
    trials = [trial for event in events for trial in event.details["more"]["trials"]]
    shown = [trial["tokens"][trial["intruder"]] for trial in trials]
    assert len(set(shown)) > len(shown) // 2
    quarters = events[0].details["more"]["quarters"]
    assert set(quarters) == {"1", "2", "3", "4"}


def test_nothing_is_asked_twice_and_missing_answers_are_asked_again(
    study: Study, history: LabelHistory
) -> None:
    dumb = Chooser(lambda question: None)
    report = score_and_measure(study, [0, 1, 3], history, ONLY, choice_judge=dumb)
    assert report.missing == 2 * TRIALS  # feature 3 never fires
    assert "missing" in report.without[INTRUDER]
    judge = Chooser(by_concept)
    report = score_and_measure(study, [0, 1], history, ONLY, choice_judge=judge)
    assert len(judge.asked) == 2 * TRIALS
    assert report.scorers[INTRUDER].mean == 1.0
    assert report.tokens_in == 7 * 2 * TRIALS
    score_and_measure(study, [0, 1], history, ONLY, choice_judge=judge)
    assert len(judge.asked) == 2 * TRIALS


def test_a_budget_keeps_what_was_measured(study: Study, history: LabelHistory) -> None:
    judge = Chooser(by_concept, stop_after=TRIALS + 3)
    report = score_and_measure(study, [0, 1, 2], history, ONLY, choice_judge=judge)
    assert report.stopped == "the budget is spent"
    assert report.scorers[INTRUDER].features == 1


def test_too_few_windows_give_no_score_and_say_how_many(
    tmp_path: Path, history: LabelHistory
) -> None:
    study = concept_study(tmp_path / "small", count=90)
    report = score_and_measure(study, [0], history, ONLY, choice_judge=Chooser(by_concept))
    assert INTRUDER not in report.scorers
    assert "the intruder measure needs 20" in report.without[INTRUDER]
    assert "windows in" in report.without[INTRUDER]


def test_a_model_answers_with_a_number(study: Study, history: LabelHistory) -> None:
    provider = ScriptedProvider(["2", "Text 9", "I am not sure", "<think>1</think>4", "**3.**"])
    report = score_and_measure(study, [0], history, ONLY, judge=provider)
    assert report.missing == 2
    prompt = provider.seen[0][0].messages[-1].content
    assert prompt.count("<<") >= SHOWN + 1
    assert report.scorers[INTRUDER].judge == "llm:scripted"


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ("3", 2),
        ("Number 5.", 4),
        ("<think>maybe 2</think>\n1", 0),
        ('{"answer": 3}', 2),
        ('{"number": "3", "reason": "1 and 2 are dates"}', 2),
        ("第3个", 2),
        ("③", 2),
        ("6", None),
        ("0", None),
        ("1 or 2", None),
        ("2.5", None),
        ("", None),
        (None, None),
    ],
)
def test_what_counts_as_a_choice(answer: str | None, place: int | None) -> None:
    assert read_choice(answer, 5) == place


def test_without_a_model_to_ask_it_says_so() -> None:
    with pytest.raises(ParameterError, match="intruder asks a language model"):
        ScoreConfig(scorers=(INTRUDER,), provider="none")
