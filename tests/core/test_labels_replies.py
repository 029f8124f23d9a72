"""Recorded answers of servers: each becomes the right label or an error, never markup.

``data/replies.jsonl`` holds one shape a line: bodies as servers send them, in order, and the label
that a person reads in them (null where there is none).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp_core.labels.explain.parse_answer import clean_answer
from autointerp_core.labels.explain.prompts import METHODS
from autointerp_core.labels.providers.base import ChatPrompt, Message, Settings, read_yes_no
from autointerp_core.labels.providers.openai_api import OpenAIProvider
from autointerp_core.labels.providers.openai_server import Limits
from autointerp_core.labels.providers.reply_markup import is_markup, opens_thought, spoken
from tests.core.fake_chat_server import chat_server

DATA = Path(__file__).parent / "data"
SHAPES: dict[str, dict[str, Any]] = {
    shape["name"]: shape
    for shape in map(json.loads, (DATA / "replies.jsonl").read_text("utf-8").splitlines())
}
ASK = METHODS["peaks"]


def prompt(name: str) -> ChatPrompt:
    return ChatPrompt((Message("system", "Name it."), Message("user", name)))


def asked(url: str, **limits: Any) -> OpenAIProvider:
    return OpenAIProvider("m", base_url=url, limits=Limits(attempts=2, first_wait=0.01, **limits))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str | None, str | None]]:
    """Label and error of every shape, asked for over HTTP."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOINTERP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("OPENAI_API_KEY", raising=False)
        with chat_server(recorded=lambda name, n: SHAPES[name]["replies"][n]) as server:
            prompts = [prompt(name) for name in SHAPES]
            answers = list(asked(server.url).complete(prompts, ASK.settings))
    names = list(SHAPES)
    return {
        names[a.index]: (ASK.parse(a.text, prompts[a.index]) if a.error is None else None, a.error)
        for a in answers
    }


def test_there_are_enough_shapes() -> None:
    assert len(SHAPES) >= 60
    assert sum(shape["label"] is None for shape in SHAPES.values()) >= 15


@pytest.mark.parametrize("name", SHAPES)
def test_a_reply_is_its_label_or_an_error(
    name: str, found: dict[str, tuple[str | None, str | None]]
) -> None:
    label, error = found[name]
    assert label == SHAPES[name]["label"]
    assert SHAPES[name].get("error", "") in (error or "")
    if "error" in SHAPES[name]:
        assert error is not None


@pytest.mark.parametrize("name", SHAPES)
def test_the_same_words_from_a_local_model_are_read_alike(name: str) -> None:
    """Without a server: the text alone, as any provider hands it on."""
    shape = SHAPES[name]
    choice = shape["replies"][-1]["choices"][0]
    said = choice.get("text") or choice.get("message", choice.get("delta"))["content"]
    if isinstance(said, str) and choice["finish_reason"] == "stop":
        assert clean_answer(said) == shape["label"]


# Written out here, so that a family forgotten in the program is not forgotten in its test.
THOUGHT_TAGS = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<analysis>", "</analysis>"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|think|>", "<|/think|>"),
    ("<unused94>thought", "<unused95>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<longcat_think>", "</longcat_think>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ('<details type="reasoning">', "</details>"),
]
_ENDS = """
<|im_end|> <|im_start|> <|eot_id|> <|eom_id|> <end_of_turn> <start_of_turn> </s> <s> <|endoftext|>
<|end|> <|return|> <|call|> <|start|> <eos> <bos> <pad> <unk> <｜end▁of▁sentence｜> <｜Assistant｜>
<|END_OF_TURN_TOKEN|> <|END_RESPONSE|> <|START_RESPONSE|> [|endofturn|] [|assistant|]
<|end_of_text|> <|begin_of_text|> <turn|> <|turn> <|user|> <|assistant|> <|system|> [EOS] [INST]
[/INST] <end_of_utterance> <|role_end|> <|EOT|> <eod> <eot> <|endofprompt|> <0x0A> <extra_id_1>
<unused7> <|start_header_id|> <|end_header_id|> <|begin_of_box|> <|end_of_box|> <answer> </answer>
<label> </label> <output> </output> <|message|> <|channel|> <|constrain|> <<SYS>> <</SYS>>
<seed:eos> <longcat_s> </longcat_s> [e~[ ]~b]ai ]~!b[ [UNUSED_TOKEN_145] [unused12] <|content|>
<|flush|> <SPECIAL_12> <|assistant_end|> <|tool_calls_section_begin|> <tool_call> </tool_call>
<|python_tag|> [TOOL_CALLS] <｜tool▁calls▁begin｜> <function_calls> <|START_ACTION|> <|begin|>
"""
ENDS = _ENDS.split()
MARKERS = [*ENDS, *(marker for pair in THOUGHT_TAGS for marker in pair)]
HALVES = sorted({piece for marker in MARKERS for piece in regex.findall(r"\S{4,}", marker)})


@pytest.mark.parametrize("tags", THOUGHT_TAGS, ids=lambda tags: tags[0])
@pytest.mark.slow
def test_every_kind_of_thought_is_taken_away(tags: tuple[str, str]) -> None:
    begin, end = tags
    for thought in ("They are losses.", "", "Label: money\nor <b>loss</b>?\n\n", '{"label": "x"}'):
        assert clean_answer(f"{begin}{thought}{end}net losses") == "net losses"
        assert clean_answer(f"{begin}{thought}{end}\n\n**Label:** net losses") == "net losses"
        assert clean_answer(f"{begin}{thought}") is None
        assert spoken(f"{begin}{thought}").unfinished
        if not begin.startswith(("<|channel|>", "<details", "<unused", "<|channel>")):
            assert clean_answer(f"{thought}{end}net losses") == "net losses"
            assert read_yes_no(f"Yes? {thought}{end}\nNo") is False
        assert read_yes_no(f"{begin}yes {thought}{end}No.") is False
        assert read_yes_no(f"{begin}yes") is None


@pytest.mark.parametrize("marker", ENDS)
def test_every_token_around_a_label_is_taken_away(marker: str) -> None:
    assert clean_answer(f"net losses{marker}") == "net losses"
    assert clean_answer(f"net losses {marker}{marker}\n") == "net losses"
    assert is_markup(f"net {marker} losses")


words = st.sampled_from(["net", "losses", "of", "a", "company", "Label:", "yes", "the", "税"])
between = st.sampled_from([" ", "\n", "", "\n\n", ". ", ": ", '"', "**", "`", "{", "}", "<", ">"])
pieces = st.one_of(words, between, st.sampled_from(MARKERS), st.text(max_size=6))
replies = st.lists(pieces, max_size=40).map("".join)


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(replies)
def test_no_marker_survives_in_a_label(reply: str) -> None:
    label = clean_answer(reply)
    if label is None:
        return
    lowered = label.casefold()
    assert not [marker for marker in HALVES if marker.casefold() in lowered]
    assert not is_markup(label)
    assert not regex.search(r"<[/|]|[|]>|[◁▷｜]|```", label)


@settings(max_examples=150, deadline=None)
@given(replies, replies, st.sampled_from(THOUGHT_TAGS))
@pytest.mark.slow
def test_what_is_thought_never_reaches_the_answer(
    thought: str, after: str, tags: tuple[str, str]
) -> None:
    secret = "zyzzyva"
    begin, _ = tags
    said = spoken(f"{begin}{secret}")
    assert secret not in said.text
    # However a thought goes on, what stands in it before its end is no answer.
    if not any(marker in thought for marker in MARKERS):
        whole = spoken(f"{begin} {secret} {thought}")
        assert secret not in whole.text
    assert spoken(after).text == spoken(spoken(after).text).text or is_markup(after)


def test_a_prompt_can_open_the_thought() -> None:
    assert opens_thought("<|im_start|>assistant\n<think>\n")
    assert opens_thought("<|assistant|>[THINK]")
    assert not opens_thought("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert not opens_thought("<|im_start|>assistant\n")
    assert not opens_thought("a think-tank")


@pytest.mark.parametrize(
    "label",
    [
        "finalists and winners of contests",
        "final exams",
        "analysis of blood samples",
        "analysis",
        "thoughts and prayers",
        "pattern-matching in code",
        "feature-length films",
        "title-case headings",
        "great, good and excellent",
        "we need and we must",
        "this is and that is",
        "x < y and y > x",
        "R&D spending",
        "C++ templates",
        "curly braces {x}",
        "citations like [1]",
        "question and answer: FAQ pages",
        "assistants and helpers",
        "the user in software manuals",
        "words before a colon",
        "step by step instructions",
        "HTML & XML files",
        "sure, okay and the like",
        "the party emoji 🎉",
        "unicode escapes like \\u00e9",
        "\\n and \\t in format strings",
        "\\theta and other Greek letters",
        '"the" - definite article',
        "errors: undefined variables",
        "tool calls of assistants",
    ],
)
def test_labels_that_only_look_odd_stand(label: str) -> None:
    assert clean_answer(label) == label


@pytest.mark.slow
def test_room_to_think_is_given_once_and_remembered() -> None:
    shape = SHAPES["cut off: open thought, then an answer"]["replies"]
    with chat_server(recorded=lambda name, n: shape[0] if name == "0" and n == 0 else shape[1]) as (
        server
    ):
        provider = asked(server.url, concurrency=1)
        answers = [next(provider.complete([prompt(str(n))], Settings())) for n in range(3)]
        assert [a.text for a in answers] == ["net losses"] * 3
        rooms = [body["max_tokens"] for body in server.bodies]
        assert rooms == [32, 32 + 4096, 32 + 4096, 32 + 4096]
        # Both replies to the first prompt are paid for, and counted with it.
        assert [a.tokens_out for a in answers] == [432, 400, 400]
        assert provider.usage.tokens_out == 1232
        assert [n for n in provider.notices if "thinks before it answers" in n] == provider.notices
        # What was answered is not asked again.
        assert next(asked(server.url).complete([prompt("0")], Settings())).text == "net losses"
        assert len(server.asked) == 4


@pytest.mark.slow
def test_a_thought_cut_off_twice_is_paid_for_once() -> None:
    shape = SHAPES["cut off twice: null"]["replies"]
    with chat_server(recorded=lambda name, n: shape[min(n, 1)]) as server:
        (first,) = asked(server.url).complete([prompt("x")], Settings())
        assert first.text is None
        assert "still thinking at its limit of 4,128 tokens" in (first.error or "")
        assert first.tokens_out == 32 + 4128
        (again,) = asked(server.url).complete([prompt("x")], Settings())
        assert again.error == first.error
        assert len(server.asked) == 2


def test_no_more_room_is_an_error_that_says_so() -> None:
    shape = SHAPES["cut off twice: null"]["replies"]
    full = {"error": {"message": "max_tokens must be at most 2048", "code": None}}

    def refuse(body: dict[str, Any]) -> tuple[int, object] | None:
        return (400, full) if body.get("max_tokens", 0) > 2048 else None

    with chat_server(recorded=lambda name, n: shape[0], refuse=refuse) as server:
        provider = asked(server.url, concurrency=1)
        errors = [next(provider.complete([prompt(str(n))], Settings())).error for n in range(2)]
        assert all("still thinking at its limit of 32 tokens" in (e or "") for e in errors)
        assert [b["max_tokens"] for b in server.bodies] == [32, 4128, 4128, 32]
        assert all("max_completion_tokens" not in body for body in server.bodies)
