"""Every kind of tokenizer: texts are byte-exact, and what an example peaks on is never empty."""

from __future__ import annotations

import itertools
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp_core.extraction.alignment import Spelling, align_texts
from autointerp_core.extraction.tokens import Tokenisation, vocabulary, write_tokens
from autointerp_core.progress import silent
from autointerp_core.store.example_windows import Windows, build_examples
from autointerp_core.store.records import Example
from autointerp_core.store.tokenstore import SPECIAL, TokenStore
from tests.core.tokenizer_kinds import KINDS, kind_of_tokenizer

tokenizer_of = cache(kind_of_tokenizer)

# Emoji (joined, with skin tones, flags), CJK, combining marks (apart, composed, Hangul, several on
# a letter), right-to-left with its marks, hard and odd spaces, line ends, bytes that were no text
# (as the reader hands them over), ligatures, and a literal U+2581.
_ODD = [
    "🙂", "👩‍👩‍👧", "👍🏽", "🇩🇪", "東京", "晴れ", "한국어", "\u1100\u1161\u11a8", "e\u0301",
    "a\u0323\u0301", "\u0301", "x\u0336", "ﾊﾟ", "עִבְרִית", "مُحَمَّد", "\u202e", "ﷺ", "\u00a0", "\u3000",
    "\r\n", "\n", "\t", "  ", " ", "\ufffd", "\x00", "ﬁ", "½", "İ", "▁", "é", "हिन्दी", "\u200b",
]  # fmt: skip
_TEXT = st.lists(
    st.one_of(
        st.sampled_from(_ODD),
        st.sampled_from(["a", "the", " net", "202", "hello world", ".", "</s>", "café"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    ),
    max_size=12,
).map("".join)

Store = Any


def examples_at_every_token(store: TokenStore, before: int, after: int) -> list[Example]:
    """An example for each token of a store, its peak there."""
    token = np.arange(store.n_tokens, dtype=np.int64)
    start, stop = store.windows(token, before, after)
    values = np.zeros(int((stop - start).sum()), dtype=np.float32)
    windows = Windows("top", token, np.zeros(len(token), np.float32), start, stop, values)
    return build_examples(store, windows, np.zeros(len(token), dtype=np.int32))


def stored(folder: Path, kind: str, texts: list[str], context: int, **how: Any) -> TokenStore:
    tokenizer = tokenizer_of(kind)
    made = Tokenisation.of(tokenizer, context, how.pop("bos", False), **how)
    write_tokens(folder / "tokens", texts, len(texts), tokenizer, made, silent)
    return TokenStore(folder / "tokens")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(texts=st.lists(_TEXT, max_size=3), context=st.integers(2, 9), bos=st.booleans())
def test_examples_join_to_the_source_and_peaks_are_never_empty(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    texts: list[str],
    context: int,
    bos: bool,
) -> None:
    store = stored(tmp_path_factory.mktemp("kinds"), kind, texts, context, bos=bos)
    special = np.asarray(store.flags) & SPECIAL
    for token, example in enumerate(examples_at_every_token(store, 3, 2)):
        document = texts[example.document_index]
        assert example.text in document
        assert len(example.tokens) == len(example.token_ids)
        ranges = example.units
        assert ranges[0][0] == 0
        assert ranges[-1][1] == len(example.tokens)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))
        assert example.peak_text
        assert all(example.unit_texts)
        if example.peak_index not in dict(example.named):
            assert example.peak_text in document
        else:
            # A token of a text has a name only where its sequence shows nothing at all.
            assert special[token] or not example.text


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(text=_TEXT)
@pytest.mark.slow
def test_tokens_join_to_the_document(kind: str, text: str) -> None:
    (found,) = align_texts(tokenizer_of(kind), [text])
    ends = found.ends.tolist()
    raw = text.encode()
    assert ends == sorted(ends)
    pieces = [raw[a:b].decode() for a, b in itertools.pairwise([0, *ends])]
    if ends:
        assert "".join(pieces) == text
    # Only the later part of a character, or a space put in by the tokenizer, has no text.
    for i, piece in enumerate(pieces):
        spelled = tokenizer_of(kind).convert_ids_to_tokens(int(found.ids[i]))
        assert piece or found.continues[i] or spelled == "▁"


@pytest.mark.parametrize("kind", [k for k in KINDS if "NF" not in k and k != "WordPiece"])
@settings(max_examples=60, deadline=None)
@given(text=_TEXT.filter(lambda text: "▁" not in text))
def test_a_token_has_the_text_its_spelling_says(kind: str, text: str) -> None:
    tokenizer = tokenizer_of(kind)
    (found,) = align_texts(tokenizer, [text])
    ends = found.ends.tolist()
    raw = text.encode()
    for i, (start, stop) in enumerate(itertools.pairwise([0, *ends])):
        spelled = tokenizer.convert_ids_to_tokens(int(found.ids[i]))
        # Bytes that are part of a character are another test's; these are whole characters.
        plain = re.fullmatch(r"[▁Ġ]?[a-z0-9.]+", spelled)
        if plain and not spelled.startswith("<0x"):
            expected = spelled.replace("▁", " ").replace("Ġ", " ")
            assert raw[start:stop].decode() in (expected, expected.lstrip(" "))


@pytest.mark.parametrize("kind", ["byte-level", "SentencePiece bare"])
@settings(max_examples=80, deadline=None)
@given(text=_TEXT.filter(lambda text: "▁" not in text and "\ufffd" not in text))
def test_ids_alone_spell_the_text_they_came_from(kind: str, text: str) -> None:
    """Two ways that share no code: spans of the tokenizer, and spellings of its ids."""
    tokenizer = tokenizer_of(kind)
    (by_span,) = align_texts(tokenizer, [text])
    spelled, by_spelling = Spelling(tokenizer).align(by_span.ids)
    if len(by_span.ids):
        assert spelled == text
    assert by_spelling.ends.tolist() == by_span.ends.tolist()
    assert by_spelling.continues.tolist() == by_span.continues.tolist()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_ids_alone_spell_what_the_tokenizer_decodes(kind: str, data: st.DataObject) -> None:
    tokenizer = tokenizer_of(kind)
    ids = data.draw(st.lists(st.integers(3, len(tokenizer) - 1), max_size=12))
    text, found = Spelling(tokenizer).align(np.asarray(ids, dtype=np.int64))
    assert (found.ends.tolist() or [0])[-1] == len(text.encode())
    decoded = tokenizer.backend_tokenizer.decode(ids, skip_special_tokens=False)
    # How many U+FFFD stand for bytes that are no text is a matter of taste, and SentencePiece
    # decoders give up a whole run of bytes where one of them is no text.
    if "\ufffd" not in decoded:
        assert text == decoded
    elif kind.startswith("byte-level"):
        assert re.sub("\ufffd+", "\ufffd", text) == re.sub("\ufffd+", "\ufffd", decoded)


@pytest.mark.parametrize("kind", ["SentencePiece", "SentencePiece metaspace", "Unigram"])
@pytest.mark.parametrize(
    ("text", "first"), [("北海", "北"), ("202", "2"), ("🙂 hello", "🙂"), ("½", "½")]
)
def test_a_blank_put_before_a_document_has_no_text(
    tmp_path: Path, kind: str, text: str, first: str
) -> None:
    """Case 19 (sentencepiece 853): the texts were shifted by one."""
    store = stored(tmp_path, kind, [text], 100)
    spelled = tokenizer_of(kind).convert_ids_to_tokens(store.ids.tolist())
    pieces = store.pieces(0, store.n_tokens)
    assert spelled[0] == "▁"
    assert pieces[0] == ""
    assert pieces[1].startswith(first)
    peaks = [example.peak_text for example in examples_at_every_token(store, 16, 15)]
    assert peaks[0].startswith(first)
    assert all(peaks)


def test_a_real_space_keeps_its_text(tmp_path: Path) -> None:
    store = stored(tmp_path, "SentencePiece", [" 東   🙂"], 100)
    pieces = store.pieces(0, store.n_tokens)
    spelled = tokenizer_of("SentencePiece").convert_ids_to_tokens(store.ids.tolist())
    assert "".join(pieces) == " 東   🙂"
    blanks = [pieces[i] for i, token in enumerate(spelled) if set(token) == {"▁"}]
    assert "".join(blanks) == " " * 4


@pytest.mark.parametrize("kind", ["byte-level NFC", "byte-level NFKC", "Unigram NFKC"])
@pytest.mark.parametrize("letter", ["e\u0301", "a\u0323\u0301", "\u1100\u1161\u11a8", "n\u0303"])
def test_a_composed_letter_is_marked_whole(tmp_path: Path, kind: str, letter: str) -> None:
    """Case 19b: the letter was in one token, its mark in the next."""
    assert len(unicodedata.normalize("NFC", letter)) < len(letter)
    store = stored(tmp_path, kind, [f"cx{letter} zz"], 100)
    holders = [
        example
        for example in examples_at_every_token(store, 16, 15)
        if letter[0] in example.peak_text
    ]
    assert holders
    for example in holders:
        assert letter in example.peak_text


@pytest.mark.parametrize("text", ["東京は晴れ", "中文字符", "مرحبا", "🙂🚀👩‍👩‍👧", "한국어"])
@pytest.mark.parametrize("kind", ["byte-level", "SentencePiece"])
def test_every_part_of_a_character_shows_it(tmp_path: Path, kind: str, text: str) -> None:
    """Case 18: half of the top examples had no mark, prompts called it a space."""
    store = stored(tmp_path, kind, [text], 100)
    for token, example in enumerate(examples_at_every_token(store, 16, 15)):
        unit = example.peak_text
        assert unit.strip()
        assert unit in text
        first, stop = example.unit(example.peak_index)
        assert first <= example.peak_index < stop
        assert example.token_position == token


def test_a_character_cut_by_a_sequence_is_shown_in_both(tmp_path: Path) -> None:
    store = stored(tmp_path, "byte-level", ["a🧿b"], 3, bos=True)
    examples = examples_at_every_token(store, 16, 15)
    names = [example.peak_text for example in examples]
    parts = len(tokenizer_of("byte-level")("🧿")["input_ids"])
    assert parts >= 3
    assert [name for name in names if name != "<s>"] == ["a", *["🧿"] * parts, "b"]
    # The text itself holds it once, in the sequence where it begins.
    assert {example.opening for example in examples} == {"", "🧿"}
    assert sum("🧿" in text for text in {example.text for example in examples}) == 1


def test_bos_as_a_peak_has_its_name(tmp_path: Path) -> None:
    store = stored(tmp_path, "SentencePiece", ["the net"], 100, bos=True)
    first = examples_at_every_token(store, 16, 15)[0]
    assert (first.tokens[0], first.peak_text) == ("", "<s>")


def test_the_vocabulary_keeps_the_space_of_a_sentence_piece() -> None:
    tokenizer = tokenizer_of("SentencePiece")
    vocab = vocabulary(tokenizer, len(tokenizer) + 3)
    assert vocab[tokenizer.convert_tokens_to_ids("▁")] == " "
    assert vocab[tokenizer.convert_tokens_to_ids("<0xE6>")] == "<0xE6>"
    assert vocab[tokenizer.convert_tokens_to_ids("</s>")] == "</s>"
    assert len(vocab) == len(tokenizer) + 3  # embeddings are often rounded up
