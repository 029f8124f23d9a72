"""Documents → token ids and byte-exact token texts, written once into the study.

Does: tokenise, cut into sequences, prepend BOS, map every token to its bytes.
Does not: pad, pack, truncate, or know about models and SAEs.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from autointerp_core.errors import ModelSourceError
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.files import write_json, writing
from autointerp_core.store.study import CONTINUES, SPECIAL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_DOCUMENTS_PER_CALL = 64


@dataclass(frozen=True)
class Tokenisation:
    """How documents become sequences. Part of a study's identity."""

    context_size: int
    """Tokens in a sequence at most, BOS included."""
    prepend_bos: bool
    bos_id: int | None
    special_ids: tuple[int, ...]

    @classmethod
    def of(
        cls, tokenizer: PreTrainedTokenizerFast, context_size: int, prepend_bos: bool
    ) -> Tokenisation:
        bos = tokenizer.bos_token_id
        if prepend_bos and bos is None:  # id 0 is a real BOS (Pythia)
            raise ModelSourceError(
                "the SAE was trained with a BOS token but this model's tokenizer has none; "
                "check that the model belongs to the SAE"
            )
        added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        return cls(
            context_size=context_size,
            prepend_bos=prepend_bos,
            bos_id=bos if prepend_bos else None,
            special_ids=tuple(sorted(added | set(tokenizer.all_special_ids))),
        )


@dataclass(frozen=True)
class TokenCounts:
    documents: int
    sequences: int
    tokens: int


def write_tokens(
    folder: Path,
    texts: Iterable[str],
    total: int,
    tokenizer: PreTrainedTokenizerFast,
    how: Tokenisation,
    progress: ProgressCallback,
) -> TokenCounts:
    """Tokenise ``texts`` into ``folder`` (made whole in one rename; memory does not grow).

    Every document yields at least one sequence, an empty one where it has no tokens, so
    that with documents that fit, a sequence's index is its document's row.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".tokens-", dir=folder.parent))
    try:
        with writing(folder):
            counts = _write(temporary, texts, total, tokenizer, how, progress)
            write_json(temporary / "vocab.json", vocabulary(tokenizer))
            temporary.chmod(0o755)
            temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return counts


def _write(
    folder: Path,
    texts: Iterable[str],
    total: int,
    tokenizer: PreTrainedTokenizerFast,
    how: Tokenisation,
    progress: ProgressCallback,
) -> TokenCounts:
    special = np.asarray(how.special_ids, dtype=np.int64)
    documents = sequences = tokens = text_bytes = 0
    with contextlib.ExitStack() as stack:

        def file(name: str) -> BinaryIO:
            return stack.enter_context(open(folder / f"{name}.bin", "wb"))

        ids_file, ends_file, flags_file = file("ids"), file("ends"), file("flags")
        sequences_file, owners_file, starts_file = file("sequences"), file("owners"), file("starts")
        documents_file, text_file = file("documents"), file("text")
        _put(sequences_file, 0, np.int64)
        _put(documents_file, 0, np.int64)
        stream = iter(texts)
        while batch := list(islice(stream, _DOCUMENTS_PER_CALL)):
            for text, encoded in zip(batch, encode_documents(tokenizer, batch), strict=True):
                raw = text.encode("utf-8")
                ids, ends, continues = encoded
                ends = ends + text_bytes
                text_file.write(raw)
                for low, high in _cut(len(ids), how):
                    start = int(ends[low - 1]) if low else text_bytes
                    flags = np.where(np.isin(ids[low:high], special), SPECIAL, 0)
                    flags = flags | np.where(continues[low:high], CONTINUES, 0)
                    piece_ids, piece_ends = ids[low:high], ends[low:high]
                    if how.bos_id is not None and high > low:
                        piece_ids = np.concatenate([[how.bos_id], piece_ids])
                        piece_ends = np.concatenate([[start], piece_ends])
                        flags = np.concatenate([[SPECIAL], flags])
                    ids_file.write(piece_ids.astype("<u4").tobytes())
                    ends_file.write(piece_ends.astype("<i8").tobytes())
                    flags_file.write(flags.astype(np.uint8).tobytes())
                    tokens += len(piece_ids)
                    sequences += 1
                    _put(sequences_file, tokens, np.int64)
                    _put(owners_file, documents, np.int64)
                    _put(starts_file, start, np.int64)
                text_bytes += len(raw)
                documents += 1
                _put(documents_file, text_bytes, np.int64)
            progress(Progress("tokenising", documents, total, "documents"))
    return TokenCounts(documents, sequences, tokens)


def encode_documents(
    tokenizer: PreTrainedTokenizerFast, texts: list[str]
) -> Iterator[tuple[Any, Any, Any]]:
    """Token ids, byte end of each token's text, and whether it goes on with a character.

    No special tokens are added: a tokenizer's own habit (DESIGN §4) must not leak in.
    Text that a tokenizer skips goes to the token after it, at the end to the last one,
    so the texts of all tokens joined are the document.
    """
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        padding=False,
        truncation=False,
        verbose=False,
    )
    for text, ids, offsets in zip(
        texts, encoded["input_ids"], encoded["offset_mapping"], strict=True
    ):
        ids = np.asarray(ids, dtype=np.int64)
        spans = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
        ends = np.maximum.accumulate(spans[:, 1]) if len(spans) else spans[:, 1]
        before = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        continues = (spans[:, 0] < before) & (spans[:, 1] > spans[:, 0])
        if len(ends):
            ends[-1] = len(text)
        yield ids, _byte_offsets(text)[ends] if not text.isascii() else ends, continues


def vocabulary(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Text of every token id; the tokenizer's own spelling where the bytes are no text."""
    ids = list(range(len(tokenizer)))
    decoded = tokenizer.backend_tokenizer.decode_batch(
        [[i] for i in ids], skip_special_tokens=False
    )
    spelled = tokenizer.convert_ids_to_tokens(ids)
    return [
        spelling if "\ufffd" in text or not text else text
        for text, spelling in zip(decoded, (s or "" for s in spelled), strict=True)
    ]


def _cut(n_tokens: int, how: Tokenisation) -> Iterator[tuple[int, int]]:
    room = how.context_size - (how.bos_id is not None)
    for low in range(0, max(n_tokens, 1), room):
        yield low, min(low + room, n_tokens)


def _byte_offsets(text: str) -> Any:
    """Byte offset of every character boundary: ``len(text) + 1`` entries."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    width = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    return np.concatenate([[0], np.cumsum(width)])


def _put(handle: BinaryIO, value: int, dtype: type[np.generic]) -> None:
    handle.write(np.asarray(value, dtype=np.dtype(dtype).newbyteorder("<")).tobytes())
