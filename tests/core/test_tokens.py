"""Token store laws: byte-exact texts, whole characters, clipped windows, any Unicode."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sae_lens.tokenization_and_batching import concat_and_batch_sequences

from autointerp_core.errors import ModelSourceError, ParameterError
from autointerp_core.extraction.alignment import align_texts
from autointerp_core.extraction.tokens import Tokenisation, write_tokens
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
@pytest.mark.slow
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
    (found,) = align_texts(tokenizer, [text])
    ids, ends, continues = found.ids, found.ends, found.continues
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
    without.eos_token = None
    with pytest.raises(ModelSourceError, match="BOS"):
        Tokenisation.of(without, 16, True)


def test_without_bos_its_eos_is_put_there_and_said(tmp_path: Path) -> None:
    """Case 22 (TransformerLens 1628): the models without BOS are used as TransformerLens does."""
    from transformer_lens.model_bridge.sources.transformers import setup_tokenizer

    without = tiny_tokenizer(tmp_path / "tokenizer", bos=False)
    how = Tokenisation.of(without, 16, True)
    assert how.bos_id == without.eos_token_id
    assert how.bos_id in how.special_ids
    assert "no BOS" in how.notices[0]
    assert "<|eos|>" in how.notices[0]
    assert Tokenisation.of(without, 16, False).notices == ()
    write_tokens(tmp_path / "tokens", ["one two"], 1, without, how, silent)
    theirs = setup_tokenizer(tiny_tokenizer(tmp_path / "again", bos=False))
    assert TokenStore(tmp_path / "tokens").ids[0] == theirs.bos_token_id


@pytest.mark.parametrize(("size", "bos"), [(1, True), (0, True), (0, False)])
def test_a_context_without_room_is_one_clear_line(tokenizer: Any, size: int, bos: bool) -> None:
    """Case 17 (SAELens 200): context_size 1 with BOS failed inside range()."""
    with pytest.raises(ParameterError, match="no room for a token") as caught:
        Tokenisation.of(tokenizer, size, bos)
    assert "--context-size" in str(caught.value)
    assert Tokenisation.of(tokenizer, 1, False).context_size == 1


def _sequences(folder: Path) -> list[list[int]]:
    store = TokenStore(folder)
    edges = store.sequences.tolist()
    return [store.ids[a:b].tolist() for a, b in itertools.pairwise(edges)]


def test_text_that_begins_with_bos_gets_no_second_one(tokenizer: Any, tmp_path: Path) -> None:
    """Case 23 (TransformerLens 369): the oracle is SAELens' own batching."""
    texts = ["<|bos|>one two three four five six", "one two three"]
    how = Tokenisation.of(tokenizer, 6, True)
    write_tokens(tmp_path / "tokens", texts, 2, tokenizer, how, silent)
    found = _sequences(tmp_path / "tokens")
    assert all(sequence.count(0) == 1 and sequence[0] == 0 for sequence in found)
    assert all(len(sequence) <= 6 for sequence in found)
    ids = tokenizer(texts[0], add_special_tokens=False)["input_ids"]
    theirs = concat_and_batch_sequences(
        iter([torch.tensor(ids)]), 6, begin_batch_token_id=0, begin_sequence_token_id=None
    )
    full = [batch.tolist() for batch in theirs]
    assert found[: len(full)] == full


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(_TEXT, max_size=6), context=st.integers(2, 9), bos=st.booleans())
def test_packed_sequences_are_saelens_own(
    tokenizer: Any,
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    context: int,
    bos: bool,
) -> None:
    folder = tmp_path_factory.mktemp("packed") / "tokens"
    how = Tokenisation.of(tokenizer, context, bos, pack=True)
    write_tokens(folder, texts, len(texts), tokenizer, how, silent)
    found = _sequences(folder)
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    theirs = concat_and_batch_sequences(
        (torch.tensor(one) for one in ids if one),
        context,
        begin_batch_token_id=0 if bos else None,
        sequence_separator_token_id=0,
    )
    full = [batch.tolist() for batch in theirs]
    # SAELens drops what does not fill the last sequence; here every token is kept.
    assert found[: len(full)] == full
    assert len(found) <= len(full) + 1
    store = TokenStore(folder)
    assert sum(int(i) not in (0,) for i in store.ids) == sum(i != 0 for one in ids for i in one)
    owner = store.document_of(np.arange(store.n_tokens, dtype=np.int64))
    for document, text in enumerate(texts):
        assert store.document_text(document) == text
        of_text = np.flatnonzero((owner == document) & (store.flags & SPECIAL == 0))
        mine = [int(store.ids[t]) for t in np.flatnonzero(owner == document)]
        assert [i for i in mine if i != 0] == [i for i in ids[document] if i != 0]
        held = store.document_sequences(document)
        assert {int(s) for s in store.sequence_of(of_text)} <= set(held)


def test_ids_beyond_the_embedding_are_told_before_anything_runs(
    tokenizer: Any, tmp_path: Path
) -> None:
    """Case 21 (transformers 12763): an IndexError in the middle of the run."""
    grown = copy.deepcopy(tokenizer)
    rows = len(grown)
    grown.add_tokens(["<ticker>"])
    how = Tokenisation.of(grown, 16, False, embedding_rows=rows)
    texts = ["one", "two <ticker> three"]
    with pytest.raises(ModelSourceError) as caught:
        write_tokens(tmp_path / "tokens", texts, 2, grown, how, silent)
    message = str(caught.value)
    assert "row 1" in message
    assert "'<ticker>'" in message
    assert f"id {rows}" in message
    assert f"{rows} rows" in message
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ModelSourceError, match=r"BOS is .* id 0, .* has 0 rows"):
        Tokenisation.of(tokenizer, 16, True, embedding_rows=0)


def test_an_added_token_the_model_knows_is_a_token_like_any_other(
    tokenizer: Any, tmp_path: Path
) -> None:
    grown = copy.deepcopy(tokenizer)
    grown.add_tokens(["<ticker>"])
    how = Tokenisation.of(grown, 16, False, embedding_rows=len(grown))
    write_tokens(tmp_path / "tokens", ["two <ticker> three"], 1, grown, how, silent)
    store = TokenStore(tmp_path / "tokens")
    assert "<ticker>" in store.pieces(0, store.n_tokens)
    assert not (store.flags & SPECIAL).any()
    assert store.vocab[len(grown) - 1] == "<ticker>"


def test_kill_while_tokenising_leaves_no_store(tokenizer: Any, tmp_path: Path) -> None:
    def texts() -> Any:
        yield "one"
        raise KeyboardInterrupt

    how = Tokenisation.of(tokenizer, 16, False)
    with pytest.raises(KeyboardInterrupt):
        write_tokens(tmp_path / "tokens", texts(), 2, tokenizer, how, silent)
    assert list(tmp_path.iterdir()) == []
