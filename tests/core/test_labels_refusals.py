"""Servers that refuse a parameter in their own words, which keys they are sent, and judges.

``data/refusals.jsonl`` holds a recorded error a line: status, body, what the server does not take,
and the words of it that a person must be shown.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp_core.errors import ParameterError, ProviderError
from autointerp_core.labels.providers.base import YES_NO, ChatPrompt, Message, Settings
from autointerp_core.labels.providers.openai_api import OpenAIProvider
from autointerp_core.labels.providers.openai_key import (
    NO_KEY,
    find_key,
    hide,
    server_address,
)
from autointerp_core.labels.providers.openai_server import Limits
from autointerp_core.labels.providers.openai_wire import Dialect, merged
from autointerp_core.labels.providers.yes_no_chance import LEAST_MASS, weigh
from tests.core.fake_chat_server import chat_server

DATA = Path(__file__).parent / "data"
REFUSALS: dict[str, dict[str, Any]] = {
    shape["name"]: shape
    for shape in map(json.loads, (DATA / "refusals.jsonl").read_text("utf-8").splitlines())
}
ASK = Settings(json_field="label")


def prompts(count: int) -> list[ChatPrompt]:
    return [
        ChatPrompt(
            (
                Message("system", "Name it."),
                Message("user", "Words: oak, birch"),
                Message("assistant", "kinds of trees"),
                Message("user", f"feature {n}"),
            )
        )
        for n in range(count)
    ]


def provider(url: str, **limits: Any) -> OpenAIProvider:
    return OpenAIProvider("m", base_url=url, limits=Limits(**{"attempts": 1, **limits}))


def holds(lost: str, body: dict[str, Any]) -> bool:
    """Whether a request holds what a server does not take."""
    if lost == "system":
        return any(message["role"] == "system" for message in body["messages"])
    if lost == "least_tokens":
        return bool(body["max_tokens"] < 16)
    names = {
        "json_schema": "response_format",
        "top_logprobs": "logprobs",
        "completion_limit": "max_tokens",
    }
    return names.get(lost, lost) in body


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.slow
def test_what_a_server_refuses_is_left_out_once_and_remembered(name: str) -> None:
    shape = REFUSALS[name]
    judged = shape.get("judged", False)

    def refuse(body: dict[str, Any]) -> tuple[int, object] | None:
        return (shape["status"], shape["body"]) if holds(shape["lost"], body) else None

    with chat_server(
        refuse=refuse, answer=lambda _: "Yes", chances=lambda _: {"Yes": 0.9, "No": 0.1}
    ) as server:
        asked = provider(server.url, concurrency=1)
        if judged:
            said = list(asked.yes_no(prompts(4)))
            chance = 1.0 if shape["lost"] == "top_logprobs" else pytest.approx(0.9)
            assert [v.probability for v in said] == [chance] * 4
        else:
            assert [c.text for c in asked.complete(prompts(4), ASK)] == ["Yes"] * 4
        # Refused once; top_logprobs may be tried with fewer before it is given up.
        assert server.kinds()["refused"] <= (2 if shape["lost"] == "top_logprobs" else 1)
        assert server.kinds()["ok"] == 4
        assert getattr(asked.dialect, shape["lost"]) != getattr(Dialect(), shape["lost"])
        others = set(vars(Dialect())) - {shape["lost"]}
        assert all(getattr(asked.dialect, n) == getattr(Dialect(), n) for n in others)
        assert any(shape["words"] in notice for notice in asked.notices) or not shape["words"]


def test_a_system_turn_is_merged_and_nothing_of_it_lost() -> None:
    with chat_server(refuse=lambda body: None) as server:
        asked = provider(server.url)
        asked.learn(Dialect(system=False))
        list(asked.complete(prompts(1)))
        (body,) = server.bodies
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert body["messages"][0]["content"] == "Name it.\n\nWords: oak, birch"
    assert merged([Message("user", "x")]) == [Message("user", "x")]
    assert merged([Message("system", "a")]) == [Message("user", "a")]


@pytest.mark.slow
def test_several_refusals_one_after_the_other() -> None:
    lost = ["system", "seed", "temperature", "json_schema", "completion_limit"]
    bodies = {REFUSALS[name]["lost"]: REFUSALS[name] for name in reversed(REFUSALS)}

    def refuse(body: dict[str, Any]) -> tuple[int, object] | None:
        shape = next((bodies[n] for n in lost if holds(n, body)), None)
        return None if shape is None else (shape["status"], shape["body"])

    with chat_server(refuse=refuse) as server:
        asked = provider(server.url, concurrency=1)
        found = list(asked.complete(prompts(3), ASK))
        assert [c.text for c in found] == [f"label of feature {n}" for n in range(3)]
        assert server.kinds() == {"refused": 5, "ok": 3}
        assert set(server.bodies[-1]) == {"model", "messages", "max_completion_tokens"}
        assert asked.usage.tokens_in == 30


def test_a_bound_that_is_taken_under_no_name_is_left_out() -> None:
    def refuse(body: dict[str, Any]) -> tuple[int, object] | None:
        for name in ("max_tokens", "max_completion_tokens"):
            if name in body:
                return 422, {"detail": [{"loc": ["body", name], "msg": "Extra inputs"}]}
        return None

    with chat_server(refuse=refuse) as server:
        asked = provider(server.url, concurrency=1)
        assert [c.error for c in asked.complete(prompts(2))] == [None, None]
        assert server.kinds() == {"refused": 2, "ok": 2}
        assert ["no bound" in notice for notice in asked.notices] == [True]


def test_what_cannot_be_left_out_shows_the_servers_words() -> None:
    error = {"message": {"detail": [{"loc": ["body", "model"], "msg": "Field is odd"}]}}
    with chat_server(refuse=lambda body: (422, error)) as server:
        (found,) = provider(server.url).complete(prompts(1))
        assert found.error == "the server refused the prompt (422): model: Field is odd"
    jinja = {"error": {"message": "Jinja Exception: 'foo' is undefined", "code": 500}}
    with chat_server(refuse=lambda body: (500, jinja)) as server:
        (found,) = provider(server.url, attempts=3).complete(prompts(1))
        assert "Jinja Exception: 'foo' is undefined" in (found.error or "")
        # With the system turn, and without; no third time.
        assert len(server.asked) == 2


def test_what_was_given_is_not_shown_back() -> None:
    long = {"loc": ["body", "x"], "msg": "odd", "input": "the whole prompt", "ctx": {"a": "secret"}}
    with chat_server(refuse=lambda body: (422, {"detail": [long]})) as server:
        (found,) = provider(server.url).complete(prompts(1))
    assert found.error == "the server refused the prompt (422): x: odd"


# Judges


@pytest.mark.parametrize(
    ("chances", "expected", "said"),
    [
        ({"Yes": 0.7, "No": 0.2, "The": 0.1}, 0.7 / 0.9, None),
        ({"<think>": 1.0 - 3e-9, "Yes": 2e-9, "No": 1e-9}, None, "begins to think"),
        ({"The": 0.5, "Yes": 0.4, "No": 0.1}, None, "neither yes nor no (it answered: 'The'"),
        ({"Yes": 0.02, "It": 0.015, "No": 0.01}, None, "at least 0.25 is a judgement"),
        ({"No": 0.2, "Yes": 0.1}, 1 / 3, None),
        ({" yes": 0.3, "YES": 0.3, "no": 0.1}, 6 / 7, None),
        ({"◁think▷": 0.99, "No": 0.01}, None, "begins to think"),
        ({"<|channel|>": 0.99, "No": 0.01}, None, "begins to think"),
    ],
)
def test_a_judgement_needs_the_chosen_token_and_mass(
    chances: dict[str, float], expected: float | None, said: str | None
) -> None:
    with chat_server(chances=lambda _: chances) as server:
        asked = provider(server.url)
        (first,) = asked.yes_no(prompts(1))
        # What is kept is the same, and is not asked again.
        (again,) = provider(server.url).yes_no(prompts(1))
        assert len(server.asked) == 1
    for found in (first, again):
        if expected is None:
            assert found.probability is None
            assert (said or "") in (found.error or "")
        else:
            assert found.probability == pytest.approx(expected)
            assert found.error is None
    assert first.tokens_in == 10
    thinks = said == "begins to think"
    assert any("thinks before it answers" in notice for notice in asked.notices) == thinks


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["Yes", " no", "NO", "The", "<think>", "", "maybe", "yes"]),
        st.floats(0, 1),
        min_size=1,
    )
)
def test_a_chance_is_a_share_of_enough_or_missing(tokens: dict[str, float]) -> None:
    chosen = max(tokens, key=lambda token: tokens[token])
    found = weigh(chosen, tokens.items())
    yes = sum(p for t, p in tokens.items() if t.strip().lower() == "yes")
    no = sum(p for t, p in tokens.items() if t.strip().lower() == "no")
    if chosen.strip().lower() in ("yes", "no") and yes + no >= LEAST_MASS and yes + no > 0:
        assert found.probability == pytest.approx(yes / (yes + no))
        assert found.error is None
    elif yes + no < LEAST_MASS - 1e-6 or chosen.strip().lower() not in ("yes", "no"):
        assert found.probability is None
        assert found.error


def test_a_judgement_kept_by_an_older_version_is_read_by_the_same_rule() -> None:
    with chat_server(chances=lambda _: {"Yes": 1.0}) as server:
        asked = provider(server.url)
        from autointerp_core.labels.providers.base import Completion, prompt_hash

        key = prompt_hash(prompts(1)[0], YES_NO, kind="yes_no")
        asked.keep(key, Completion(0, "<think>"), 1.0)
        (found,) = asked.yes_no(prompts(1))
        assert found.probability is None
        assert "neither yes nor no" in (found.error or "")
        asked.keep(key, Completion(0, " Yes"), 0.9)
        assert next(provider(server.url).yes_no(prompts(1))).probability == 0.9
        assert server.asked == []


def test_a_thinking_judge_without_probabilities_is_given_room() -> None:
    def reply(name: str, n: int) -> object:
        content, finish = ("<think>Is it", "length") if n == 0 else ("<think>a</think>\nNo", "stop")
        message = {"role": "assistant", "content": content}
        return {"choices": [{"index": 0, "finish_reason": finish, "message": message}]}

    with chat_server(recorded=reply) as server:
        asked = provider(server.url)
        asked.learn(Dialect(top_logprobs=0))
        (found,) = asked.yes_no(prompts(1))
        assert (found.probability, found.error) == (0.0, None)
        assert [b["max_tokens"] for b in server.bodies] == [4, 4 + 4096]


# Keys

SECRET = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEYS", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("autointerp_core.labels.providers.openai_key.CODE_ROOT", tmp_path)
    (tmp_path / ".streamlit").mkdir()
    return tmp_path / ".streamlit" / "secrets.toml"


def keys_sent(url: str) -> str:
    """What a server at ``url`` would be sent as a key."""
    try:
        return find_key(server_address(url))
    except ProviderError as error:
        return str(error)


def test_a_key_is_not_sent_to_a_host_it_is_not_bound_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with chat_server() as server, chat_server() as other:
        list(provider(server.url).complete(prompts(1)))
        assert server.keys == {f"Bearer {NO_KEY}"}
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        list(provider(server.url).complete(prompts(2)))
        assert server.keys == {f"Bearer {NO_KEY}", f"Bearer {SECRET}"}
        # The same machine at another port is another server.
        list(provider(other.url).complete(prompts(1)))
        assert other.keys == {f"Bearer {NO_KEY}"}


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://api.openai.com/v1", True),
        ("https://API.OpenAI.com:443/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com:8443/v1", False),
        ("https://api.openai.com.evil.test/v1", False),
        ("https://api.openai.com@evil.test/v1", False),
        ("https://evil.test/api.openai.com/v1", False),
        ("https://evil.test?x=https://api.openai.com/v1", False),
        ("https://evilapi.openai.com/v1", False),
        ("https://openrouter.ai/api/v1", False),
        ("http://127.0.0.1:8000/v1", False),
    ],
)
def test_openais_key_goes_to_openai(url: str, sent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    assert keys_sent(url) == (SECRET if sent else NO_KEY)


def test_a_key_for_each_host(monkeypatch: pytest.MonkeyPatch, no_secrets: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEYS", "openrouter.ai=sk-router-1, my.server:8000=sk-mine-22")
    no_secrets.write_text(
        '[OPENAI_API_KEYS]\n"api.mistral.ai" = "sk-mistral"\n"openrouter.ai" = "sk-older"\n'
    )
    assert keys_sent("https://openrouter.ai/api/v1") == "sk-router-1"
    assert keys_sent("https://openrouter.ai:8443/api/v1") == NO_KEY
    assert keys_sent("http://openrouter.ai/api/v1") == NO_KEY
    assert keys_sent("http://my.server:8000/v1") == "sk-mine-22"
    assert keys_sent("http://my.server:8001/v1") == NO_KEY
    assert keys_sent("https://api.mistral.ai/v1") == "sk-mistral"
    assert "set OPENAI_API_KEY" in keys_sent("https://api.openai.com/v1")
    # All of them are kept out of messages.
    assert hide("sk-router-1 sk-mine-22 sk-mistral") == "*** *** ***"


def test_an_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with chat_server(lambda n, _: "401") as server:
        with pytest.raises(ProviderError) as raised:
            list(provider(server.url).complete(prompts(1)))
        host = server.url.split("/")[2]
        said = str(raised.value)
        assert f"OPENAI_BASE_URL={server.url}" in said
        assert f"OPENAI_API_KEYS={host}=…" in said
        assert "OPENAI_API_KEY is sent to OpenAI alone" in said
        assert SECRET not in said
        assert "\n" not in said
        monkeypatch.setenv("OPENAI_API_KEYS", f"{host}=sk-of-this-host")
        with pytest.raises(
            ProviderError, match=r"refused the API key \(401\): check OPENAI_API_KEYS"
        ):
            list(provider(server.url).complete(prompts(1)))
        assert server.keys == {f"Bearer {NO_KEY}", "Bearer sk-of-this-host"}


def test_the_address_of_the_secrets_file_is_the_default(no_secrets: Path) -> None:
    no_secrets.write_text(f'OPENAI_API_KEY = "{SECRET}"\nOPENAI_BASE_URL = "https://a.test/v1"\n')
    assert server_address(None) == "https://a.test/v1"
    assert keys_sent("") == SECRET
    assert keys_sent("https://b.test/v1") == NO_KEY


@pytest.mark.parametrize(
    "url", ["https://evil.test\\@api.openai.com/v1", "https://api.openai .com", "https://a\n.test"]
)
def test_an_address_that_two_readers_read_apart_is_refused(url: str) -> None:
    with pytest.raises(ParameterError, match="base URL"):
        server_address(url)


_PARTS = r"""
https:// http:// api.openai.com evil.test @ : / \ ? # // . 443 8000 v1 %2f %40 ; & [ ] API. 。 ℀ ％
"""
parts = st.sampled_from([*_PARTS.split(), " "])


@settings(max_examples=200, deadline=None)
@given(st.lists(parts, min_size=1, max_size=8).map("".join))
def test_whoever_is_sent_the_key_is_who_the_client_connects_to(url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", SECRET)
        try:
            address = server_address(url)
            key = find_key(address)
        except (ParameterError, ProviderError):
            return
        if key == SECRET:
            reached = httpx2.URL(address)
            assert reached.scheme == "https"
            assert reached.host == "api.openai.com" or reached.host.endswith(".api.openai.com")
            assert reached.port in (None, 443)


def test_no_probability_is_more_than_one() -> None:
    found = weigh("Yes", [("Yes", math.exp(0.0))])
    assert found.probability == 1.0
