"""Options for labels: every contradiction is refused before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from autointerp_core.errors import ParameterError
from autointerp_core.labels.config import LabelConfig
from autointerp_core.labels.explain.prompts import METHODS
from autointerp_core.labels.providers.local import LocalProvider
from autointerp_core.labels.providers.make import ProviderOptions, make_provider
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.scoring.judge import FitQuestion
from autointerp_core.labels.scoring.llm_judge import prompt_for
from autointerp_core.labels.scoring.sample_windows import ACTIVE, Window
from autointerp_core.labels.scoring.scorers import SCORERS, parse_scoring
from autointerp_core.labels.search.rank_phrases import RANKED, can_rank, plan
from autointerp_core.store.study import Example


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"provider": "anthropic"}, r"'anthropic'; choose from local, openai, scripted, none"),
        ({"method": "best"}, r"'best'; choose from peaks, .*ranked"),
        ({"scorers": ("vibes",)}, r"'vibes'; choose from embedding, detection, fuzzing"),
        ({"group": "worst"}, r"choose from top, quantile_1"),
        ({"judge_provider": "none"}, r"'none'; choose from local, openai, scripted"),
        ({"candidates": 0}, "candidates is 0; give at least 1"),
        ({"max_examples": 0}, "max_examples is 0"),
        ({"score_windows": 2}, "score_windows is 2; give at least 5"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"budget_tokens": 0}, "budget is 0; give more than 0"),
        ({"budget_dollars": 0.0, "price_in": 1.0, "price_out": 1.0}, "budget is 0"),
        ({"budget_dollars": 5.0}, "a money budget needs price"),
        ({"price_in": 1.0}, "give both prices"),
        ({"price_in": -1.0, "price_out": 1.0}, "price is -1"),
        ({"hold_out": False, "scorers": ("embedding",)}, "has not seen"),
        ({"provider": "none", "scorers": ("detection",)}, "judge_provider"),
        ({"provider": "openai", "method": "ranked"}, "needs probabilities of whole phrases"),
        (
            {"provider": "local", "scorers": ("fuzzing",), "judge_provider": "openai"},
            "say which model judges: judge_model_path",
        ),
    ],
)
def test_contradictions_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        LabelConfig(**given)


def test_scoring_is_read_from_words() -> None:
    assert parse_scoring("none") == parse_scoring("") == ()
    assert parse_scoring("all") == SCORERS.names == ("embedding", "detection", "fuzzing")
    assert parse_scoring("fuzzing, embedding") == ("embedding", "fuzzing")
    with pytest.raises(ParameterError, match="'none'; choose from"):
        parse_scoring("embedding,none")
    with pytest.raises(ParameterError, match="'simulation'; choose from"):
        parse_scoring("embedding,simulation")


def test_params_of_a_job_become_options() -> None:
    options = LabelConfig.from_params(
        {"study": "x", "features": [1], "scorers": ["embedding"], "method": None, "hint": "law"},
        model_path="demo",
    )
    assert (options.scorers, options.method, options.hint) == (("embedding",), "peaks", "law")
    assert options.model_path == "demo"


@pytest.mark.parametrize("method", [*METHODS, RANKED])
@pytest.mark.parametrize("ranks", [True, False])
@pytest.mark.parametrize("candidates", [1, 2, 3, 6, 12])
def test_a_plan_asks_different_questions_and_the_chosen_one_last(
    method: str, ranks: bool, candidates: int
) -> None:
    asks = plan(method, candidates, ranks=ranks)
    assert len(asks) == max(1, candidates - 1)  # the search label is one of the proposals
    assert len(set(asks)) == len(asks)
    assert asks[-1][0] == method
    assert asks[-1][1].temperature == 0
    if not ranks and method != RANKED:
        assert RANKED not in dict(asks)


def test_only_who_knows_probabilities_ranks() -> None:
    assert can_rank(LocalProvider("demo"))
    assert not can_rank(ScriptedProvider())


def test_another_judge_gets_what_is_left_of_the_budget() -> None:
    options = LabelConfig(
        provider="scripted",
        scorers=("detection",),
        judge_provider="openai",
        judge_model_path="big",
        budget_tokens=100,
    )
    labeller = options.make_provider()
    assert labeller is not None
    labeller.usage.tokens_in = 60
    judge = options.make_judge_provider(labeller)
    assert judge is not None
    assert (judge.name, judge.model, judge.budget.tokens) == ("openai", "big", 40)
    local = LabelConfig(
        provider="openai",
        model_path="big",
        scorers=("detection",),
        judge_provider="local",
        judge_model_path="demo",
        price_in=10.0,
        price_out=10.0,
        budget_dollars=1.0,
    ).make_judge_provider(None)
    assert local is not None
    assert (local.name, local.price, local.budget.dollars) == ("local", None, None)
    same = LabelConfig(provider="scripted", scorers=("detection",))
    assert same.make_judge_provider(labeller) is labeller
    assert LabelConfig(scorers=("embedding",)).make_judge_provider(labeller) is None


def test_the_scripted_judge_goes_by_words() -> None:
    provider = make_provider("scripted", ProviderOptions("scripted"))
    example = Example(
        1, "top", 1.0, 0, 1, 0, 0, (1, 2, 3), ("A", " Net", " loss"), (0.0, 1.0, 0.0), 1
    )
    window = Window(example, ACTIVE, 1)
    asked = [
        FitQuestion("detection", "scripted: net, gain", window),
        FitQuestion("detection", "scripted: gains", window),
        FitQuestion("fuzzing", "net", window, marked=(1,)),
        FitQuestion("fuzzing", "net", window, marked=(2,)),
    ]
    said = {v.index: v.probability for v in provider.yes_no([prompt_for(q) for q in asked])}
    assert said == {0: 1.0, 1: 0.0, 2: 1.0, 3: 0.0}
