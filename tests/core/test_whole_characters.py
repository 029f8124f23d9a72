"""Prompts and judged windows of texts whose characters are several tokens: marks cover them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autointerp_core.labels.explain.example_lines import clip, mark_peak, mark_strengths, whole_word
from autointerp_core.labels.marks import marked_pieces, without_marks
from autointerp_core.labels.scoring.marked_windows import firing_tokens, marked_text
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
