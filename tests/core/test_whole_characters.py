"""Prompts and judged windows of texts whose characters are several tokens: marks cover them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import regex

from autointerp_core.labels.explain.example_lines import clip, mark_peak, mark_strengths, whole_word
from autointerp_core.labels.marks import marked_pieces, without_marks
from autointerp_core.labels.scoring.marked_windows import firing_tokens, marked_text, silent_tokens
from autointerp_core.store.example_windows import Windows, build_examples
from autointerp_core.store.records import Example
from autointerp_core.store.tokenstore import SPECIAL
from tests.core.test_token_kinds import stored

TEXTS = [
    "東京は晴れ、北京も晴れ。", "你好，世界！今天天气很好。", "مرحبا بالعالم اليوم جميل",
    "🙂🚀 👩‍👩‍👧 🧿🇩🇪 ok",
    "한국어 문장입니다", "हिन्दी में लिखा है", "naïve café e\u0301té", "שלום עִבְרִית",
]  # fmt: skip


def examples(folder: Path, kind: str, bos: bool, context: int = 12) -> list[Example]:
    """An example for every token that is no special one, firing there and beside it."""
    store = stored(folder, kind, TEXTS, context, bos=bos)
    token = np.flatnonzero(store.flags & SPECIAL == 0).astype(np.int64)
    start, stop = store.windows(token, 16, 15)
    values = np.zeros(int((stop - start).sum()), dtype=np.float32)
    at = np.cumsum(stop - start) - (stop - start) + token - start
    values[at] = 2.0
    windows = Windows("top", token, np.full(len(token), 2.0, np.float32), start, stop, values)
    return build_examples(store, windows, np.zeros(len(token), dtype=np.int32))


@pytest.mark.parametrize("kind", ["byte-level", "byte-level NFC", "SentencePiece", "Unigram"])
@pytest.mark.parametrize("bos", [False, True])
def test_no_prompt_is_without_its_mark(tmp_path: Path, kind: str, bos: bool) -> None:
    """Case 18: the mark is on the character, is never missing, and never says 'space' for it."""
    for example in examples(tmp_path, kind, bos):
        shown = example.peak_text
        document = TEXTS[example.document_index]
        name = {"": "<<space>>"}.get(shown.strip(), f"<<{shown.strip()}>>")
        lines = [
            mark_peak(example),
            mark_peak(clip(example, 3)),
            mark_strengths(example, 2.0),
            marked_text(
                example.whole.tokens,
                sorted({example.unit_index(i) for i in firing_tokens(example)}),
            ),
        ]
        for line in lines:
            assert name in line
            assert len(marked_pieces(line)) == 1
            assert "\ufffd" not in line
        if shown.strip():
            assert shown.strip() in document
            assert all("<<space>>" not in line for line in lines)
            assert without_marks(lines[3]).strip() in " ".join([document])
        assert whole_word(example) == "" or whole_word(example) in document


def test_a_text_without_such_characters_is_as_it_was(tmp_path: Path) -> None:
    plain = stored(tmp_path, "byte-level", ["the net loss widened"], 100)
    token = np.arange(plain.n_tokens, dtype=np.int64)
    start, stop = plain.windows(token, 16, 15)
    nothing = np.zeros(int((stop - start).sum()), dtype=np.float32)
    windows = Windows("top", token, np.zeros(len(token), np.float32), start, stop, nothing)
    for example in build_examples(plain, windows, np.zeros(len(token), dtype=np.int32)):
        assert example.whole is example
        assert example.unit_texts == example.tokens


# What a reader sees as one character, and what cannot be seen at all.
SEEN_AS_ONE = [
    "so 👩‍👩‍👧 ran", "a 👩🏽‍🚀 flew", "in 🇩🇪🇫🇷 now", "go 🏴󠁧󠁢󠁥󠁮󠁧󠁿 go", "press 3️⃣ now", "葛󠄀城 ☀️",
    "a\u0323\u0301b Z\u0351\u0300\u0334x", "हिन्दी क्षत्रिय श्री", "தமிழ் நாடு", "น้ำเย็น กำลัง",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8 말", "one\r\ntwo\rthree\n\nfour", "x</s>y <s> z",
    "▁ ▁▁ 東京", "a\u200bb\u2060c \u00adx", "a\u3000b\u00a0c\td", "a\u2028b\x0cc\x85d",
    "a\x00b\ufffdc", "مُحَمَّد قال ﷺ",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["byte-level", "byte-level NFC", "SentencePiece"])
def test_marks_cover_what_is_seen_as_one(tmp_path: Path, kind: str) -> None:
    store = stored(tmp_path, kind, SEEN_AS_ONE, 200)
    token = np.arange(store.n_tokens, dtype=np.int64)
    start, stop = store.windows(token, 199, 199)
    nothing = np.zeros(int((stop - start).sum()), dtype=np.float32)
    windows = Windows("top", token, np.zeros(len(token), np.float32), start, stop, nothing)
    for example in build_examples(store, windows, np.zeros(len(token), dtype=np.int32)):
        text = SEEN_AS_ONE[example.document_index]
        edges = {0} | {found.end() for found in regex.finditer(r"\X", text)}
        first, end = example.unit(example.peak_index)
        begin = len("".join(example.tokens[:first]))
        assert begin in edges
        assert begin + len("".join(example.tokens[first:end])) in edges
        (said,) = marked_pieces(mark_peak(example))
        assert any(not unicodedata.category(c).startswith(("C", "Z")) for c in said)
        assert said != "space" or set(example.peak_text) <= set(" \u00a0\u3000")


def window(tokens: list[str], firing: int) -> Example:
    values = tuple(3.0 if i == firing else 0.0 for i in range(len(tokens)))
    return Example(
        0, "top", 3.0, 0, firing, 0, 0, tuple(range(len(tokens))), tuple(tokens), values, firing
    )


def test_a_sentence_without_spaces_is_not_one_word() -> None:
    """Else a firing there left nothing to mark wrongly, and prompts named the sentence a word."""
    chinese = window(["今天", "天气", "很", "好", "。"], 1)
    assert silent_tokens(chinese) == [0, 2, 3, 4]
    assert whole_word(chinese) == "天气"
    hindi = window([" हि", "न्दी", " में", " है"], 0)
    assert silent_tokens(hindi) == [2, 3]
    assert whole_word(hindi) == "हिन्दी"
    assert whole_word(window(["می\u200c", "خواهم", " رفت"], 1)) == "می\u200cخواهم"
    assert whole_word(window(["a", "\u200b", "b"], 1)) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\t", "tab"),
        ("\r", "line break"),
        ("\u2028", "line break"),
        (" \u3000", "space"),
        ("\u200b", "zero width space"),
        ("\x00", "U+0000"),
    ],
)
def test_what_cannot_be_seen_is_said(text: str, said: str) -> None:
    assert mark_peak(window(["a", text, "b"], 1)) == f"a<<{said}>>b"
    assert f"<<{said}>>(10)" in mark_strengths(window(["a", text, "b"], 1), 3.0)
