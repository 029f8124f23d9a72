"""The local provider: batches answer like single prompts, and the machine's limits are said."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autointerp_core.errors import ModelSourceError, PromptTooLong, ProviderError
from autointerp_core.labels.providers import local_compute
from autointerp_core.labels.providers.base import (
    Budget,
    ChatPrompt,
    Completion,
    Message,
    Price,
    Settings,
    Usage,
    Verdict,
)
from autointerp_core.labels.providers.local import LocalProvider
from autointerp_core.labels.providers.local_tokens import continuation_ids, reply_text, stop_ids
from autointerp_core.labels.providers.reply_markup import spoken
from autointerp_core.labels.providers.yes_no_chance import Chance
from tests.core.tiny import tiny_llama, tiny_model

QUESTIONS = [
    ChatPrompt((Message("system", "Name it."), Message("user", "loss " * n + "and gain")))
    for n in (1, 9, 2, 14, 5, 3)
]
SHORT = Settings(max_new_tokens=8)

LOCAL_GENERATE = "autointerp_core.labels.providers.local.generate"
"""Where the provider looks it up: given model, tokenizer, stops, beginning, rows, settings."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model") / "m")


def answers(found: list[Completion]) -> dict[int, str | None]:
    return {completion.index: completion.text for completion in found}


def test_a_batch_answers_like_single_prompts(folder: Path) -> None:
    together = list(LocalProvider(str(folder), device="cpu").complete(QUESTIONS, SHORT))
    single = LocalProvider(str(folder), device="cpu", batch_size=1)
    assert sorted(c.index for c in together) == list(range(len(QUESTIONS)))
    one_by_one = {
        i: next(single.complete([prompt], SHORT)).text for i, prompt in enumerate(QUESTIONS)
    }
    assert answers(together) == one_by_one
    assert len(set(one_by_one.values())) > 1
    lengths = [c.tokens_in for c in together]
    assert lengths == sorted(lengths)
    assert all(c.tokens_out <= 8 for c in together)
    assert all(c.seconds > 0 for c in together)


def test_the_model_loads_only_when_asked(tmp_path: Path) -> None:
    provider = LocalProvider(str(tmp_path / "absent"))
    assert provider.model == str(tmp_path / "absent")
    assert list(provider.complete([])) == []
    with pytest.raises(ModelSourceError):
        list(provider.complete(QUESTIONS[:1]))
    assert LocalProvider("demo").model == "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.mark.slow
def test_out_of_memory_halves_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = LocalProvider(str(folder), device="cpu", batch_size=6)
    expected = answers(list(provider.complete(QUESTIONS, SHORT)))
    sizes: list[int] = []

    def tight(*before: Any) -> list[tuple[str, int]]:
        rows = before[4]
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return local_compute.generate(*before)

    monkeypatch.setattr(LOCAL_GENERATE, tight)
    found = LocalProvider(str(folder), device="cpu", batch_size=6)
    assert answers(list(found.complete(QUESTIONS, SHORT))) == expected
    assert sizes[0] == 6
    assert max(sizes[2:]) <= 2


@pytest.mark.slow
def test_out_of_memory_for_one_prompt_is_one_clear_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> list[tuple[str, int]]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(LOCAL_GENERATE, full)
    with pytest.raises(ProviderError, match="not enough memory"):
        list(LocalProvider(str(folder), device="cpu").complete(QUESTIONS, SHORT))


def test_a_prompt_too_long_for_the_model_is_its_own_error(folder: Path) -> None:
    long = ChatPrompt((Message("user", "loss " * 400),))
    found = list(LocalProvider(str(folder), device="cpu").complete([long, QUESTIONS[0]], SHORT))
    by_index = {completion.index: completion for completion in found}
    assert "takes 256" in (by_index[0].error or "")
    assert by_index[0].text is None
    assert by_index[0].too_long
    assert by_index[1].error is None


@pytest.mark.slow
def test_without_a_chat_template_the_plain_prompt_is_used_and_said_once(
    folder: Path, tmp_path: Path
) -> None:
    plain = tiny_llama(tmp_path / "plain")
    for name in ("chat_template.jinja", "chat_template.json"):
        (plain / name).unlink(missing_ok=True)
    provider = LocalProvider(str(plain), device="cpu")
    list(provider.complete(QUESTIONS[:2], SHORT))
    list(provider.complete(QUESTIONS[2:3], SHORT))
    assert len(provider.notices) == 1
    assert "no chat template" in provider.notices[0]
    provider.close()
    list(provider.complete(QUESTIONS[:1], SHORT))
    other = LocalProvider(str(folder), device="cpu")
    list(other.complete(QUESTIONS[:1], SHORT))
    assert other.notices == []


def test_an_answer_ends_at_any_end_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = LocalProvider(str(folder), device="cpu")
    provider.encode(QUESTIONS[0])
    loaded = provider._load()
    monkeypatch.setattr(
        loaded[0],
        "generate",
        lambda **given: torch.cat([given["input_ids"], torch.tensor([[40, 41, 1, 42, 43]])], dim=1),
    )
    (found,) = provider.complete(QUESTIONS[:1], SHORT)
    assert found.text == loaded[1].decode([40, 41])
    assert found.tokens_out == 2


def test_sampling_repeats_with_its_seed_and_touches_no_global_state(folder: Path) -> None:
    provider = LocalProvider(str(folder), device="cpu")
    warm = Settings(max_new_tokens=8, temperature=1.5, seed=3)
    before = torch.random.get_rng_state()
    first = answers(list(provider.complete(QUESTIONS, warm)))
    assert torch.equal(before, torch.random.get_rng_state())
    assert answers(list(provider.complete(QUESTIONS, warm))) == first
    other = Settings(max_new_tokens=8, temperature=1.5, seed=4)
    assert answers(list(provider.complete(QUESTIONS, other))) != first


def test_ranking_equals_scoring_each_candidate_alone(folder: Path) -> None:
    provider = LocalProvider(str(folder), device="cpu")
    prompt = QUESTIONS[1]
    candidates = ["net loss", "a", "days of the week and months", "frogs"]
    found = provider.rank(prompt, candidates)
    model, tokenizer = provider._load()
    head = provider.encode(prompt)
    for candidate, score in zip(candidates, found, strict=True):
        tail = [*tokenizer(candidate, add_special_tokens=False)["input_ids"], 1]
        with torch.inference_mode():
            logits = model(torch.tensor([head + tail])).logits[0].log_softmax(-1)
        alone = sum(float(logits[len(head) - 1 + n, t]) for n, t in enumerate(tail))
        assert score == pytest.approx(alone, abs=1e-3)
    assert provider.rank(prompt, []) == []


def test_ranking_a_prompt_that_is_too_long_is_recognised(folder: Path) -> None:
    provider = LocalProvider(str(folder), device="cpu")
    with pytest.raises(PromptTooLong, match="takes 256"):
        provider.rank(ChatPrompt((Message("user", "loss " * 400),)), ["a"])
    assert provider.usage == Usage()


def test_ranking_is_counted_and_stopped_by_the_budget(folder: Path) -> None:
    candidates = ["net loss", "a", *(f"frogs {n}" for n in range(20))]
    price = Price(1.0, 9.0)
    provider = LocalProvider(str(folder), device="cpu", price=price, budget=Budget(tokens=5))
    assert len(provider.rank(QUESTIONS[1], candidates)) == 22
    assert provider.stopped is None
    tokenizer = provider._load()[1]
    used = len(provider.encode(QUESTIONS[1])) + sum(
        len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1 for text in candidates
    )
    assert provider.usage.dollars == pytest.approx(used / 1e6)
    assert replace(provider.usage, dollars=None) == Usage(1, used, 0, dollars=None)
    assert provider.rank(QUESTIONS[1], candidates) == []
    assert "5 tokens" in (provider.stopped or "")
    assert provider.usage.requests == 1
    assert provider.rank(QUESTIONS[1], []) == []
    assert provider.stopped is None


def test_a_shared_beginning_is_computed_once_and_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = Message("system", "You name what a detector reacts to. Reply with one label only.")
    asked = [
        ChatPrompt((system, Message("user", text)))
        for text in ("net loss of the year", "frogs", "one two three " * 6, "net loss", "a trial")
    ]
    provider = LocalProvider(str(folder), device="cpu", batch_size=2)
    sharing = answers(list(provider.complete(asked, SHORT)))
    assert len(provider._shared.ids) >= 16
    assert answers(list(provider.complete(asked[:1], SHORT)))[0] == sharing[0]
    monkeypatch.setattr(local_compute.SharedBeginning, "run", lambda self, model, rows: None)
    plain = LocalProvider(str(folder), device="cpu", batch_size=2)
    assert answers(list(plain.complete(asked, SHORT))) == sharing


def judged(count: int = 9) -> list[ChatPrompt]:
    """Yes or no questions that begin alike, of different lengths."""
    system = Message("system", "Does the text hold what the label says? Reply yes or no.")
    texts = ["net loss", "frogs " * 7, "a trial on Tuesday", "one two three four " * 3]
    return [
        ChatPrompt((system, Message("user", f"Label: {n} {texts[n % 4]}\nText: {texts[n % 3]}")))
        for n in range(count)
    ]


def chance_alone(provider: LocalProvider, ids: list[int]) -> float:
    """Probability of yes of one prompt, by itself, without a cache: the oracle."""
    model, tokenizer = provider._load()
    with torch.inference_mode():
        chances = model(torch.tensor([ids]), use_cache=False).logits[0, -1].softmax(-1).tolist()
    sums = {"yes": 0.0, "no": 0.0}
    for word in sums:
        whole = [n for n in range(len(chances)) if tokenizer.decode([n]).strip().lower() == word]
        first = {
            tokenizer(form, add_special_tokens=False)["input_ids"][0]
            for form in (word, word.title(), f" {word}", f" {word.title()}")
        }
        sums[word] = sum(chances[n] for n in whole or first if tokenizer.decode([n]).strip())
    return sums["yes"] / (sums["yes"] + sums["no"])


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "mistral", "gemma3_text", "qwen3"])
def test_yes_and_no_are_probabilities_of_the_next_token(tmp_path: Path, architecture: str) -> None:
    small = tiny_model(tmp_path / "m", architecture)
    # A random model says neither yes nor no; here it is the arithmetic that counts.
    provider = LocalProvider(str(small), device="cpu", batch_size=1, least_mass=0.0)
    asked = judged()
    found = {v.index: v for v in provider.yes_no(asked)}
    assert bool(provider._shared.ids) == (architecture not in ("mistral", "gemma3_text"))
    assert sorted(found) == list(range(len(asked)))
    for index, prompt in enumerate(asked):
        alone = chance_alone(provider, provider.encode(prompt))
        assert found[index].probability == pytest.approx(alone, abs=1e-5)
        assert found[index].tokens_in == len(provider.encode(prompt))
        assert found[index].seconds > 0
    assert len({v.probability for v in found.values()}) == len(asked)
    assert provider.usage.requests == len(asked)
    # What generation leaves behind does not disturb judging, nor the other way round.
    list(provider.complete(QUESTIONS, SHORT))
    again = {v.index: v.probability for v in provider.yes_no(asked[:5])}
    assert again == pytest.approx({n: found[n].probability for n in range(5)}, abs=1e-5)


def test_yes_or_no_without_a_chat_template(tmp_path: Path) -> None:
    plain = tiny_llama(tmp_path / "plain")
    (plain / "chat_template.jinja").unlink()
    provider = LocalProvider(str(plain), device="cpu", least_mass=0.0)
    asked = judged(3)
    found = {v.index: v.probability for v in provider.yes_no(asked)}
    tokenizer = provider._load()[1]
    for index, prompt in enumerate(asked):
        ids = provider.encode(prompt, "Answer")
        assert tokenizer.decode(ids).endswith("\nAnswer:")
        assert found[index] == pytest.approx(chance_alone(provider, ids), abs=1e-5)
    written = tokenizer.decode(provider.encode(asked[0]) + continuation_ids(tokenizer, "net loss"))
    assert written.endswith("\nLabel: net loss")
    list(provider.yes_no(asked))
    assert len(provider.notices) == 1
    assert "no chat template" in provider.notices[0]


@pytest.mark.slow
def test_yes_or_no_says_what_is_too_long_and_halves_its_batch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ChatPrompt((Message("user", "loss " * 400),))
    asked = [*judged(6), long]
    provider = LocalProvider(str(folder), device="cpu", batch_size=2, least_mass=0.0)
    expected = {v.index: v.probability for v in provider.yes_no(asked)}
    verdict = next(v for v in provider.yes_no(asked) if v.index == 6)
    assert verdict.probability is None
    assert verdict.too_long
    assert "takes 256" in (verdict.error or "")
    sizes: list[int] = []

    def tight(*before: Any) -> list[Chance]:
        rows = before[4]
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return local_compute.chances(*before)

    monkeypatch.setattr("autointerp_core.labels.providers.local.chances", tight)
    found = {v.index: v.probability for v in provider.yes_no(asked)}
    assert found == pytest.approx(expected, abs=1e-5)
    assert sizes == [6, 3, 1, 1, 1, 1, 1, 1]


def test_a_model_that_would_rather_say_something_else_has_not_judged(folder: Path) -> None:
    provider = LocalProvider(str(folder), device="cpu")
    found = list(provider.yes_no(judged(3)))
    assert [v.probability for v in found] == [None] * 3
    assert all("neither yes nor no" in (v.error or "") for v in found)
    assert all("of the probability" in (v.error or "") for v in found)
    assert all(v.tokens_in > 0 for v in found)


def test_the_chosen_token_counts_and_not_only_its_rivals(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits on order: yes far above no, and far below what the model would say."""
    provider = LocalProvider(str(folder), device="cpu")
    provider.encode(QUESTIONS[0])
    _, tokenizer = provider._load()
    yes, no = provider._yes_no_ids or ([], [])
    other = next(n for n in range(5, 99) if n not in {*yes, *no})

    def saying(**chances: float) -> list[Verdict]:
        logits = torch.full((len(tokenizer),), -30.0)
        for token, chance in zip((yes[0], no[0], other), chances.values(), strict=True):
            logits[token] = math.log(chance)

        def forward(ids: Any, logits_to_keep: Any, **given: Any) -> Any:
            rows = logits.expand(ids.shape[0], len(logits_to_keep), -1)
            return SimpleNamespace(logits=rows)

        with monkeypatch.context() as patch:
            patch.setattr(local_compute.SharedBeginning, "run", lambda self, model, rows: None)
            patch.setattr(provider, "_loaded", (Forward(forward), tokenizer))
            return list(provider.yes_no(judged(2)))

    assert [v.probability for v in saying(yes=0.6, no=0.2, other=0.2)] == [
        pytest.approx(0.75, abs=1e-5)
    ] * 2
    for found in (saying(yes=2e-9, no=1e-9, other=0.99), saying(yes=0.4, no=0.1, other=0.5)):
        assert [v.probability for v in found] == [None, None]
        assert "neither yes nor no" in (found[0].error or "")


class Forward:
    """A model that is one function."""

    device = torch.device("cpu")

    def __init__(self, forward: Callable[..., Any]):
        self.forward = forward

    def __call__(self, ids: Any, **given: Any) -> Any:
        return self.forward(ids, **given)


def test_a_thought_is_no_answer_and_gets_more_room_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms: list[int] = []
    thought = "<think>They are all losses of"

    def generate(*before: Any) -> list[tuple[str, int]]:
        rows, settings = before[4:]
        rooms.append(settings.max_new_tokens)
        if settings.max_new_tokens == 8:
            return [(thought, 8)] * len(rows)
        return [(f"{thought} companies.</think>\nnet losses<|im_end|>", 30)] * len(rows)

    monkeypatch.setattr(LOCAL_GENERATE, generate)
    provider = LocalProvider(str(folder), device="cpu", batch_size=8)
    found = list(provider.complete(QUESTIONS[:3], SHORT))
    assert [c.text for c in found] == ["net losses"] * 3
    assert [c.tokens_out for c in found] == [38] * 3
    assert sorted(c.index for c in found) == [0, 1, 2]
    # As much as the context has, beside the longest prompt of the batch.
    longest = max(len(provider.encode(prompt)) for prompt in QUESTIONS[:3])
    assert rooms == [8, 256 - longest]
    assert provider.usage.tokens_out == 3 * 38
    assert ["thinks before it answers" in notice for notice in provider.notices] == [True]
    # It is remembered.
    assert next(provider.complete(QUESTIONS[:1], SHORT)).tokens_out == 30
    assert rooms[2] > 8


@pytest.mark.parametrize(
    "thought",
    ["<think>They are", "[THINK]They are", "Okay, so the user", "analysisWe need", "◁think▷They"],
)
def test_a_thought_that_never_ends_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, thought: str
) -> None:
    def generate(*before: Any) -> list[tuple[str, int]]:
        rows, settings = before[4:]
        return [(thought, settings.max_new_tokens)] * len(rows)

    monkeypatch.setattr(LOCAL_GENERATE, generate)
    provider = LocalProvider(str(folder), device="cpu")
    for _ in range(2):
        (found,) = provider.complete(QUESTIONS[:1], SHORT)
        assert found.text is None
        assert "still thinking at its limit of" in (found.error or "")


def test_markers_are_kept_until_they_are_read(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["[THINK]", "[/THINK]", "<|odd_one_out|>", "<picture>"]}
    )

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    written = ids("[THINK]money[/THINK]net loss<picture>")
    said = reply_text(tokenizer, ids("frogs"), written)
    assert spoken(said).text == "net loss"
    # A template may open the thought itself.
    said = reply_text(tokenizer, ids("frogs[THINK]"), ids("money[/THINK]net loss"))
    assert spoken(said).text == "net loss"
    assert spoken(reply_text(tokenizer, ids("frogs[THINK]"), ids("money"))).unfinished


def test_the_end_of_a_harmony_message_is_not_the_end_of_the_answer() -> None:
    class Tokenizer:
        eos_token_id = 2
        chat_template = "<|start|><|channel|><|message|><|end|><|return|>"

        def __init__(self, *tokens: str):
            self.tokens = tokens

        def get_vocab(self) -> dict[str, int]:
            return {token: n + 10 for n, token in enumerate(self.tokens)}

    config = SimpleNamespace(eos_token_id=None)
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=[2]), config=config)
    harmony = Tokenizer("<|channel|>", "<|end|>", "<|return|>")
    assert stop_ids(model, harmony) == [2, 12]
    other = Tokenizer("<|end|>", "<|user|>")
    assert stop_ids(model, other) == [2, 10]


def test_a_vocabulary_that_cannot_tell_yes_from_no_writes_the_word(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalProvider, "_yes_no_ids", None)
    monkeypatch.setattr(LOCAL_GENERATE, lambda *before: [(" Yes.", 2)] * len(before[4]))
    found = list(LocalProvider(str(folder), device="cpu").yes_no(judged(3)))
    assert [v.probability for v in found] == [1.0, 1.0, 1.0]


def test_a_budget_of_tokens_stops_a_local_model_too(folder: Path) -> None:
    provider = LocalProvider(str(folder), device="cpu", batch_size=1, budget=Budget(tokens=100))
    found = list(provider.complete(judged(), SHORT))
    assert 1 <= len(found) < 9
    assert "100 tokens" in (provider.stopped or "")
    assert sum(c.tokens_in + c.tokens_out for c in found) == (
        provider.usage.tokens_in + provider.usage.tokens_out
    )
    assert provider.usage.dollars is None
    assert list(provider.yes_no(judged())) == []
    assert provider.stopped is not None


def test_a_sliding_window_is_not_cut(tmp_path: Path) -> None:
    mistral = tiny_model(tmp_path / "m", "mistral")
    system = Message("system", "You name what a detector reacts to. Reply with one label only.")
    asked = [ChatPrompt((system, Message("user", text))) for text in ("net loss", "frogs " * 9)]
    together = answers(list(LocalProvider(str(mistral), device="cpu").complete(asked, SHORT)))
    single = LocalProvider(str(mistral), device="cpu")
    assert together == {i: next(single.complete([p], SHORT)).text for i, p in enumerate(asked)}


def test_the_demo_model_ends_its_answer(demo_model: Path) -> None:
    provider = LocalProvider(str(demo_model), device="cpu")
    asked = ChatPrompt(
        (
            Message("system", "Name what the words have in common. Answer with a short phrase."),
            Message("user", "Words: Tuesday, Monday, Friday"),
            Message("assistant", "days of the week"),
            Message("user", "Words: May, June, October"),
        )
    )
    (found,) = provider.complete([asked], Settings(max_new_tokens=24))
    assert 2 in provider._stops
    assert found.text
    assert "<|im_end|>" not in found.text
    assert found.tokens_out < 24


def test_the_demo_model_judges_with_probabilities(demo_model: Path) -> None:
    provider = LocalProvider(str(demo_model), device="cpu")
    system = Message("system", "Answer the question with Yes or No.")
    asked = [
        ChatPrompt((system, Message("user", f"Is {thing} a day of the week?")))
        for thing in ("Monday", "a frog", "Friday", "a table")
    ]
    found = {v.index: v.probability or 0.0 for v in provider.yes_no(asked)}
    for index, prompt in enumerate(asked):
        alone = chance_alone(provider, provider.encode(prompt))
        assert found[index] == pytest.approx(alone, abs=1e-4)
    assert min(found[0], found[2]) > max(found[1], found[3])
