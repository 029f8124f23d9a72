"""Labels scored and recorded: who is judged on what, what is kept, and what bad judges get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp_core.errors import BadInput, Cancelled, OutputError, ParameterError, StudyError
from autointerp_core.jobs.work import run_score_job
from autointerp_core.labels.config import ScoreConfig
from autointerp_core.labels.document_split import TEST, VALIDATE, Split
from autointerp_core.labels.providers.base import Budget
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.scoring import recording, run
from autointerp_core.labels.scoring.evidence import read_evidence
from autointerp_core.labels.scoring.judge import FitQuestion
from autointerp_core.labels.scoring.run import ScoreReport, score_labels
from autointerp_core.labels.scoring.sample_windows import HARDER
from autointerp_core.labels.search.record import record_search_labels
from autointerp_core.progress import Progress
from autointerp_core.store.event_details import ScoreDetails
from autointerp_core.store.events import GENERATED, IMPORTED, SCORED, LabelEvent, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.label_fixtures import write_study
from tests.core.score_fixtures import CONCEPTS, RuleJudge, concept_study, documents, oracle

NAMES = list(CONCEPTS)
BOTH = ("detection", "fuzzing")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return concept_study(tmp_path_factory.mktemp("scoring") / "toy-study", 300)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


def _propose(
    history: LabelHistory,
    study: Study,
    labels: dict[int, str],
    *,
    source: str = "llm:toy",
    documents: str | None = "label",
    kind: str = GENERATED,
) -> list[LabelEvent]:
    sae = study.info.sae_fingerprint
    details = {"documents": documents} if documents else {}
    return history.record_many(
        NewEvent(sae, feature, kind, text, source=source, method="peaks", details=details)
        for feature, text in labels.items()
    )


def _scored(history: LabelHistory, study: Study, feature: int = 0) -> list[LabelEvent]:
    events = history.history(study.info.sae_fingerprint, feature)
    return [event for event in events if event.kind == SCORED]


def _run(
    study: Study,
    history: LabelHistory,
    judge: RuleJudge,
    labels: dict[int, str] | None = None,
    *,
    again: bool = False,
    **options: Any,
) -> ScoreReport:
    _propose(history, study, labels or dict(enumerate(NAMES)))
    config = ScoreConfig(scorers=BOTH, again=again)
    return score_labels(study, [0, 1, 2], history, config, judge=judge, **options)


# ------------------------------------------------------------------ sane judges


def test_an_oracle_gives_the_right_label_a_high_score_and_others_the_floor(
    study: Study, history: LabelHistory
) -> None:
    report = _run(study, history, RuleJudge(oracle))
    assert report.features == 3
    assert report.missing == 0
    for scorer in BOTH:
        found = report.scorers[scorer]
        assert found.mean >= 0.95
        assert found.shuffled is not None
        assert 0.4 <= found.shuffled <= 0.6
        assert (found.floor, found.measure, found.judge) == (0.5, "balanced accuracy", "rule")
    scores = _scored(history, study)[-1].details["scores"]
    assert scores["detection"]["value"] >= 0.95
    assert scores["detection"]["n"] == 40
    assert scores["fuzzing"]["n"] == 30
    assert scores["detection"]["low"] <= 0.95


def test_a_judge_that_always_says_yes_is_exactly_at_the_floor(
    study: Study, history: LabelHistory
) -> None:
    report = _run(study, history, RuleJudge(lambda question: 1.0))
    for scorer, n in (("detection", 120), ("fuzzing", 90)):
        found = report.scorers[scorer]
        assert (found.mean, found.shuffled, found.n, found.n_missing) == (0.5, 0.5, n, 0)


def test_a_judge_that_answers_nothing_gives_no_score(study: Study, history: LabelHistory) -> None:
    report = _run(study, history, RuleJudge(lambda question: TimeoutError("no reply")))
    assert report.features == 0
    assert report.scorers == {}
    assert report.without["detection"] == (
        "no score, 360 judgements missing (commonest reason: no reply)"
    )
    assert report.missing_by == {"detection": 360, "fuzzing": 270}
    details = _scored(history, study)[-1].details
    assert (details["score"], details["test_score"]) == (None, None)
    assert details["scores"]["detection"]["value"] is None
    assert details["scores"]["detection"]["n_missing"] == 40
    assert details["scores"]["detection"]["n"] == 0
    assert details["missing"] == 2 * (40 + 30)
    assert details["unscored"].startswith("no judgement of any active window (40 of 40")
    assert history.state(study.info.sae_fingerprint, 0).score is None
    # Nothing was learnt, so the next run asks again.
    again = score_labels(study, [0], history, ScoreConfig(scorers=BOTH), judge=RuleJudge(oracle))
    assert again.features == 1


@pytest.mark.parametrize("decide", [oracle, lambda question: 1.0, lambda question: 0.0])
def test_errors_shrink_the_numbers_and_never_better_the_value(
    study: Study, history: LabelHistory, decide: Callable[[FitQuestion], float]
) -> None:
    turn = iter(range(10**6))

    def half(question: FitQuestion) -> float | Exception:
        return ConnectionError("cut") if next(turn) % 2 else decide(question)

    full = _run(study, history, RuleJudge(decide)).scorers
    fewer = _run(study, history, RuleJudge(half), again=True).scorers
    for scorer in BOTH:
        assert fewer[scorer].n == pytest.approx(full[scorer].n / 2, abs=3)
        assert fewer[scorer].n_missing == pytest.approx(full[scorer].n / 2, abs=3)
        assert fewer[scorer].mean == pytest.approx(full[scorer].mean, abs=0.01)
    scores = _scored(history, study)[-1].details["scores"]["detection"]
    assert scores["high"] - scores["low"] > 0.15


def test_a_coin_is_at_the_floor_whatever_the_label(study: Study, history: LabelHistory) -> None:
    generator = np.random.default_rng(0)
    found = _run(study, history, RuleJudge(lambda question: float(generator.random()))).scorers
    assert abs(found["detection"].mean - 0.5) < 0.12
    scores = [_scored(history, study, f)[-1].details["scores"]["detection"] for f in range(3)]
    assert sum(score["low"] <= 0.5 <= score["high"] for score in scores) >= 2


def test_search_labels_by_embedding_and_the_shuffled_baseline(
    study: Study, history: LabelHistory
) -> None:
    record_search_labels(study, [0, 1, 2, 3], history)
    report = score_labels(study, [0, 1, 2, 3], history)
    found = report.scorers["embedding"]
    assert (report.features, report.unlabelled) == (3, 1)
    assert (found.measure, found.judge) == ("auroc", "wordllama")
    assert found.mean > 0.9
    assert found.shuffled is not None
    assert found.shuffled < found.mean - 0.2
    assert (report.tokens_in, report.cost) == (0, None)


# ------------------------------------------------------------------ choosing and testing


def test_validate_ranks_and_test_is_shown(study: Study, history: LabelHistory) -> None:
    judge = RuleJudge(oracle)
    for text in ("fruit", "days of the week", "nothing at all"):
        _propose(history, study, {0: text})
    report = score_labels(study, [0], history, ScoreConfig(scorers=("detection",)), judge=judge)
    assert report.labels == 3
    state = history.state(study.info.sae_fingerprint, 0)
    assert state.label == "days of the week"
    details = {e.parent: e.details for e in _scored(history, study)}
    best = next(p for p in state.proposals if p.text == "days of the week")
    newest = next(p for p in state.proposals if p.text == "nothing at all")
    other = next(p for p in state.proposals if p.text == "fruit")
    assert state.score == best.score == details[best.event_id]["validate"]["detection"]
    assert details[best.event_id]["test_score"] is not None
    assert details[newest.event_id]["test_score"] is not None
    assert details[other.event_id]["test_score"] is None
    assert details[other.event_id]["scores"] == {}
    assert details[other.event_id]["validate"]["detection"] is not None
    # Windows of the two parts are never mixed.
    split = Split(study)
    parts = {split.part(q.window.example.document_index) for q in judge.asked}
    assert parts == {VALIDATE, TEST}
    asked = [q for q in judge.asked if q.label == "fruit"]
    tested = [q for q in asked if split.part(q.window.example.document_index) == TEST]
    assert not tested  # never the best, never shown


def test_no_document_of_test_decides_between_labels(study: Study, history: LabelHistory) -> None:
    """A judge that is right on test only moves no choice."""
    split = Split(study)

    def decide(question: FitQuestion) -> float:
        if split.part(question.window.example.document_index) == TEST:
            return oracle(question)
        return 1.0 - oracle(question) if question.label == "days of the week" else 0.5

    for text in ("days of the week", "fruit"):
        _propose(history, study, {0: text})
    score_labels(study, [0], history, ScoreConfig(scorers=("detection",)), judge=RuleJudge(decide))
    state = history.state(study.info.sae_fingerprint, 0)
    assert state.label == "fruit"


def test_the_label_that_a_person_chose_is_tested_too(study: Study, history: LabelHistory) -> None:
    sae = study.info.sae_fingerprint
    _propose(history, study, {0: "fruit", 1: "fruit"})
    mine = history.override(sae, 0, "days of the week", author="me")
    _propose(history, study, {1: "kinds of trees"}, source="import:x", kind=IMPORTED,
             documents=None)  # fmt: skip
    judge = RuleJudge(oracle)
    report = score_labels(study, [0, 1], history, ScoreConfig(scorers=("detection",)), judge=judge)
    details = {e.parent: e.details for e in _scored(history, study)}
    assert details[mine.id]["scores"]["detection"]["value"] >= 0.95
    assert history.state(sae, 0).label == "days of the week"
    assert history.state(sae, 1).label == "kinds of trees"
    assert report.scorers["detection"].mean >= 0.95


def test_a_rerun_asks_nothing_twice(study: Study, history: LabelHistory) -> None:
    first = RuleJudge(oracle)
    _run(study, history, first)
    before = [len(_scored(history, study, f)) for f in range(3)]
    second = RuleJudge(oracle)
    report = score_labels(study, [0, 1, 2], history, ScoreConfig(scorers=BOTH), judge=second)
    assert second.asked == []
    assert (report.labels, report.reused, report.features) == (0, 3, 3)
    assert [len(_scored(history, study, f)) for f in range(3)] == before
    # A further proposal is judged; those judged before are not.
    _propose(history, study, {0: "fruit"})
    third = RuleJudge(oracle)
    report = score_labels(study, [0, 1, 2], history, ScoreConfig(scorers=BOTH), judge=third)
    own = {q.label for q in third.asked}
    assert report.labels == 1
    assert "days of the week" not in own
    fourth = RuleJudge(oracle)
    again = score_labels(study, [0], history, ScoreConfig(scorers=BOTH, again=True), judge=fourth)
    assert again.labels == 2
    assert len(fourth.asked) == len({id(q) for q in fourth.asked}) > 200


def test_shuffled_labels_come_from_elsewhere_where_one_feature_is_scored(
    study: Study, history: LabelHistory
) -> None:
    _propose(history, study, {0: "days of the week"})
    alone = score_labels(study, [0], history)  # search labels of others, made on the spot
    assert alone.scorers["embedding"].shuffled is not None
    _propose(history, study, {1: "kinds of trees", 2: "fruit"})
    judge = RuleJudge(oracle)
    score_labels(study, [0], history, ScoreConfig(scorers=("detection",)), judge=judge)
    assert len({q.label for q in judge.asked} - {"days of the week"}) == 1


@pytest.mark.slow
def test_only_what_is_missing_is_asked_again(study: Study, history: LabelHistory) -> None:
    cut = True

    def outage(question: FitQuestion) -> float | Exception:
        hit = cut and question.marked is None and question.window.kind != "active"
        return TimeoutError("no reply") if hit else oracle(question)

    every = ("embedding", *BOTH)
    _propose(history, study, {0: "days of the week"})
    first = score_labels(study, [0], history, ScoreConfig(scorers=every), judge=RuleJudge(outage))
    assert set(first.scorers) == {"embedding", "fuzzing"}
    assert first.without == {
        "detection": "no score, 60 judgements missing (commonest reason: no reply)"
    }
    # The same outage again: nothing new to record.
    same = score_labels(study, [0], history, ScoreConfig(scorers=every), judge=RuleJudge(outage))
    assert (same.labels, same.features, len(_scored(history, study))) == (0, 1, 1)
    assert set(same.scorers) == {"embedding", "fuzzing"}
    cut = False
    judge = RuleJudge(outage)
    second = score_labels(study, [0], history, ScoreConfig(scorers=every), judge=judge)
    assert all(question.marked is None for question in judge.asked)
    assert len([q for q in judge.asked if q.label == "days of the week"]) == 80
    assert set(second.scorers) == set(every)
    assert (second.without, second.missing, second.scorers["detection"].n_missing) == ({}, 0, 0)
    found = history.state(study.info.sae_fingerprint, 0).proposals[0]
    assert set(found.validate) == set(found.scores) == set(every)
    assert found.score == found.validate["detection"]
    assert found.test_score == found.test_by("detection")
    files = {name: place.file for name, place in found.evidence.items()}
    assert files["embedding"] == files["fuzzing"] != files["detection"]
    rest = RuleJudge(oracle)
    assert score_labels(study, [0], history, ScoreConfig(scorers=every), judge=rest).reused == 1
    assert rest.asked == []


def test_a_few_missing_judgements_are_asked_again(study: Study, history: LabelHistory) -> None:
    turn = iter(range(10**6))
    judge = RuleJudge(lambda q: TimeoutError("cut") if next(turn) % 9 == 0 else oracle(q))
    first = _run(study, history, judge)
    assert first.missing > 0
    second = score_labels(
        study, [0, 1, 2], history, ScoreConfig(scorers=BOTH), judge=RuleJudge(oracle)
    )
    assert second.missing == 0
    assert all(found.n_missing == 0 for found in second.scorers.values())


@pytest.mark.slow
def test_the_summary_is_of_the_label_that_stands(study: Study, history: LabelHistory) -> None:
    sae = study.info.sae_fingerprint
    _propose(history, study, {0: "fruit"})
    score_labels(
        study,
        [0],
        history,
        ScoreConfig(scorers=("embedding", "detection")),
        judge=RuleJudge(oracle),
    )
    _propose(history, study, {0: "days of the week"}, source="search")
    report = score_labels(study, [0], history)
    state = history.state(sae, 0)
    assert state.label == "days of the week"  # though only one scorer judged it
    assert state.test_score == pytest.approx(report.scorers["embedding"].mean)
    _propose(history, study, {0: "canned"}, source="llm:scripted")
    report = score_labels(study, [0], history)
    state = history.state(sae, 0)
    assert (state.label, state.label_llm) == ("days of the week", "fruit")
    assert state.test_score == pytest.approx(report.scorers["embedding"].mean)


def test_a_scripted_judge_replaces_no_real_one(study: Study, history: LabelHistory) -> None:
    _propose(history, study, {0: "days of the week"})
    score_labels(study, [0], history, ScoreConfig(scorers=BOTH), judge=RuleJudge(oracle))
    before = history.state(study.info.sae_fingerprint, 0)
    canned = ScriptedProvider(verdicts=lambda prompt: 0.0)
    report = score_labels(study, [0], history, ScoreConfig(scorers=BOTH), judge=canned)
    assert report.scorers["detection"].mean == 0.5
    after = history.state(study.info.sae_fingerprint, 0)
    assert (after.score, after.test_score) == (before.score, before.test_score)


def test_a_judge_is_asked_about_harder_windows_where_that_is_wanted(
    study: Study, history: LabelHistory
) -> None:
    _propose(history, study, {0: "days of the week"})
    plain = ScoreConfig(scorers=("detection",))
    score_labels(study, [0], history, plain, judge=RuleJudge(oracle))
    harder = replace(plain, harder_windows=True)
    judge = RuleJudge(oracle)
    score_labels(study, [0], history, harder, judge=judge)
    without, found = (
        ScoreDetails.from_json(event.details).result("detection")
        for event in _scored(history, study)
    )
    assert without is not None
    assert found is not None
    assert without.near is without.neighbour is None
    assert (found.value, found.n, found.auprc) == (without.value, without.n, without.auprc)
    assert found.n_near == HARDER
    asked = {q.window.kind for q in judge.asked}
    assert {"near"} <= asked <= {"active", "easy", "hard", "near", "neighbour"}
    near = [q.window for q in judge.asked if q.window.kind == "near"]
    assert len({window.example.document_index for window in near}) == HARDER
    fired = set(study.firings(0).token.tolist())
    for window in near:
        example = window.example
        assert not any(example.values)
        assert window.token not in fired
    # The oracle says yes to no window in which the feature is silent.
    assert found.near == 1.0


def test_too_few_windows_to_mark_is_said(study: Study, history: LabelHistory) -> None:
    _propose(history, study, {0: "days of the week"})
    judge = RuleJudge(oracle)
    report = score_labels(
        study, [0], history, ScoreConfig(scorers=BOTH, score_windows=6), judge=judge
    )
    assert report.without == {
        "fuzzing": "no score, fewer than 5 windows whose firing tokens could be marked"
    }
    assert all(question.marked is None for question in judge.asked)
    config = ScoreConfig(scorers=BOTH, score_windows=6)
    again = score_labels(study, [0], history, config, judge=RuleJudge(oracle))
    assert again.reused == 1


# ------------------------------------------------------------------ no score


def test_too_few_documents(study: Study, tmp_path: Path, history: LabelHistory) -> None:
    texts = documents(60, rate=0.0)
    rare = [i for i, text in enumerate(texts) if text]
    for i in rare[:9]:
        texts[i] = f"{texts[i]} monday came"
    small = write_study(
        tmp_path / "rare", texts, {0: lambda pieces: [float(p == " monday") for p in pieces]}
    )
    _propose(history, small, {0: "days of the week"})
    report = score_labels(small, [0], history)
    here = report.too_few[0]
    assert here < 5
    assert report.unscored == {"fires in fewer than 5 test documents": 1}
    assert report.notices == []
    details = _scored(history, small)[-1].details
    assert details["unscored"] == (
        f"fires in {here} document{'s' * (here != 1)} of the test part; a score needs at least 5"
    )
    assert details["score"] is details["test_score"] is None
    again = score_labels(small, [0], history)
    assert again.too_few == {0: here}
    assert len(_scored(history, small)) == 1


def test_a_study_that_holds_nothing_out(tmp_path: Path, history: LabelHistory) -> None:
    tiny = concept_study(tmp_path / "tiny", 12)
    _propose(history, tiny, {0: "days of the week"})
    report = score_labels(tiny, [0], history)
    reason = "the study has 12 documents; a score needs at least 20, so that some can be held out"
    assert report.unscored == {reason: 1}
    assert _scored(history, tiny)[-1].details["unscored"] == reason


@pytest.mark.parametrize("seen", ["all", None])
def test_a_label_made_from_all_documents_has_no_score(
    study: Study, history: LabelHistory, seen: str | None
) -> None:
    _propose(history, study, {0: "days of the week"}, documents=seen)
    judge = RuleJudge(oracle)
    report = score_labels(study, [0], history, ScoreConfig(scorers=BOTH), judge=judge)
    assert judge.asked == []
    assert report.features == 0
    assert "made from all documents" in _scored(history, study)[-1].details["unscored"]
    # One made properly is scored, and is the label then.
    _propose(history, study, {0: "days"})
    score_labels(study, [0], history)
    assert history.state(study.info.sae_fingerprint, 0).label == "days"


def test_scores_from_one_study_are_not_lost_in_another(
    study: Study, tmp_path: Path, history: LabelHistory
) -> None:
    _run(study, history, RuleJudge(oracle))
    tiny = concept_study(tmp_path / "tiny", 12)
    score_labels(tiny, [0], history)
    state = history.state(study.info.sae_fingerprint, 0)
    assert state.test_score is not None
    places = state.proposals[0].evidence.values()
    assert {place.study for place in places} == {study.id}
    nobody = RuleJudge(lambda question: TimeoutError("no reply"))
    score_labels(study, [0], history, ScoreConfig(scorers=BOTH, again=True), judge=nobody)
    assert history.state(study.info.sae_fingerprint, 0).test_score == state.test_score


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scorers": ("accuracy",)}, "scorers is 'accuracy'; choose from embedding, detection"),
        ({"scorers": ()}, "scorers names no scorer; choose from embedding, detection, fuzzing"),
        (
            {"scorers": ("fuzzing",), "provider": "none"},
            "scoring by fuzzing asks a language model; give a provider",
        ),
        ({"score_windows": 2}, "score_windows is 2; give at least 5"),
    ],
)
def test_bad_input(
    study: Study, history: LabelHistory, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        score_labels(study, [0], history, ScoreConfig(**options))


def test_an_unknown_feature(study: Study, history: LabelHistory) -> None:
    with pytest.raises(BadInput, match="feature 77 is not in study"):
        score_labels(study, [77], history)


# ------------------------------------------------------------------ budget, kills, evidence


@pytest.mark.parametrize("after", [0, 30, 70, 150, 250, 400])
def test_a_budget_stops_the_run_and_keeps_what_is_complete(
    study: Study, history: LabelHistory, after: int
) -> None:
    judge = RuleJudge(oracle, stop_after=after)
    report = _run(study, history, judge)
    assert report.stopped == "the budget is spent"
    for feature in range(3):
        for event in _scored(history, study, feature):
            validate = event.details["validate"]
            assert all(value is not None for value in validate.values())
            assert event.details["missing"] == 0
            for score in event.details["scores"].values():
                assert score["n_missing"] == 0
    rest = RuleJudge(oracle)
    done = score_labels(study, [0, 1, 2], history, ScoreConfig(scorers=BOTH), judge=rest)
    assert done.features == 3
    full = 3 * 2 * (40 + 30) + 3 * (40 + 30)
    assert len(rest.asked) <= full
    if after >= 250:  # all of validate was recorded
        assert len(rest.asked) < full - 200
    assert done.scorers["detection"].mean >= 0.95


def test_a_provider_with_a_budget(study: Study, history: LabelHistory) -> None:
    provider = ScriptedProvider(verdicts=lambda prompt: 1.0, budget=Budget(tokens=3000))
    _propose(history, study, {0: "days of the week"})
    report = score_labels(study, [0], history, ScoreConfig(scorers=("detection",)), judge=provider)
    assert report.stopped is not None
    assert report.tokens_in > 0
    assert _scored(history, study) == []


def test_cancelling_loses_at_most_a_chunk(
    study: Study, history: LabelHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_CHUNK", 1)
    _propose(history, study, dict(enumerate(NAMES)))

    def cancel(report: Progress) -> None:
        if report.done == 2:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        score_labels(study, [0, 1, 2], history, progress=cancel)
    assert [len(_scored(history, study, f)) for f in range(3)] == [1, 1, 0]
    assert score_labels(study, [0, 1, 2], history).reused == 2


def test_progress_and_cost(study: Study, history: LabelHistory) -> None:
    seen: list[Progress] = []
    judge = RuleJudge(oracle)
    report = _run(study, history, judge, progress=seen.append)
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (0, 3, 3)
    assert any("judgements" in entry.message for entry in seen)
    assert report.tokens_in == 10 * len(judge.asked)
    assert report.cost == pytest.approx(0.001 * len(judge.asked))
    details = _scored(history, study)[-1].details
    assert details["cost"] == pytest.approx(0.001 * 140)
    assert details["tokens_in"] == 1400


def test_evidence_can_be_read_again(study: Study, history: LabelHistory) -> None:
    def decide(question: FitQuestion) -> float | Exception:
        if question.marked is None and question.window.kind == "hard":
            return TimeoutError("no reply")
        return oracle(question)

    _propose(history, study, dict(enumerate(NAMES)))
    score_labels(
        study,
        [0, 1, 2],
        history,
        ScoreConfig(scorers=("embedding", *BOTH)),
        judge=RuleJudge(decide),
    )
    event = _scored(history, study)[-1]
    assert event.parent is not None
    name = event.details["evidence"]
    found = read_evidence(study, name, 0, event.parent)
    by = {s: [j for j in found if j.scorer == s] for s in ("embedding", *BOTH)}
    assert {s: len(judged) for s, judged in by.items()} == {
        "embedding": 50, "detection": 40, "fuzzing": 30
    }  # fmt: skip
    for judged in by["detection"]:
        assert judged.expected == (judged.window.kind == "active")
        if judged.window.kind == "hard":
            assert (judged.probability, judged.right) == (None, None)
            assert judged.error == "no reply"
        else:
            assert judged.probability is not None
            assert judged.right == ((judged.probability > 0.5) == judged.expected)
        example = judged.window.example
        assert (max(example.values) > 0) == judged.expected
    for judged in by["fuzzing"]:
        assert judged.marked
        assert judged.expected == (judged.window.kind == "active")
    usual = [j for j in by["embedding"] if j.window.kind in ("active", "easy", "hard")]
    assert len(usual) == 40
    assert np.mean([j.right for j in usual if j.right is not None]) > 0.5
    near = [j for j in by["embedding"] if j.window.kind == "near"]
    assert len({j.window.example.document_index for j in near}) == len(near) == 10
    assert not any(max(j.window.example.values) > 0 for j in near)
    value = np.mean(
        [np.mean([j.right for j in by["fuzzing"] if j.expected == side]) for side in (True, False)]
    )
    assert value == pytest.approx(event.details["scores"]["fuzzing"]["value"], abs=1e-3)
    validate = read_evidence(study, name, 0, event.parent, VALIDATE)
    assert len(validate) == 110
    documents = {part: {j.window.example.document_index for j in judged}
                 for part, judged in ((TEST, found), (VALIDATE, validate))}  # fmt: skip
    assert not documents[TEST] & documents[VALIDATE]
    assert read_evidence(study, name, 0, 10**6) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../../etc/passwd", "is no name of an evidence file"),
        ("", "is no name of an evidence file"),
        ("gone", "are not in study toy-study any more; score again"),
        ("damaged", "cannot be read"),
    ],
)
def test_evidence_that_cannot_be_read(study: Study, name: str, message: str) -> None:
    folder = study.folder / "evidence"
    folder.mkdir(exist_ok=True)
    (folder / "damaged.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(StudyError, match=message):
        read_evidence(study, name, 0, 1)


def test_scores_are_kept_where_evidence_cannot_be(
    study: Study, history: LabelHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OutputError("cannot write")

    monkeypatch.setattr(recording, "write_evidence", refuse)
    _propose(history, study, {0: "days of the week"})
    report = score_labels(study, [0], history)
    assert report.features == 1
    assert report.notices == ["judged windows are not kept: cannot write"]
    assert _scored(history, study)[-1].details["evidence"] is None


def test_the_job(study: Study) -> None:
    with LabelHistory.open() as history:
        _propose(history, study, dict(enumerate(NAMES)))
    params = {
        "study": str(study.folder),
        "features": [0, 1],
        "scorers": ["embedding", "detection"],
        "provider": "scripted",
        "score_windows": 10,
    }
    found = run_score_job(params, lambda _: None)
    assert found["asked"] == [0, 1]
    assert set(found["scorers"]) <= {"embedding", "detection"}
    assert found["scorers"]["embedding"]["features"] == 2
    assert found["tokens_in"] > 0
    with LabelHistory.open() as history:
        state = history.state(study.info.sae_fingerprint, 0)
    assert state.proposals[0].scores["embedding"]["n"] == 20
