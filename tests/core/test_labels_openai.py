"""The openai provider against a real HTTP server that misbehaves."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from autointerp_core.errors import ParameterError, ProviderError
from autointerp_core.labels.providers.answer_cache import AnswerCache
from autointerp_core.labels.providers.base import (
    Budget,
    ChatPrompt,
    Completion,
    Message,
    Price,
    Usage,
    Verdict,
)
from autointerp_core.labels.providers.make import ProviderOptions, make_provider
from autointerp_core.labels.providers.openai_api import OpenAIProvider
from autointerp_core.labels.providers.openai_server import Limits
from tests.core.fake_chat_server import ChatServer, chat_server


@pytest.fixture
def no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("autointerp_core.labels.providers.openai_key.CODE_ROOT", tmp_path)


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


Ask = Callable[[OpenAIProvider, list[ChatPrompt]], list[Completion] | list[Verdict]]
BOTH: list[Ask] = [
    lambda asked, given: list(asked.complete(given)),
    lambda asked, given: list(asked.yes_no(given)),
]
both = pytest.mark.parametrize("ask", BOTH, ids=["complete", "yes_no"])


def mixed(number: int, prompt: str) -> str:
    """One request in five fails, each in its own way."""
    return ("429", "500", "cut", "garbage", "empty")[number // 5 % 5] if number % 5 == 0 else "ok"


@pytest.mark.slow
def test_a_thousand_features_with_every_fifth_reply_failing() -> None:
    """Ideal: all places busy all the time, for as long as the server takes for each request that
    it received; and the waits it asked of one prompt, the longest such, which nothing can hide
    where that prompt is the last. Our own pauses after a 500 or a cut reply are not ideal.
    """
    each, asks, limits = 0.4, 0.5, Limits(concurrency=32, timeout=20.0)
    with chat_server(mixed, seconds=each, retry_after=asks) as server:
        asked = provider(server, limits)
        asked.client()  # the SDK's import, seconds on a cold machine, is no request
        began = time.perf_counter()
        found = by_index(list(asked.complete(prompts(1000))))
        took = time.perf_counter() - began
        sent = len(server.asked)
        rerun = by_index(list(provider(server, limits).complete(prompts(1000))))
        assert len(server.asked) == sent
    assert {n: (c.text, c.error) for n, c in rerun.items()} == {
        n: (c.text, c.error) for n, c in found.items()
    }
    assert sorted(found) == list(range(1000))
    for index, completion in found.items():
        if completion.error is None:
            assert completion.text in ("", f"label of feature {index}")
        else:
            assert completion.text is None
    errors = [c for c in found.values() if c.error is not None]
    kinds = server.kinds()
    assert min(kinds[kind] for kind in ("429", "500", "cut", "garbage", "empty")) >= 40
    assert len(errors) == kinds["garbage"]
    assert all("could not be read" in (c.error or "") for c in errors)
    assert max(server.complete_replies().values()) == 1
    assert server.busiest <= limits.concurrency
    assert asked.usage.possibly_paid == kinds["cut"] + kinds["garbage"]
    # "feature 0" is three tokens.
    assert asked.usage.possibly_paid_tokens >= 3 * asked.usage.possibly_paid
    assert asked.usage.requests == len(server.asked)
    waits = Counter(prompt for prompt, kind in server.asked if kind == "429")
    ideal = len(server.asked) * each / limits.concurrency + max(waits.values()) * asks
    print(
        f"\n{len(server.asked)} requests in {took:.1f} s, ideal {ideal:.1f} s: {took / ideal:.2f}"
    )
    assert took <= 1.5 * ideal


@both
@pytest.mark.parametrize("kind", ["garbage", "broken", "bare"])
def test_a_reply_that_cannot_be_read_is_counted_and_not_asked_for_again(
    kind: str, ask: Ask
) -> None:
    with chat_server(
        lambda n, _: kind if n < 3 else "ok", chances=lambda _: {"Yes": 1.0}
    ) as server:
        first = provider(server)
        found = ask(first, prompts(3))
        assert all("could not be read" in (answer.error or "") for answer in found)
        assert first.usage.possibly_paid == 3
        assert first.usage.possibly_paid_tokens == 9
        assert first.usage.tokens_in == 0
        second = provider(server)
        again = ask(second, prompts(3))
        assert {a.index: a.error for a in again} == {a.index: a.error for a in found}
        assert second.usage == Usage()
        assert len(server.asked) == 3
        # Until somebody asks for it: then what is answered counts, also from then on.
        for call in (second.complete, second.yes_no):
            assert all(answer.error is None for answer in call(prompts(3), fresh=True))
        assert all(answer.error is None for answer in ask(provider(server), prompts(3)))
        assert len(server.asked) == 9


@pytest.mark.slow
def test_a_budget_stops_a_server_that_says_nothing_readable() -> None:
    with chat_server(lambda n, _: "garbage") as server:
        asked = provider(server, Limits(concurrency=1), budget=Budget(tokens=30))
        assert len(list(asked.complete(prompts(50)))) == 10
        assert "30 tokens" in (asked.stopped or "")
        assert len(server.asked) == 10


def test_an_error_in_place_of_an_answer_is_no_unreadable_reply() -> None:
    with chat_server(lambda n, _: "error" if n == 0 else "ok") as server:
        asked = provider(server)
        (found,) = asked.complete(prompts(1))
        assert found.error == "the server answered with an error: no upstream"
        assert asked.usage.possibly_paid == 0
        assert next(provider(server).complete(prompts(1))).text == "label of feature 0"


def test_answers_are_not_paid_for_twice() -> None:
    with chat_server() as server:
        first = list(provider(server).complete(prompts(5)))
        again = list(provider(server).complete(prompts(6)))
        assert len(server.asked) == 6
        assert {c.index: c.text for c in first} == {c.index: c.text for c in again if c.index < 5}
        assert sum(c.tokens_in for c in again) == 10
        list(provider(server).complete(prompts(1), fresh=True))
        assert len(server.asked) == 7


@pytest.mark.slow
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
        assert found.error == "no answer after 3 attempts (status 500: fault 500)"
        assert len(server.asked) == 3


@both
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("401", r"refused the API key \(401\): check OPENAI_API_KEY"),
        ("404", "/v1 has no model 'm'"),
        ("path", "check the base URL"),
        ("quota", "no quota"),
        ("402", "no quota"),
    ],
)
def test_what_no_attempt_can_mend_ends_the_run(
    kind: str, message: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-key")
    with chat_server(lambda n, _: kind) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with pytest.raises(ProviderError, match=message) as raised:
            ask(provider(server), prompts(200))
        assert "\n" not in str(raised.value)
        assert len(server.asked) <= 2 * QUICK.concurrency


@both
def test_a_server_that_wants_a_key_says_so(ask: Ask, no_key: None) -> None:
    with (
        chat_server(lambda n, _: "401") as server,
        pytest.raises(ProviderError, match=r"asks for an API key \(401\): set OPENAI_API_KEY"),
    ):
        ask(provider(server), prompts(2))


def test_one_refused_prompt_does_not_end_the_others() -> None:
    with chat_server(lambda n, p: "400" if p == "feature 1" else "ok") as server:
        found = by_index(list(provider(server).complete(prompts(3))))
        assert found[1].error == "the server refused the prompt (400): fault 400"
        assert not found[1].too_long
        assert found[0].text == "label of feature 0"
        assert len(server.asked) == 3


@both
def test_a_prompt_that_is_too_long_is_recognised_and_sent_once(ask: Ask) -> None:
    with chat_server(
        lambda n, p: "full" if p == "feature 1" else "ok", chances=lambda _: {"Yes": 0.5}
    ) as server:
        found = {answer.index: answer for answer in ask(provider(server), prompts(3))}
        assert found[1].too_long
        assert "maximum context length" in (found[1].error or "")
        assert not found[0].too_long
        assert found[0].error is None
        assert len(server.asked) == 3


@both
def test_nobody_there_is_one_clear_error(ask: Ask) -> None:
    with chat_server() as server:
        pass
    with pytest.raises(ProviderError, match="cannot reach"):
        ask(provider(server), prompts(3))


def test_a_server_that_goes_away_ends_the_run() -> None:
    asked = OpenAIProvider("m", base_url="http://127.0.0.1:9/v1", limits=Limits(2, 5.0, 2, 0.01))
    asked.reached = True
    with pytest.raises(ProviderError, match="cannot reach"):
        list(asked.complete(prompts(3)))


@pytest.mark.slow
def test_a_reply_that_takes_too_long_is_given_up_and_possibly_paid() -> None:
    with chat_server(seconds=1.0) as server:
        asked = provider(server, Limits(concurrency=1, timeout=0.2, attempts=2, first_wait=0.01))
        (found,) = asked.complete(prompts(1))
        assert found.error == "no answer after 2 attempts (timed out)"
        assert asked.usage.possibly_paid == 2
        assert asked.usage.tokens_in == 0


def test_halves_of_surrogate_pairs_end_nothing() -> None:
    odd = ChatPrompt((Message("user", "a \ud83d half"),))
    with chat_server(answer=lambda prompt: "half \ud83d") as server:
        (found,) = provider(server).complete([odd])
        assert found.text == "half ?"
        assert server.bodies[0]["messages"][0]["content"] == "a ? half"
        assert next(provider(server).complete([odd])).text == "half ?"
        assert len(server.asked) == 1


@pytest.mark.parametrize("address", ["localhost:8000/v1", "ftp://host/v1", "http://", "nonsense"])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(ParameterError, match="base URL"):
        OpenAIProvider("m", base_url=address)


@pytest.mark.slow
def test_a_budget_stops_the_run_and_a_rerun_goes_on() -> None:
    with chat_server(seconds=0.01) as server:
        asked = provider(server, Limits(concurrency=8), budget=Budget(tokens=13 * 10))
        found = list(asked.complete(prompts(50)))
        # What is under way is kept free, so that none goes past the budget.
        assert len(found) == 10
        assert asked.usage.tokens_in + asked.usage.tokens_out == 130
        assert "130 tokens" in (asked.stopped or "")
        assert list(asked.yes_no(prompts(3))) == []
        assert asked.stopped is not None
        rest = provider(server)
        assert len(list(rest.complete(prompts(50)))) == 50
        assert rest.stopped is None
        assert len(server.asked) == 50
        assert max(server.complete_replies().values()) == 1


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


SECRET = "sk-very-secret-0123456789"


@both
@pytest.mark.parametrize(
    "kind", ["ok", "400", "401", "403", "404", "422", "429", "500", "cut", "garbage", "full"]
)
def test_the_key_is_sent_and_kept_nowhere(
    kind: str,
    ask: Ask,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    found: list[Completion] | list[Verdict] = []
    trace = ""
    with chat_server(
        lambda n, p: kind, echo=f"your key {SECRET}", chances=lambda _: {"Yes": 0.5}
    ) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        asked = provider(server, Limits(concurrency=2, attempts=2, first_wait=0.01))
        try:
            found = ask(asked, prompts(2))
        except ProviderError as error:
            trace = "".join(traceback.TracebackException.from_exception(error).format())
            trace += repr(error) + repr(vars(error)) + repr(error.__cause__)
        assert server.keys == {f"Bearer {SECRET}"}
    written = b"".join(p.read_bytes() for p in own_home.rglob("*") if p.is_file())
    everything = (written.decode(), trace, repr(found), repr(vars(asked)), repr(asked.notices))
    out, err = capfd.readouterr()
    for text in (*everything, caplog.text, out, err):
        assert SECRET not in text
    if kind in ("400", "422", "full"):
        assert "your key ***" in repr(found)


def test_a_key_that_no_header_takes_is_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bad in ("sk-secret\nsk-other", "sk-secret sk", "sk-secré"):
        monkeypatch.setenv("OPENAI_API_KEY", bad)
        with pytest.raises(ProviderError, match="copy it again") as raised:
            list(OpenAIProvider("m").complete(prompts(1)))
        assert "secr" not in str(raised.value)


def test_the_key_can_stand_in_the_secrets_file(tmp_path: Path, no_key: None) -> None:
    secrets = tmp_path / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir()
    with chat_server() as server:
        secrets.write_text(f'OPENAI_API_KEY = "{SECRET}"\nOPENAI_BASE_URL = "{server.url}"\n')
        list(provider(server).complete(prompts(1)))
        assert server.keys == {f"Bearer {SECRET}"}
    secrets.write_text(f"OPENAI_API_KEY = {SECRET}\n")
    with pytest.raises(ProviderError, match="cannot be read as TOML") as raised:
        list(OpenAIProvider("m").complete(prompts(2, 1)))
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_a_password_in_the_address_is_not_shown() -> None:
    asked = OpenAIProvider("m", base_url="http://me:hunter2@127.0.0.1:9/v1")
    with pytest.raises(ProviderError, match=r"cannot reach http://127\.0\.0\.1:9/v1") as raised:
        list(asked.complete(prompts(1)))
    assert "hunter2" not in str(raised.value)


@both
def test_no_key_is_said(ask: Ask, no_key: None) -> None:
    with pytest.raises(ProviderError, match="no API key: set OPENAI_API_KEY"):
        ask(OpenAIProvider("gpt-x"), prompts(1))


@pytest.mark.slow
def test_a_caller_that_stops_reading_stops_the_requests() -> None:
    with chat_server(seconds=0.02) as server:
        made = provider(server, Limits(concurrency=2))
        answers = made.complete(prompts(500))
        assert isinstance(answers, Generator)
        next(answers)
        answers.close()
        asked = len(server.asked)
        time.sleep(0.15)
        assert len(server.asked) <= asked + 2
        assert asked < 50
        # Whoever hangs up in the middle of a reply may have to pay for it.
        assert 1 <= made.usage.possibly_paid <= 2


def test_a_damaged_line_in_the_cache_is_skipped(tmp_path: Path) -> None:
    cache = AnswerCache("s", "m", tmp_path)
    cache.put("a", Completion(3, "one", tokens_in=5))
    with cache.path.open("ab") as handle:
        handle.write(b'{"key": "b", "te')
    again = AnswerCache("s", "m", tmp_path)
    assert again.get("a", 7) == Completion(7, "one")
    assert again.get("b", 7) is None
    # What is written behind it is not lost with it.
    again.put("c", Completion(0, "two"))
    cache.put("d", Completion(0, "three"))
    last = AnswerCache("s", "m", tmp_path)
    assert [last.get(key, 1) for key in "abcd"] == [
        Completion(1, "one"),
        None,
        Completion(1, "two"),
        Completion(1, "three"),
    ]
    assert len(cache.path.read_bytes().splitlines()) == 4


def test_an_unreadable_reply_takes_the_place_of_no_answer(tmp_path: Path) -> None:
    cache = AnswerCache("s", "m", tmp_path)
    cache.put("a", Completion(0, "one"), 0.25)
    cache.put("a", Completion(0, None, "garbage"))
    cache.put("b", Completion(0, None, "garbage"))
    for known in (cache, AnswerCache("s", "m", tmp_path)):
        assert known.find("a", 1) == (Completion(1, "one"), 0.25)
        assert known.find("b", 1) == (Completion(1, None, "garbage"), None)
    cache.put("b", Completion(0, "two"))
    assert AnswerCache("s", "m", tmp_path).get("b", 1) == Completion(1, "two")


SCRIPT = """
import sys
from tests.core.test_labels_openai import Limits, OpenAIProvider, prompts
p = OpenAIProvider("m", base_url=sys.argv[1], limits=Limits(concurrency=4, first_wait=0.02))
for c in getattr(p, sys.argv[2])(prompts(200)):
    print(c.index, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("call", ["complete", "yes_no"])
def test_killed_and_resumed_no_answered_prompt_is_sent_twice(call: str) -> None:
    with chat_server(seconds=0.01, chances=lambda _: {"Yes": 0.5, "No": 0.5}) as server:
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, server.url, call], stdout=subprocess.PIPE, env=os.environ
        )
        assert child.stdout is not None
        seen = [int(child.stdout.readline()) for _ in range(60)]
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        before = len(server.asked)
        assert len(list(getattr(provider(server), call)(prompts(200)))) == 200
        resent = [prompt for prompt, _ in server.asked[before:]]
        assert not {f"feature {index}" for index in seen} & set(resent)
        # Only what was under way when it died may be asked a second time.
        assert len(server.asked) <= 200 + 4


def test_it_is_made_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    made = make_provider("openai", ProviderOptions("some-model"))
    assert (made.name, made.model) == ("openai", "some-model")
