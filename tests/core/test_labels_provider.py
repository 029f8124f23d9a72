"""What every provider shares: reading yes and no, counting, budgets, prices."""

from __future__ import annotations

import pytest

from autointerp_core.errors import ParameterError
from autointerp_core.labels.providers.base import (
    Budget,
    ChatPrompt,
    Message,
    Price,
    Usage,
    estimate_tokens,
    read_yes_no,
)
from autointerp_core.labels.providers.make import ProviderOptions, make_provider
from autointerp_core.labels.providers.scripted import ScriptedProvider, YesNo

ASKED = [ChatPrompt((Message("user", f"is it {n}?"),)) for n in range(6)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes", True),
        (" yes.", True),
        ("**YES**", True),
        ("'Yes'", True),
        ("Yes, there is no doubt", True),
        ("Answer: yes", True),
        ("The answer is no.", False),
        ("No", False),
        ("no\nbecause", False),
        ("No, it does not", False),
        ("No it does not", False),
        ("<think>Yes? No…</think>\nNo", False),
        ("<think>Yes, it", None),
        ("No idea", None),
        ("No answer", None),
        ("yes and no", None),
        ("Yes or no", None),
        ("yes/no", None),
        ("Not sure", None),
        ("I have no idea", None),
        ("yesterday", None),
        ("nothing", None),
        ("", None),
        (None, None),
    ],
)
def test_reading_yes_and_no(text: str | None, expected: bool | None) -> None:
    assert read_yes_no(text) is expected


def test_a_scripted_provider_judges_by_script() -> None:
    script: list[YesNo] = [True, False, 0.25, None, TimeoutError("no answer in 30 s"), 1.0]
    provider = ScriptedProvider(verdicts=lambda prompt: script[ASKED.index(prompt)])
    found = list(provider.yes_no(ASKED))
    assert [v.probability for v in found] == [1.0, 0.0, 0.25, None, None, 1.0]
    assert [v.error for v in found] == [None, None, None, "empty answer", "no answer in 30 s", None]
    assert provider.judged == ASKED
    assert provider.seen == []
    assert provider.usage == Usage(6, 18, 6)


def test_without_verdicts_the_answers_are_read() -> None:
    provider = ScriptedProvider(["Yes", "no.", "perhaps", None, ValueError("broken"), "Yes"])
    found = list(provider.yes_no(ASKED))
    assert [v.probability for v in found] == [1.0, 0.0, None, None, None, 1.0]
    assert found[2].error == "neither yes nor no (it answered: 'perhaps')"
    assert found[4].error == "broken"


def test_costs_are_known_where_a_price_is_and_budgets_stop() -> None:
    price = Price(1e6, 2e6)
    provider = ScriptedProvider(["two words"], price=price, budget=Budget(dollars=14.0))
    found = list(provider.complete(ASKED))
    assert [c.cost for c in found] == [7.0, 7.0]
    assert provider.usage.dollars == 14.0
    assert provider.stopped == "the budget of $14 is used up"
    assert list(provider.yes_no(ASKED)) == []
    free = ScriptedProvider(["two words"])
    assert next(free.complete(ASKED)).cost is None
    assert free.usage.dollars is None


def test_what_is_left_of_a_budget() -> None:
    spent = Usage(3, 50, 10, 1, 5, 0.5)
    assert Budget(tokens=100).less(spent) == Budget(tokens=35)
    assert Budget(dollars=2.0).less(spent) == Budget(dollars=1.5)
    assert Budget(tokens=65).less(spent) is None
    assert Budget().less(spent) == Budget()


@pytest.mark.parametrize("given", [{"tokens": 0}, {"dollars": 0.0}, {"dollars": -1.0}])
def test_a_budget_of_nothing_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(ParameterError, match="more than 0"):
        Budget(**given)


def test_prices_and_budgets_that_mean_nothing_are_refused() -> None:
    for price in ((-1.0, 1.0), (1.0, float("nan")), (float("inf"), 1.0)):
        with pytest.raises(ParameterError, match="price"):
            Price(*price)
    for name in ("local", "openai", "scripted"):
        with pytest.raises(ParameterError, match="money budget needs a price"):
            make_provider(name, ProviderOptions("demo", budget=Budget(dollars=1.0)))
    with pytest.raises(ParameterError, match="choose from local, openai, scripted"):
        make_provider("nonsense", ProviderOptions("demo"))


def test_tokens_are_estimated_without_a_model() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("net loss of the year") == 5
    assert estimate_tokens("東京は晴れ") == 4
    assert estimate_tokens("\ud800") == 1
    assert make_provider("local", ProviderOptions("absent")).count_tokens("net loss") == 2
