"""An answer becomes a label or None: never longer than nine words, never a stand-in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp_core.labels.explain.parse_answer import (
    MAX_LABEL_CHARS,
    clean_answer,
    is_refusal,
    limit_words,
)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("days of the week", "days of the week"),
        ("Days of the week.", "Days of the week"),
        ('"days of the week"', "days of the week"),
        ("“net loss”", "net loss"),
        ("**net loss**", "net loss"),
        ("`net loss`", "net loss"),
        ("Label: net loss", "net loss"),
        ("**Label:** net loss", "net loss"),
        ("**Label: net loss**", "net loss"),
        ('The label is: "net loss".', "net loss"),
        ("Possible label: net loss", "net loss"),
        ("Here's the label: net loss", "net loss"),
        ("Label:\nnet loss", "net loss"),
        ("\n\n  net loss \nIt fires on losses.", "net loss"),
        ("<think>It could be\nanything.</think>\nnet loss", "net loss"),
        ("net loss<think>and then", "net loss"),
        ("- net loss", "net loss"),
        ("1. net loss", "net loss"),
        ("## net loss", "net loss"),
        ("```\nnet loss\n```", "net loss"),
        ("net loss<|im_end|>\n<|im_start|>user", "net loss"),
        ("the word <<net>> before loss", "the word net before loss"),
        ("净亏损", "净亏损"),
        ("слова на «он»", "слова на «он»"),
        ('"net loss" in "quarterly" reports', '"net loss" in "quarterly" reports'),
        ('"net loss', "net loss"),
        ('","', '","'),
        ("no longer and not yet", "no longer and not yet"),
        ("I, me and my", "I, me and my"),
        ("sorry-sounding apologies in letters", None),
        ("U.S. states", "U.S. states"),
        ("pearls and Pearls", "pearls"),
        ("war and peace", "war and peace"),
        ("she, he, She, they, he", "she, he, they"),
        ("south, south, south, south, south, south, south, south, south, south", "south"),
    ],
)
def test_known_answers(answer: str, label: str | None) -> None:
    assert clean_answer(answer) == label


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "   \n\t",
        "N/A",
        "n/a.",
        "None",
        "Unknown",
        "Label: unknown",
        "Label:",
        "...",
        "---",
        '""',
        "I'm sorry, but I can't help with that.",
        "I’m sorry",
        "As an AI language model, I cannot",
        "I cannot determine the pattern",
        "I can't see a pattern",
        "Unfortunately, there is no label",
        "Sure! Here is a label",
        "Please provide more texts",
        "There is not enough information",
        "No clear pattern",
        "I am an AI assistant",
        "<think>only thoughts",
        "<think></think>",
        "\x00\x01\x02",
    ],
)
def test_refusals_and_nothing_are_none(answer: str | None) -> None:
    assert clean_answer(answer) is None


def test_an_echo_of_the_instructions_is_none() -> None:
    instructions = "Reply with one short label of at most 9 words, nothing else."
    assert clean_answer("one short label of at most 9 words", echo=instructions) is None
    assert clean_answer("net loss", echo=instructions) == "net loss"


def test_a_cut_label_does_not_end_on_a_hanging_word() -> None:
    assert limit_words("one two three four five six seven eight of nine ten") == (
        "one two three four five six seven eight"
    )
    assert limit_words('a "quoted phrase that goes on for longer than nine words"').count('"') == 0


hostile = st.one_of(
    st.text(max_size=400),
    st.lists(
        st.one_of(
            st.sampled_from(["Label:", "**", '"', "<think>", "</think>", "net", "loss", "`"]),
            st.sampled_from(["\n", " ", "<<", ">>", "1.", "- ", "#", "<|im_end|>", "N/A"]),
            st.sampled_from(["。", "“", "”", "\u202e", "\x00", ".", "…"]),
        ),
        max_size=40,
    ).map("".join),
)


@settings(max_examples=400, deadline=None)
@given(hostile)
@pytest.mark.slow
def test_whatever_a_model_writes_the_label_is_short_and_settled(answer: str) -> None:
    label = clean_answer(answer)
    if label is None:
        return
    assert 1 <= len(label.split()) <= 9
    assert 1 <= len(label) <= MAX_LABEL_CHARS
    assert label == " ".join(label.split())
    assert label.isprintable()
    assert not is_refusal(label)
    assert clean_answer(answer) == label


@settings(max_examples=200, deadline=None)
@given(st.lists(st.from_regex(r"[a-z]{3,8}", fullmatch=True), min_size=1, max_size=9))
@pytest.mark.slow
def test_plain_words_come_back_as_they_are(words: list[str]) -> None:
    text = "xy " + " ".join(words[:8])
    assert clean_answer(text) == text
    assert clean_answer(f'**Label:** "{text}".') == text
