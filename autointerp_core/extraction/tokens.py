"""Documents → token ids and byte-exact token texts, written once into the study.

Does: tokenise, cut into sequences (or pack into full ones), prepend BOS, map every token to
its bytes.
Does not: pad, truncate, or know about SAEs; of the model it knows how many tokens it can read.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import DatasetSourceError, ModelSourceError, ParameterError
from autointerp_core.extraction.alignment import (
    Aligned,
    Spelling,
    align_texts,
    byte_offsets,
)
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.sources.documents import Document
from autointerp_core.store.files import name_beside, write_json, writing
from autointerp_core.store.tokenstore import BLANK, CONTINUES, OUTSIDE, SPECIAL, IntArray

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
    pack: bool = False
    """Whether sequences are filled with one document after another."""
    separator_id: int | None = None
    """Between packed documents."""
    embedding_rows: int | None = None
    """Ids from here on are unknown to the model; None: not known."""
    notices: tuple[str, ...] = ()
    """What a person should be told about it."""

    @classmethod
    def of(
        cls,
        tokenizer: PreTrainedTokenizerFast,
        context_size: int,
        prepend_bos: bool,
        *,
        pack: bool = False,
        embedding_rows: int | None = None,
    ) -> Tokenisation:
        """As the tokenizer and the SAE say.

        BOS is the tokenizer's; one without any gets its EOS, which is what TransformerLens, and
        so SAELens' training, puts there. Packed documents are parted by the same token, as
        SAELens parts them.

        Raises:
            ModelSourceError: BOS is wanted and there is neither BOS nor EOS, or its id is beyond
                the embedding.
            ParameterError: no room for a token beside BOS.
        """
        least = 2 if prepend_bos else 1
        if context_size < least:
            raise ParameterError(
                f"context_size is {context_size}: no room for a token"
                f"{' beside BOS' if prepend_bos else ''}; give --context-size {least} or more"
            )
        first = tokenizer.bos_token_id  # id 0 is a real BOS (Pythia)
        notices: tuple[str, ...] = ()
        if first is None and (prepend_bos or pack):
            first = tokenizer.eos_token_id
            if first is None and prepend_bos:
                raise ModelSourceError(
                    "the SAE was trained with a BOS token but this model's tokenizer has neither "
                    "BOS nor EOS; check that the model belongs to the SAE"
                )
            if first is not None:
                notices = (
                    f"the tokenizer has no BOS: its EOS {tokenizer.eos_token} (id {first}) is put "
                    "in its place, as TransformerLens does",
                )
        added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        # A token that stands for BOS is one, whether the tokenizer calls it special or not.
        opening = {first} if first is not None and notices else set()
        how = cls(
            context_size=context_size,
            prepend_bos=prepend_bos,
            bos_id=first if prepend_bos else None,
            special_ids=tuple(sorted(added | set(tokenizer.all_special_ids) | opening)),
            pack=pack,
            separator_id=first if pack else None,
            embedding_rows=embedding_rows,
            notices=notices,
        )
        if prepend_bos and embedding_rows is not None and first >= embedding_rows:
            raise ModelSourceError(_beyond(tokenizer, first, embedding_rows, "BOS is"))
        return how


@dataclass(frozen=True)
class TokenCounts:
    documents: int
    sequences: int
    tokens: int


def write_tokens(
    folder: Path,
    documents: Iterable[str | Document],
    total: int,
    tokenizer: PreTrainedTokenizerFast,
    how: Tokenisation,
    progress: ProgressCallback,
) -> TokenCounts:
    """Tokenise ``documents`` into ``folder`` (made whole in one rename; memory does not grow).

    Unless packed, every document yields at least one sequence, an empty one where it has no
    tokens, so that with documents that fit, a sequence's index is its document's row.

    Raises:
        ModelSourceError: a token's id is beyond the model's embedding.
        DatasetSourceError: a row cannot be read.
        ParameterError: no token of any document is to be counted.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = name_beside(folder)
    with writing(folder):
        temporary.mkdir()
    try:
        with writing(folder):
            counts = write_token_arrays(temporary, documents, total, tokenizer, how, progress)
            write_json(temporary / "vocab.json", vocabulary(tokenizer, how.embedding_rows))
            temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return counts


@dataclass(frozen=True)
class _Piece:
    """Tokens that stand in one sequence; ``ends`` are offsets in text.bin."""

    ids: IntArray
    ends: IntArray
    flags: NDArray[np.uint8]

    @classmethod
    def joined(cls, pieces: list[_Piece]) -> _Piece:
        return cls(
            np.concatenate([piece.ids for piece in pieces]),
            np.concatenate([piece.ends for piece in pieces]),
            np.concatenate([piece.flags for piece in pieces]),
        )

    def cut(self, low: int, high: int) -> _Piece:
        return _Piece(self.ids[low:high], self.ends[low:high], self.flags[low:high])

    def __len__(self) -> int:
        return len(self.ids)


class _Files:
    """The arrays of a token store, written from the front."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack):
        def file(name: str) -> BinaryIO:
            return stack.enter_context(open(folder / f"{name}.bin", "wb"))

        self._ids, self._ends, self._flags = file("ids"), file("ends"), file("flags")
        self._sequences, self._owners = file("sequences"), file("owners")
        self._starts, self._documents, self._text = file("starts"), file("documents"), file("text")
        _put(self._sequences, 0)
        _put(self._documents, 0)
        self.documents = self.sequences = self.tokens = self.text_bytes = 0

    def sequence(self, piece: _Piece, start: int, owner: int) -> None:
        """Write a sequence whose text starts at byte ``start``, in document ``owner``."""
        self._ids.write(piece.ids.astype("<u4").tobytes())
        self._ends.write(piece.ends.astype("<i8").tobytes())
        self._flags.write(piece.flags.tobytes())
        self.tokens += len(piece)
        self.sequences += 1
        _put(self._sequences, self.tokens)
        _put(self._owners, owner)
        _put(self._starts, start)

    def document(self, raw: bytes) -> None:
        """Write a document's text; it ends with that."""
        self._text.write(raw)
        self.text_bytes += len(raw)
        self.documents += 1
        _put(self._documents, self.text_bytes)


def write_token_arrays(
    folder: Path,
    documents: Iterable[str | Document],
    total: int,
    tokenizer: PreTrainedTokenizerFast,
    how: Tokenisation,
    progress: ProgressCallback,
) -> TokenCounts:
    """Tokenise ``documents`` into the arrays of a token store, in a folder that is there.

    Raises:
        ModelSourceError, DatasetSourceError, ParameterError: as :func:`write_tokens`.
    """
    special = np.asarray(how.special_ids, dtype=np.int64)
    masked = counted = False
    with contextlib.ExitStack() as stack:
        files = _Files(folder, stack)
        put = _Packer(files, how) if how.pack else _Cutter(files, how)
        stream = (Document(d) if isinstance(d, str) else d for d in documents)
        while batch := list(islice(stream, _DOCUMENTS_PER_CALL)):
            for document, (text, aligned) in zip(
                batch, _aligned(tokenizer, batch, how, files.documents), strict=True
            ):
                flags = np.where(np.isin(aligned.ids, special), SPECIAL, 0)
                flags |= np.where(aligned.continues, CONTINUES, 0)
                if document.kept is not None:
                    inside = _inside(text, aligned, document.kept)
                    flags |= np.where(inside, 0, OUTSIDE)
                    masked, counted = True, counted or bool(inside.any())
                piece = _Piece(aligned.ids, aligned.ends + files.text_bytes, flags.astype(np.uint8))
                put.add(piece, outside=document.kept is not None)
                files.document(text.encode("utf-8"))
            progress(Progress("tokenising", files.documents, total, "documents"))
        put.finish()
    if masked and not counted:
        raise ParameterError(
            f"no message of the roles asked for in the {files.documents} rows used; "
            "leave --chat-roles away, or name roles that the conversations have"
        )
    return TokenCounts(files.documents, files.sequences, files.tokens)


class _Cutter:
    """A document is cut into consecutive sequences; it shares none with another."""

    def __init__(self, files: _Files, how: Tokenisation):
        self._files, self._how = files, how

    def add(self, piece: _Piece, outside: bool) -> None:
        """Write the next document's sequences."""
        files, how = self._files, self._how
        low, start = 0, files.text_bytes
        while True:
            opened = how.bos_id is None or low == len(piece) or piece.ids[low] == how.bos_id
            high = min(low + how.context_size - (not opened), len(piece))
            part = piece.cut(low, high)
            if not opened:
                part = _Piece.joined([_lone(how.bos_id, start, outside), part])
            files.sequence(part, start, files.documents)
            if high == len(piece):
                return
            low, start = high, int(piece.ends[high - 1])

    def finish(self) -> None:
        """Nothing is left over."""


class _Packer:
    """Documents follow one another, parted by the separator, in sequences that are all full.

    Each sequence begins with BOS where that is wanted; the last one is as long as what is left.
    """

    def __init__(self, files: _Files, how: Tokenisation):
        self._files, self._how = files, how
        self._pieces: list[_Piece] = []
        self._start = self._owner = 0

    def add(self, piece: _Piece, outside: bool) -> None:
        """Write the sequences that the next document fills."""
        files, how = self._files, self._how
        low, start = 0, files.text_bytes
        while low < len(piece):
            held = sum(map(len, self._pieces))
            opening = how.separator_id if held else how.bos_id
            if not held:
                self._start, self._owner = start, files.documents
            if opening is not None and piece.ids[low] != opening:
                self._pieces.append(_lone(opening, start, outside))
                held += 1
            high = min(low + how.context_size - held, len(piece))
            if high > low:
                self._pieces.append(piece.cut(low, high))
                low, start = high, int(piece.ends[high - 1])
            if sum(map(len, self._pieces)) == how.context_size:
                self.finish()

    def finish(self) -> None:
        """Write the sequence begun, however short."""
        if self._pieces:
            self._files.sequence(_Piece.joined(self._pieces), self._start, self._owner)
        self._pieces = []


def _lone(token_id: int | None, end: int, outside: bool) -> _Piece:
    """A token that stands in no document's text."""
    flags = SPECIAL | (OUTSIDE if outside else 0)
    return _Piece(
        np.array([token_id], dtype=np.int64),
        np.array([end], dtype=np.int64),
        np.array([flags], dtype=np.uint8),
    )


def _aligned(
    tokenizer: PreTrainedTokenizerFast, batch: list[Document], how: Tokenisation, first_row: int
) -> Iterator[tuple[str, Aligned]]:
    """Text and tokens of each document.

    Raises:
        ModelSourceError, DatasetSourceError: an id that is none of the model's.
    """
    texts = [document.text for document in batch if document.ids is None]
    from_text = align_texts(tokenizer, texts) if texts else iter(())
    spelling = Spelling(tokenizer) if len(texts) < len(batch) else None
    for row, document in enumerate(batch, first_row):
        if document.ids is None or spelling is None:
            aligned = next(from_text)
            if len(aligned.ids):
                _check_ids(tokenizer, 0, int(aligned.ids.max()), how, row)
            yield document.text, aligned
        else:
            if document.ids:
                _check_ids(tokenizer, min(document.ids), max(document.ids), how, row)
            yield spelling.align(np.asarray(document.ids, dtype=np.int64))


def _check_ids(
    tokenizer: PreTrainedTokenizerFast, lowest: int, highest: int, how: Tokenisation, row: int
) -> None:
    if lowest < 0:
        raise DatasetSourceError(f"row {row} holds the token id {lowest}; ids count from 0")
    if how.embedding_rows is not None and highest >= how.embedding_rows:
        raise ModelSourceError(_beyond(tokenizer, highest, how.embedding_rows, f"row {row} holds"))


def _beyond(tokenizer: PreTrainedTokenizerFast, token_id: int, rows: int, where: str) -> str:
    token = tokenizer.backend_tokenizer.id_to_token(token_id) if token_id < 2**32 else None
    return (
        f"{where} {f'the token {token!r} with' if token else 'a token with'} id {token_id}, but "
        f"the model's embedding has {rows} rows (ids 0 to {rows - 1}): use the tokenizer the "
        "model came with, or resize the model's embedding"
    )


def _inside(text: str, aligned: Aligned, kept: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    """Which tokens' text, or character, lies at least in part in the ranges kept."""
    offsets = byte_offsets(text)
    covered = np.zeros(int(offsets[-1]) + 1, dtype=np.int64)
    for start, stop in kept:
        covered[offsets[start] + 1 : offsets[stop] + 1] = 1
    before = np.cumsum(covered)
    begin = np.concatenate([[0], aligned.ends[:-1]])
    begin = np.where(aligned.continues & (begin == aligned.ends), begin - 1, begin)
    inside: NDArray[np.bool_] = before[aligned.ends] > before[begin]
    return inside


def vocabulary(tokenizer: PreTrainedTokenizerFast, rows: int | None = None) -> list[str]:
    """Text of every token id, at least ``rows`` of them.

    Where the bytes are no text it is the tokenizer's own spelling, and where the tokenizer has
    no token (embeddings are often rounded up) it says so.
    """
    backend, added = tokenizer.backend_tokenizer, tokenizer.added_tokens_decoder
    known = set(backend.get_vocab(with_added_tokens=True).values())
    ids = list(range(max(max(known, default=-1) + 1, rows or 0)))
    decoded = backend.decode_batch(
        [[i] if i in known else [] for i in ids], skip_special_tokens=False
    )
    out = []
    for i, text in zip(ids, decoded, strict=True):
        spelled = backend.id_to_token(i) or f"(no token {i})"
        if BLANK in spelled and i not in added:
            out.append(spelled.replace(BLANK, " "))  # decoders drop the first space of a text
        else:
            out.append(spelled if "\ufffd" in text or not text else text)
    return out


def _put(handle: BinaryIO, value: int) -> None:
    handle.write(np.asarray(value, dtype="<i8").tobytes())
