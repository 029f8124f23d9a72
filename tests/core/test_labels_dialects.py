"""Servers differ in what they take: structured output, probabilities, limits, sampling."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autointerp_core.labels.providers.answer_cache import AnswerCache
from autointerp_core.labels.providers.base import (
    YES_NO,
    ChatPrompt,
    Completion,
    Message,
    Settings,
    prompt_hash,
)
from autointerp_core.labels.providers.openai_server import Limits
from autointerp_core.labels.providers.openai_wire import (
    Dialect,
    chance_of_yes,
    has_words,
    is_too_long,
    refused,
    unwrap,
)
from tests.core.fake_chat_server import Offers, chat_server
from tests.core.test_labels_openai import QUICK, prompts, provider

LABEL = Settings(json_field="label")
CHANCES = {"Yes": 0.5, " yes": 0.1, "No": 0.1, "Maybe": 0.2, "NO": 0.1}
P_YES = 0.6 / 0.8


@pytest.mark.slow
def test_probabilities_come_from_the_likeliest_tokens() -> None:
    with chat_server(chances=lambda _: CHANCES) as server:
        asked = provider(server)
        found = list(asked.yes_no(prompts(5)))
        assert sorted(v.index for v in found) == list(range(5))
        assert [v.probability for v in found] == pytest.approx([P_YES] * 5)
        assert all(v.tokens_in == 10 and v.tokens_out == 3 and v.seconds > 0 for v in found)
        assert all(body["max_tokens"] == 1 for body in server.bodies)
        assert all(body["top_logprobs"] == 20 and body["logprobs"] for body in server.bodies)
        assert all(body["temperature"] == 0 for body in server.bodies)
        assert asked.notices == []


def test_judgements_are_not_paid_for_twice_and_are_no_labels() -> None:
    with chat_server(chances=lambda _: CHANCES, answer=lambda _: "No") as server:
        first = sorted(provider(server).yes_no(prompts(5)), key=lambda v: v.index)
        again = sorted(provider(server).yes_no(prompts(6)), key=lambda v: v.index)
        assert len(server.asked) == 6
        assert [v.probability for v in again[:5]] == [v.probability for v in first]
        assert sum(v.tokens_in for v in again) == 10
        list(provider(server).yes_no(prompts(1), fresh=True))
        assert len(server.asked) == 7
        # The same words as a completion are another question.
        assert next(provider(server).complete(prompts(1), YES_NO)).text == "No"
        assert len(server.asked) == 8


def test_equal_prompts_of_one_call_are_asked_once() -> None:
    with chat_server(chances=lambda _: CHANCES) as server:
        asked = provider(server)
        found = list(asked.yes_no([*prompts(2), *prompts(2), *prompts(3)]))
        assert sorted(v.index for v in found) == list(range(7))
        assert [v.probability for v in found] == pytest.approx([P_YES] * 7)
        assert len(server.asked) == 3
        assert sum(v.tokens_in for v in found) == asked.usage.tokens_in == 30


@pytest.mark.parametrize(
    ("offers", "refusals"),
    [
        (Offers(logprobs="no"), True),
        (Offers(logprobs="no", status=422), True),
        (Offers(logprobs="vague"), True),
        (Offers(logprobs="ignored"), False),
    ],
)
def test_without_probabilities_the_word_counts(offers: Offers, refusals: bool) -> None:
    said = {"feature 0": "Yes.", "feature 1": "no", "feature 2": "Perhaps", "feature 3": ""}
    with chat_server(offers=offers, answer=said.__getitem__) as server:
        asked = provider(server, Limits(concurrency=2, attempts=1))
        found = {v.index: v for v in asked.yes_no(prompts(4))}
        assert [found[n].probability for n in range(4)] == [1.0, 0.0, None, None]
        assert "neither yes nor no" in (found[2].error or "")
        assert found[3].error == "empty answer"
        assert len(asked.notices) == 1
        assert "no probabilities" in asked.notices[0]
        assert max(server.complete_replies().values()) == 1
        assert server.kinds()["refused"] <= (2 if refusals else 0)
        before = len(server.asked)
        # Nor is a word that was neither asked for again.
        assert len(list(provider(server).yes_no(prompts(4)))) == 4
        assert len(server.asked) == before
        list(asked.yes_no(prompts(1, first=0), fresh=True))
        assert server.bodies[-1]["max_tokens"] == YES_NO.max_new_tokens
        assert "logprobs" not in server.bodies[-1]


def test_an_empty_reply_does_not_turn_probabilities_off() -> None:
    with chat_server(lambda n, _: "empty" if n == 0 else "ok", chances=lambda _: CHANCES) as server:
        asked = provider(server, Limits(concurrency=1))
        found = list(asked.yes_no(prompts(4)))
        assert found[0].error == "empty answer"
        assert [v.probability for v in found] == [None, *[pytest.approx(P_YES)] * 3]
        assert asked.dialect == Dialect()
        assert asked.notices == []
        # What is kept are the probabilities, not the words.
        again = {v.index: v.probability for v in provider(server).yes_no(prompts(4))}
        assert again == {v.index: v.probability for v in found}
        assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("content", "expected"), [("Yes", True), ("", False), (" \n", False), (None, False)]
)
def test_a_refusal_is_no_words(content: str | None, expected: bool) -> None:
    message = SimpleNamespace(content=content, refusal="I will not")
    assert has_words(SimpleNamespace(choices=[SimpleNamespace(message=message)])) is expected
    assert not has_words(SimpleNamespace(choices=[]))


def test_a_server_with_fewer_likeliest_tokens_gives_those() -> None:
    with chat_server(offers=Offers(most_logprobs=5), chances=lambda _: CHANCES) as server:
        asked = provider(server, Limits(concurrency=1, attempts=1))
        found = list(asked.yes_no(prompts(3)))
        assert [v.probability for v in found] == pytest.approx([P_YES] * 3)
        assert [body["top_logprobs"] for body in server.bodies] == [20, 5, 5, 5]
        assert asked.notices == []


@pytest.mark.parametrize("kind", ["500", "400", "garbage", "empty", "cut"])
def test_a_judgement_that_was_not_had_is_missing(kind: str) -> None:
    with chat_server(lambda n, _: kind, chances=lambda _: CHANCES) as server:
        limits = Limits(concurrency=2, attempts=2, first_wait=0.01, timeout=5.0)
        found = list(provider(server, limits).yes_no(prompts(3)))
    assert len(found) == 3
    assert all(v.probability is None and v.error for v in found)


def test_neither_among_the_likeliest_tokens_is_missing() -> None:
    with chat_server(chances=lambda _: {"The": 0.9, "A": 0.1}) as server:
        (found,) = provider(server).yes_no(prompts(1))
    assert found.probability is None
    assert "neither yes nor no" in (found.error or "")


def test_an_answer_in_json_is_unwrapped() -> None:
    with chat_server(answer=lambda _: 'the "net" loss') as server:
        asked = provider(server)
        (found,) = asked.complete(prompts(1), LABEL)
        assert found.text == 'the "net" loss'
        shape = server.bodies[0]["response_format"]
        assert shape["type"] == "json_schema"
        assert shape["json_schema"]["strict"] is True
        schema = shape["json_schema"]["schema"]
        assert schema["required"] == ["label"]
        assert schema["additionalProperties"] is False
        assert next(provider(server).complete(prompts(1), LABEL)).text == 'the "net" loss'
        assert len(server.asked) == 1
        list(asked.complete(prompts(1)))
        assert "response_format" not in server.bodies[1]


@pytest.mark.parametrize("how", ["no", "vague", "ignored"])
@pytest.mark.parametrize("status", [400, 404, 422])
@pytest.mark.slow
def test_a_server_without_structured_output_is_asked_plainly(how: str, status: int) -> None:
    if how == "vague" and status == 404:
        return  # nothing is at this address, as far as anybody can tell
    with chat_server(offers=Offers(response_format=how, status=status)) as server:
        asked = provider(server, QUICK)
        found = list(asked.complete(prompts(60), LABEL))
        assert {c.text for c in found} == {f"label of feature {n}" for n in range(60)}
        assert max(server.complete_replies().values()) == 1
        assert server.kinds()["refused"] <= (0 if how == "ignored" else QUICK.concurrency)
        assert sum(c.tokens_in for c in found) == asked.usage.tokens_in == 600
        if how != "ignored":
            assert len(asked.notices) == 1
            assert "response_format" not in server.bodies[-1]


@pytest.mark.slow
def test_a_refusal_of_a_parameter_is_no_attempt() -> None:
    offers = Offers(
        response_format="no", max_tokens="no", temperature="no", seed="no", logprobs="no"
    )
    with chat_server(offers=offers, answer=lambda _: "Yes") as server:
        asked = provider(server, Limits(concurrency=4, attempts=1))
        assert {c.text for c in asked.complete(prompts(9), LABEL)} == {"Yes"}
        assert {v.probability for v in asked.yes_no(prompts(9))} == {1.0}
        assert max(server.complete_replies().values()) == 2
        last = server.bodies[-1]
        assert set(last) == {"model", "messages", "max_completion_tokens"}
        # Room for reasoning that nobody sees.
        assert last["max_completion_tokens"] > 1000
        assert asked.usage.tokens_in == 180
        assert asked.usage.possibly_paid == 0
        assert sorted(n.split(" ")[1] for n in asked.notices) == ["takes", "takes", "the", "the"]


def test_a_prompt_refused_for_its_words_is_not_taken_for_a_parameter() -> None:
    with chat_server(lambda n, p: "400" if p == "feature 1" else "ok") as server:
        asked = provider(server, Limits(concurrency=1))
        found = {c.index: c for c in asked.complete(prompts(3), LABEL)}
        assert found[1].error == "the server refused the prompt (400): fault 400"
        assert asked.dialect == Dialect()
        assert found[2].text == "label of feature 2"
        # Once as asked and once plainly: the refusal did not say why.
        assert len(server.asked) == 4


def test_tokens_that_the_server_does_not_count_are_estimated_and_said() -> None:
    with chat_server(offers=Offers(counts_tokens=False)) as server:
        asked = provider(server)
        found = list(asked.complete(prompts(2)))
        assert all(c.tokens_in > 0 and c.tokens_out > 0 for c in found)
        assert ["estimated" in notice for notice in asked.notices] == [True]


def test_answers_kept_by_an_older_version_are_used(tmp_path: Path) -> None:
    # The hash of an ordinary question has not changed, nor has the line.
    asked = ChatPrompt((Message("system", "Name it."), Message("user", "x")))
    key = "28c5978e506aa5a8af99fa1c6ad91a73c80002922758c6f3db996be037bea4b8"
    assert prompt_hash(asked, Settings(9, 0.5, 3)) == key
    cache = AnswerCache("s", "m", tmp_path)
    line = {"key": key, "text": "old", "tokens_in": 1, "tokens_out": 1, "cost": None}
    cache.path.write_text(json.dumps(line) + "\n")
    assert cache.find(key, 4) == (Completion(4, "old"), None)
    cache.put("new", Completion(0, "Yes"), 0.75)
    again = AnswerCache("s", "m", tmp_path)
    assert again.find("new", 1) == (Completion(1, "Yes"), 0.75)
    assert again.get(key, 2) == Completion(2, "old")
    kinds = {prompt_hash(asked, YES_NO), prompt_hash(asked, YES_NO, kind="yes_no")}
    assert len(kinds | {prompt_hash(asked, Settings(4, json_field="label"))}) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"label": "net losses"}', "net losses"),
        ('```json\n{"label": "net losses"}\n```', "net losses"),
        ('{"name": "net losses"}', "net losses"),
        ('"net losses"', "net losses"),
        ('{"label": "net \\"loss', 'net "loss'),
        ('{"label": "net lo\\', "net lo"),
        ("net losses", "net losses"),
        ('{"a": "x", "b": "y"}', '{"a": "x", "b": "y"}'),
        ('{"label": 3}', '{"label": 3}'),
        ("{broken", "{broken"),
        ("", ""),
    ],
)
def test_unwrapping(text: str, expected: str) -> None:
    assert unwrap(text, "label") == expected
    assert unwrap(text, None) == text


@pytest.mark.parametrize(
    ("parameter", "said", "expected"),
    [
        (None, "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
         "'max_completion_tokens' instead.", "completion_limit"),
        ("temperature", "Unsupported value: 0 does not fit. Only the default (1) is.",
         "temperature"),
        (None, "This response_format type is unavailable now", "json_schema"),
        (None, "`logprobs` is not supported with this model", "logprobs"),
        (None, "Error code: 422 - {'detail': [{'type': 'extra_forbidden', 'loc': ['body', "
         "'seed'], 'msg': 'Extra inputs are not permitted'}]}", "seed"),
        (None, "I will not speak of the temperature of seed corn", None),
        (None, "Bad request", None),
    ],
)  # fmt: skip
def test_refusals_are_understood(parameter: str | None, said: str, expected: str | None) -> None:
    sent = {"max_tokens": 1, "temperature": 0, "seed": 0, "logprobs": 1, "response_format": {}}
    assert refused(sent, parameter, said) == expected
    assert refused({}, parameter, said) is None


@pytest.mark.parametrize(
    ("status", "code", "said", "expected"),
    [
        (400, "context_length_exceeded", "", True),
        (400, "", "'max_tokens' is too large: 32. This model's maximum context length is 256 "
         "tokens and your request has 300 input tokens", True),
        (400, "exceed_context_size_error", "the request exceeds the available context size", True),
        (400, "", "prompt is too long: 210000 tokens > 200000 maximum", True),
        (413, "", "Request too large for model", True),
        (500, "", "input exceeds the context size", True),
        (500, "", "it took too long", False),
        (429, "", "Request too large: tokens per minute", False),
        (400, "", "fault 400", False),
    ],
)  # fmt: skip
def test_a_full_context_is_recognised(status: int, code: str, said: str, expected: bool) -> None:
    assert is_too_long(status, code, said) == expected


def test_odd_probabilities_are_no_judgement() -> None:
    def reply(*top: tuple[str, Any]) -> Any:
        entries = [SimpleNamespace(token=token, logprob=logprob) for token, logprob in top]
        chosen = top[0][0] if top else "x"
        first = SimpleNamespace(token=chosen, logprob=0.0, top_logprobs=entries)
        return SimpleNamespace(choices=[SimpleNamespace(logprobs=SimpleNamespace(content=[first]))])

    def read(given: Any) -> tuple[float | None, bool]:
        chance = chance_of_yes(given)
        assert (chance.error is None) == (chance.probability is not None or not chance.given)
        return chance.probability, chance.given

    assert read(reply(("Yes", 0.0), ("No", -9999.0))) == (1.0, True)
    assert read(reply(("Yes", -9999.0), ("No", -9999.0))) == (None, True)
    assert read(reply(("Yes", None), ("The", -1.0))) == (None, True)
    assert read(reply()) == (None, False)
    assert read(SimpleNamespace(choices=[])) == (None, False)
