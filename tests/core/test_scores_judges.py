"""How judges are asked, and how texts become vectors."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp_core.arrays import Float32Array
from autointerp_core.errors import MissingDependency, ParameterError
from autointerp_core.labels.embedders import (
    Embedder,
    KnownTexts,
    default_embedder,
    make_embedder,
)
from autointerp_core.labels.marks import plain
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.scoring.judge import FitQuestion
from autointerp_core.labels.scoring.llm_judge import LLMJudge, prompt_for
from autointerp_core.labels.scoring.marked_windows import marked_text
from autointerp_core.labels.scoring.sample_windows import Window
from autointerp_core.store.study import Example


def _window(*tokens: str) -> Window:
    example = Example(
        0, "window", 1.0, 0, 0, 0, 0, tuple(range(len(tokens))), tokens, (1.0,) * len(tokens), 0
    )
    return Window(example, "active", 0)


def test_a_detection_prompt() -> None:
    prompt = prompt_for(
        FitQuestion("detection", "days\nof the week", _window("on", " Mon", "day", "\n", "we"))
    )
    assert prompt.messages[-1].content == (
        "Label: days of the week\nText: on Monday we\nDoes the text contain what the label names?"
    )
    assert [m.role for m in prompt.messages] == ["system", *["user", "assistant"] * 4, "user"]
    answers = [m.content for m in prompt.messages if m.role == "assistant"]
    assert answers.count("Yes") == answers.count("No")


def test_a_fuzzing_prompt() -> None:
    prompt = prompt_for(FitQuestion("fuzzing", "days", _window("on", " Mon", "day", " we"), (1, 2)))
    assert prompt.messages[-1].content == (
        "Label: days\nText: on <<Monday>> we\nAre the marked words what the label names?"
    )


def test_a_judge_that_never_answers_is_told_of_in_one_line() -> None:
    questions = [FitQuestion("detection", "x", _window(text)) for text in "abcdef"]
    never = LLMJudge(ScriptedProvider(["Perhaps", "It depends"]))
    assert all(judgement.error for judgement in never.judge(questions))
    (told,) = never.notices
    assert "answered none of 6 questions with yes or no" in told
    assert "it answered: 'It depends'" in told
    assert "\n" not in told
    once = LLMJudge(ScriptedProvider(["Perhaps", "Yes", "Perhaps"]))
    list(once.judge(questions))
    assert once.notices == []


def test_prompts_of_a_kind_share_their_beginning_and_a_label_shares_more() -> None:
    for scorer, marked in (("detection", None), ("fuzzing", (0,))):
        one, two = (
            prompt_for(FitQuestion(scorer, "x", _window(t), marked)).messages for t in ("a", "b")
        )
        assert one[:-1] == two[:-1]
        assert one[-1].content.startswith("Label: x\nText: ")


@given(st.text(alphabet="<>a ", max_size=12))
def test_no_text_reads_like_a_mark(text: str) -> None:
    assert "<<" not in plain(text)
    assert ">>" not in plain(text)


@pytest.mark.slow
@given(
    st.lists(st.text(alphabet="<> a\n", max_size=4), min_size=1, max_size=8).flatmap(
        lambda tokens: st.tuples(
            st.just(tokens), st.sets(st.integers(0, len(tokens) - 1)).map(sorted)
        )
    )
)
def test_there_are_exactly_the_marks_we_put(case: tuple[list[str], list[int]]) -> None:
    tokens, marked = case
    text = marked_text(tokens, marked)
    runs = sum(1 for i in marked if i - 1 not in marked)
    empty = sum(
        1 for i in marked if i - 1 not in marked and not "".join(_run(tokens, set(marked), i))
    )
    assert text.count("<<") == text.count(">>") == runs - empty
    assert "<<<" not in text
    assert ">>>" not in text


def _run(tokens: list[str], marked: set[int], at: int) -> list[str]:
    stop = at
    while stop in marked:
        stop += 1
    return tokens[at:stop]


def test_marked_blank_tokens_can_be_seen() -> None:
    assert marked_text(["a", "\n", "b"], [1]) == "a<<line break>>b"
    assert marked_text(["a", " ", "b"], [1]) == "a<<space>>b"


def test_llm_judge_hands_on_what_the_provider_says() -> None:
    said = iter([1.0, None, ConnectionError("cut off"), 0.25])
    provider = ScriptedProvider(verdicts=lambda prompt: next(said))
    judge = LLMJudge(provider)
    found = list(judge.judge([FitQuestion("detection", "x", _window("a"))] * 4))
    assert judge.name == "llm:scripted"
    assert [f.probability for f in found] == [1.0, None, None, 0.25]
    assert [f.error for f in found] == [None, "empty answer", "cut off", None]
    assert all(f.tokens_in > 0 for f in found)
    assert judge.stopped is None


def test_llm_judge_without_probabilities_reads_words() -> None:
    def answer(prompt: ChatPrompt) -> str:
        return "Yes." if "cat" in prompt.messages[-1].content.split("Text:")[1] else "I think so"

    judge = LLMJudge(ScriptedProvider(answer))
    asked = [FitQuestion("detection", "cats", _window(t)) for t in ("a cat", "a dog")]
    found = list(judge.judge(asked))
    assert [f.probability for f in found] == [1.0, None]
    assert found[1].error is not None
    assert "neither yes nor no" in found[1].error


def test_the_default_embedder_is_offline_and_puts_like_beside_like() -> None:
    embedder = default_embedder()
    vectors = embedder.embed(["days of the week", "Monday", "carburettor", ""])
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 0], abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1
    assert embedder.embed([]).shape[0] == 0
    assert embedder.pieces("On Monday, 5 days") == ["On", "Monday", ",", "5", "days"]
    assert embedder.pieces(" ") == [" "]


@pytest.mark.slow
def test_importing_wordllama_leaves_logging_alone() -> None:
    code = (
        "import logging; from autointerp_core.labels.embedders import default_embedder as d; "
        "d().embed(['a']); root = logging.getLogger(); print(root.level, len(root.handlers))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(logging.WARNING), "0"]


def test_unknown_and_missing_embedders(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match=r"no embedder 'glove'; choose wordllama or"):
        make_embedder("glove")
    with pytest.raises(ParameterError, match="no embedder 'sentence-transformers:'"):
        make_embedder("sentence-transformers:")
    assert make_embedder("wordllama").name == "wordllama"
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingDependency, match="pip install sentence-transformers"):
        make_embedder("sentence-transformers:all-MiniLM-L6-v2").embed(["a"])


class _Counting(Embedder):
    name = "counting"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str]) -> Float32Array:
        self.seen += texts
        return np.array([[len(text), 1] for text in texts], dtype=np.float32)


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=8))
def test_each_distinct_text_is_embedded_once(batches: list[list[str]]) -> None:
    embedder = _Counting()
    known = KnownTexts(embedder)
    for batch in batches:
        assert known.vectors(batch).tolist() == [[len(t), 1] for t in batch]
    assert sorted(embedder.seen) == sorted({t for batch in batches for t in batch})
    small = KnownTexts(embedder, limit=2)
    for batch in batches:
        assert small.vectors(batch).tolist() == [[len(t), 1] for t in batch]
