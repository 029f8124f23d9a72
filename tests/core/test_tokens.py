"""Token store laws: byte-exact texts, whole characters, clipped windows, any Unicode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autointerp_core.errors import ModelSourceError
from autointerp_core.extraction.tokens import Tokenisation, encode_documents, write_tokens
from autointerp_core.progress import silent
from autointerp_core.store.study import CONTINUES, SPECIAL, TokenStore
from tests.core.tiny import tiny_tokenizer

_TEXT = st.text(
    st.one_of(
        st.sampled_from("ab  \n\té語🙂👩‍👩‍👧\u202e\u0000e\u0301<|bos|>"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(_TEXT, max_size=5), context=st.integers(2, 9), bos=st.booleans())
def test_round_trip(
    tokenizer: Any,
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    context: int,
    bos: bool,
) -> None:
    folder = tmp_path_factory.mktemp("store") / "tokens"
    how = Tokenisation.of(tokenizer, context, bos)
    counts = write_tokens(folder, texts, len(texts), tokenizer, how, silent)
    store = TokenStore(folder)
    assert (counts.documents, counts.tokens) == (len(texts), store.n_tokens)
    assert len(store.documents) == len(texts) + 1
    assert (np.diff(store.sequences) <= context).all()
    for document, text in enumerate(texts):
        assert store.document_text(document) == text
        sequences = store.document_sequences(document)
        assert len(sequences) >= 1
        pieces: list[str] = []
        ids: list[int] = []
        for sequence in sequences:
            low, high = (int(x) for x in store.sequences[sequence : sequence + 2])
            if high == low:
                continue
            pieces += store.pieces(low, high)
            part = store.ids[low:high].tolist()
            if bos:
                assert part[0] == how.bos_id
                assert store.flags[low] & SPECIAL
            ids += part[1:] if bos else part
        if ids:
            assert "".join(pieces) == text
        expected = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == expected


@settings(max_examples=100, deadline=None)
@given(text=_TEXT)
def test_split_character_stands_in_its_first_token(tokenizer: Any, text: str) -> None:
    ((ids, ends, continues),) = encode_documents(tokenizer, [text])
    raw = text.encode()
    starts = np.concatenate([[0], ends[:-1]]).astype(int) if len(ends) else ends
    for start, end, goes_on in zip(starts, ends, continues, strict=True):
        raw[start:end].decode()  # never half a character
        if goes_on:
            assert start == end or end == len(raw)
    assert len(ids) == len(ends)


def test_window_is_widened_to_whole_characters(tokenizer: Any, tmp_path: Path) -> None:
    text = "a🙂🚀b" * 8
    how = Tokenisation.of(tokenizer, 1000, False)
    write_tokens(tmp_path / "tokens", [text], 1, tokenizer, how, silent)
    store = TokenStore(tmp_path / "tokens")
    assert (store.flags & CONTINUES).any()
    for token in range(store.n_tokens):
        start, stop = (int(x[0]) for x in store.windows(np.array([token]), 3, 2))
        assert start <= max(0, token - 3)
        assert stop >= min(store.n_tokens, token + 3)
        assert not store.flags[start] & CONTINUES
        assert stop == store.n_tokens or not store.flags[stop] & CONTINUES
        # No wider than the three further bytes a character can have.
        assert max(0, token - 3) - start <= 3
        assert stop - min(store.n_tokens, token + 3) <= 3
        assert "\ufffd" not in "".join(store.pieces(start, stop))


def test_bos_wanted_but_absent(tmp_path: Path) -> None:
    without = tiny_tokenizer(tmp_path, bos=False)
    with pytest.raises(ModelSourceError, match="BOS"):
        Tokenisation.of(without, 16, True)


def test_kill_while_tokenising_leaves_no_store(tokenizer: Any, tmp_path: Path) -> None:
    def texts() -> Any:
        yield "one"
        raise KeyboardInterrupt

    how = Tokenisation.of(tokenizer, 16, False)
    with pytest.raises(KeyboardInterrupt):
        write_tokens(tmp_path / "tokens", texts(), 2, tokenizer, how, silent)
    assert list(tmp_path.iterdir()) == []
