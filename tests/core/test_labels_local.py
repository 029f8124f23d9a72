"""The local provider: batches answer like single prompts, and the machine's limits are said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp_core.errors import ModelSourceError, ProviderError
from autointerp_core.labels.local import LocalProvider
from autointerp_core.labels.provider import ChatPrompt, Completion, Message, Settings
from tests.core.tiny import tiny_llama, tiny_model

QUESTIONS = [
    ChatPrompt((Message("system", "Name it."), Message("user", "loss " * n + "and gain")))
    for n in (1, 9, 2, 14, 5, 3)
]
SHORT = Settings(max_new_tokens=8)


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


def test_out_of_memory_halves_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = LocalProvider(str(folder), device="cpu", batch_size=6)
    expected = answers(list(provider.complete(QUESTIONS, SHORT)))
    real = LocalProvider._generate
    sizes: list[int] = []

    def tight(self: LocalProvider, rows: Any, settings: Settings) -> list[tuple[str, int]]:
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, rows, settings)

    monkeypatch.setattr(LocalProvider, "_generate", tight)
    found = LocalProvider(str(folder), device="cpu", batch_size=6)
    assert answers(list(found.complete(QUESTIONS, SHORT))) == expected
    assert sizes[0] == 6
    assert max(sizes[2:]) <= 2


def test_out_of_memory_for_one_prompt_is_one_clear_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: LocalProvider, rows: Any, settings: Settings) -> list[tuple[str, int]]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(LocalProvider, "_generate", full)
    with pytest.raises(ProviderError, match="not enough memory"):
        list(LocalProvider(str(folder), device="cpu").complete(QUESTIONS, SHORT))


def test_a_prompt_too_long_for_the_model_is_its_own_error(folder: Path) -> None:
    long = ChatPrompt((Message("user", "loss " * 400),))
    found = list(LocalProvider(str(folder), device="cpu").complete([long, QUESTIONS[0]], SHORT))
    by_index = {completion.index: completion for completion in found}
    assert "takes 256" in (by_index[0].error or "")
    assert by_index[0].text is None
    assert by_index[1].error is None


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
    with pytest.raises(ProviderError, match="takes 256"):
        provider.rank(ChatPrompt((Message("user", "loss " * 400),)), ["a"])


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
    assert len(provider._prefix) >= 16
    assert answers(list(provider.complete(asked[:1], SHORT)))[0] == sharing[0]
    monkeypatch.setattr(LocalProvider, "_share", lambda self, rows: None)
    plain = LocalProvider(str(folder), device="cpu", batch_size=2)
    assert answers(list(plain.complete(asked, SHORT))) == sharing


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
