"""The openai provider against a real HTTP server that misbehaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autointerp_core.errors import ParameterError, ProviderError
from autointerp_core.labels.answers import AnswerCache
from autointerp_core.labels.openai_api import Limits, OpenAIProvider
from autointerp_core.labels.provider import (
    Budget,
    ChatPrompt,
    Completion,
    Message,
    Price,
    ProviderOptions,
    make_provider,
)
from tests.core.fake_chat_server import ChatServer, chat_server

QUICK = Limits(concurrency=16, timeout=5.0, first_wait=0.02)


def prompts(count: int, first: int = 0) -> list[ChatPrompt]:
    return [ChatPrompt((Message("user", f"feature {n}"),)) for n in range(first, first + count)]


def provider(
    server: ChatServer,
    limits: Limits = QUICK,
    price: Price | None = None,
    budget: Budget | None = None,
) -> OpenAIProvider:
    return OpenAIProvider("m", base_url=server.url, limits=limits, price=price, budget=budget)


def by_index(found: list[Completion]) -> dict[int, Completion]:
    return {completion.index: completion for completion in found}


def mixed(number: int, prompt: str) -> str:
    """One request in five fails, each in its own way."""
    return ("429", "500", "cut", "garbage", "empty")[number // 5 % 5] if number % 5 == 0 else "ok"


def test_a_thousand_features_with_every_fifth_reply_failing() -> None:
    each = 0.1
    with chat_server(seconds=each) as server:
        list(provider(server).complete(prompts(1, first=5000)))  # the SDK's import is no request
        began = time.perf_counter()
        list(provider(server).complete(prompts(160)))
        # On a busy machine the client's own work, not the server's, sets the pace.
        pace = max((time.perf_counter() - began) / 160, each / QUICK.concurrency)
    with chat_server(mixed, seconds=each) as server:
        asked = provider(server)
        began = time.perf_counter()
        found = by_index(list(asked.complete(prompts(1000))))
        took = time.perf_counter() - began
        assert sorted(found) == list(range(1000))
        for index, completion in found.items():
            if completion.error is None:
                assert completion.text in ("", f"label of feature {index}")
            else:
                assert completion.text is None
        errors = [c for c in found.values() if c.error is not None]
        assert errors
        assert all("could not be read" in (c.error or "") for c in errors)
        assert max(server.complete_replies().values()) == 1
        assert server.busiest <= QUICK.concurrency
        assert asked.usage.possibly_paid == sum(kind == "cut" for _, kind in server.asked)
        assert asked.usage.requests == len(server.asked)
        assert took <= 1.5 * len(server.asked) * pace + 1.0


def test_answers_are_not_paid_for_twice() -> None:
    with chat_server() as server:
        first = list(provider(server).complete(prompts(5)))
        again = list(provider(server).complete(prompts(6)))
        assert len(server.asked) == 6
        assert {c.index: c.text for c in first} == {c.index: c.text for c in again if c.index < 5}
        assert sum(c.tokens_in for c in again) == 10
        list(provider(server).complete(prompts(1), fresh=True))
        assert len(server.asked) == 7


def test_the_server_says_how_long_to_wait() -> None:
    with chat_server(lambda n, _: "429" if n == 0 else "ok", retry_after=0.4) as server:
        began = time.perf_counter()
        (found,) = provider(server).complete(prompts(1))
        assert found.text == "label of feature 0"
        assert time.perf_counter() - began >= 0.4


def test_attempts_end() -> None:
    limits = Limits(attempts=3, first_wait=0.01)
    with chat_server(lambda n, _: "500") as server:
        (found,) = provider(server, limits).complete(prompts(1))
        assert found.error == "no answer after 3 attempts (status 500)"
        assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("kind", "message"),
    [("401", "refused the API key"), ("404", "no model 'm'"), ("quota", "no quota")],
)
def test_what_no_attempt_can_mend_ends_the_run(kind: str, message: str) -> None:
    with chat_server(lambda n, _: kind) as server:
        with pytest.raises(ProviderError, match=message):
            list(provider(server).complete(prompts(200)))
        assert len(server.asked) <= 2 * QUICK.concurrency


def test_one_refused_prompt_does_not_end_the_others() -> None:
    with chat_server(lambda n, p: "400" if p == "feature 1" else "ok") as server:
        found = by_index(list(provider(server).complete(prompts(3))))
        assert "the context is too long" in (found[1].error or "")
        assert found[0].text == "label of feature 0"
        assert len(server.asked) == 3


def test_nobody_there_is_one_clear_error() -> None:
    with chat_server() as server:
        pass
    with pytest.raises(ProviderError, match="cannot reach"):
        list(provider(server).complete(prompts(3)))


def test_a_budget_stops_the_run_and_a_rerun_goes_on() -> None:
    with chat_server() as server:
        asked = provider(server, Limits(concurrency=2), budget=Budget(tokens=13 * 10))
        found = list(asked.complete(prompts(50)))
        assert 10 <= len(found) <= 12
        assert "130 tokens" in (asked.stopped or "")
        rest = provider(server)
        assert len(list(rest.complete(prompts(50)))) == 50
        assert rest.stopped is None
        assert len(server.asked) == 50


def test_money_is_counted_where_a_price_is_known() -> None:
    price = Price(1.0, 2.0)
    with chat_server() as server:
        asked = provider(server, Limits(concurrency=1), price, Budget(dollars=16e-6 * 3))
        found = list(asked.complete(prompts(9)))
        assert len(found) == 3
        assert asked.usage.dollars == pytest.approx(3 * 16e-6)
        assert "$" in (asked.stopped or "")
        unknown = next(provider(server).complete(prompts(1, first=100)))
        assert unknown.cost is None
    with pytest.raises(ParameterError, match="price"):
        OpenAIProvider("m", budget=Budget(dollars=1.0))


@pytest.mark.parametrize("given", [{"attempts": 0}, {"concurrency": 0}, {"timeout": 0.0}])
def test_limits_that_mean_nothing_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(ParameterError):
        Limits(**given)


def test_the_key_is_sent_and_kept_nowhere(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with chat_server() as server:
        asked = provider(server)
        list(asked.complete(prompts(2)))
        assert server.keys == {"Bearer sk-very-secret"}
    written = b"".join(p.read_bytes() for p in own_home.rglob("*") if p.is_file())
    assert b"sk-very-secret" not in written
    assert "sk-very-secret" not in repr(vars(asked))


def test_no_key_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("autointerp_core.labels.openai_api.PROJECT_ROOT", tmp_path)
    with pytest.raises(ProviderError, match="OPENAI_API_KEY"):
        list(OpenAIProvider("gpt-x").complete(prompts(1)))


def test_a_caller_that_stops_reading_stops_the_requests() -> None:
    with chat_server(seconds=0.02) as server:
        answers = provider(server, Limits(concurrency=2)).complete(prompts(500))
        next(answers)
        answers.close()
        asked = len(server.asked)
        time.sleep(0.15)
        assert len(server.asked) <= asked + 2
        assert asked < 50


def test_a_damaged_line_in_the_cache_is_skipped(tmp_path: Path) -> None:
    cache = AnswerCache("s", "m", tmp_path)
    cache.put("a", Completion(3, "one", tokens_in=5))
    with cache.path.open("ab") as handle:
        handle.write(b'{"key": "b", "te')
    again = AnswerCache("s", "m", tmp_path)
    assert again.get("a", 7) == Completion(7, "one")
    assert again.get("b", 7) is None


SCRIPT = """
import sys
from tests.core.test_labels_openai import Limits, OpenAIProvider, prompts
p = OpenAIProvider("m", base_url=sys.argv[1], limits=Limits(concurrency=4, first_wait=0.02))
for c in p.complete(prompts(200)):
    print(c.index, flush=True)
"""


def test_killed_and_resumed_no_answered_prompt_is_sent_twice() -> None:
    with chat_server(seconds=0.01) as server:
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, server.url], stdout=subprocess.PIPE, env=os.environ
        )
        assert child.stdout is not None
        seen = [int(child.stdout.readline()) for _ in range(60)]
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        before = len(server.asked)
        assert len(list(provider(server).complete(prompts(200)))) == 200
        resent = [prompt for prompt, _ in server.asked[before:]]
        assert not {f"feature {index}" for index in seen} & set(resent)
        # Only what was under way when it died may be asked a second time.
        assert len(server.asked) <= 200 + 4


def test_it_is_made_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    made = make_provider("openai", ProviderOptions("some-model"))
    assert (made.name, made.model) == ("openai", "some-model")
