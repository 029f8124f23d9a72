"""Which bytes of a document each of its tokens stands for, exact for every kind of tokenizer.

Does: turn the character spans that a tokenizer reports, or the spellings of token ids, into one
end a token, so that the texts of all tokens joined are the document.
Does not: cut, mask or write anything.

Two things are not as a tokenizer reports them. The ``▁`` that SentencePiece tokenizers put before
a document claims the document's first character: it has no text, unless a real space stands
there. And where a normaliser composes ``e`` and U+0301 into ``é``, only ``e`` is reported: the
mark belongs to the token, or tokens, that hold its letter.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import ModelSourceError
from autointerp_core.store.tokenstore import BLANK, IntArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


_SPACES = np.array(
    [point for point in range(0x3001) if chr(point).isspace()] + [ord(BLANK)], dtype=np.uint32
)
_FIRST_MARK = 0x300
"""No character below it ever joins the one before it."""


@dataclass(frozen=True)
class Aligned:
    """The tokens of one document; all arrays have one entry a token."""

    ids: IntArray
    ends: IntArray
    """Byte offset in the document's UTF-8 text at which the token's text ends."""
    continues: NDArray[np.bool_]
    """Whether the token goes on with a character that a token before it began."""


def align_texts(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Iterator[Aligned]:
    """Tokenise, and align every token with its text.

    No special tokens are added: a tokenizer's own habit must not leak in. A character split
    over several tokens is the text of the first of them. Text that a tokenizer skips goes to
    the token after it, at the end to the last one.
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
    blank = tokenizer.backend_tokenizer.token_to_id(BLANK)
    for text, ids, offsets in zip(
        texts, encoded["input_ids"], encoded["offset_mapping"], strict=True
    ):
        spans = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
        yield _align(text, np.asarray(ids, dtype=np.int64), spans, blank)


def _align(text: str, ids: IntArray, spans: IntArray, blank: int | None) -> Aligned:
    if not len(ids):
        return Aligned(ids, ids, np.zeros(0, dtype=np.bool_))
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    start, end = spans[:, 0], spans[:, 1]
    if blank is not None:
        added = _added_blanks(points, ids == blank, start, end)
        end = np.where(added, start, end)
    ends = np.maximum.accumulate(end)
    before = np.concatenate([[0], ends[:-1]])
    continues = (start < before) & (end > start)
    # What was skipped before each token, and after the last one.
    begin = np.append(before, ends[-1])
    stop = np.append(start, len(text))
    for i in _gaps_with_marks(points, begin, stop):
        after = _end_of_character(text, int(begin[i]), int(stop[i]))
        ends[:i][ends[:i] == begin[i]] = after
    ends[-1] = len(text)
    return Aligned(ids, ends if text.isascii() else byte_offsets(text)[ends], continues)


def _added_blanks(
    points: NDArray[np.uint32], blank: NDArray[np.bool_], start: IntArray, end: IntArray
) -> NDArray[np.bool_]:
    """Which ``▁`` tokens the tokenizer added itself: no space stands where they claim to be."""
    if not len(points):
        return blank
    here = points[np.minimum(start, len(points) - 1)]
    # One inside a character that a normaliser spelled out as words goes on with that character.
    before = np.concatenate([[0], np.maximum.accumulate(end)[:-1]])
    return blank & (end > start) & (start >= before) & ~np.isin(here, _SPACES)


def _gaps_with_marks(points: NDArray[np.uint32], begin: IntArray, stop: IntArray) -> list[int]:
    """Gaps between tokens that open with a character which may belong to the one before it."""
    if not len(points):
        return []
    opening = points[np.minimum(begin, len(points) - 1)]
    found = np.flatnonzero((stop > begin) & (begin > 0) & (opening >= _FIRST_MARK))
    return [int(i) for i in found]


def _end_of_character(text: str, at: int, stop: int) -> int:
    """How far the character that ends before ``at`` reaches with what joins it."""
    while at < stop and _joins(text[at - 1], text[at]):
        at += 1
    return at


def _joins(before: str, mark: str) -> bool:
    if unicodedata.category(mark).startswith("M") or "\u1160" <= mark <= "\u11ff":
        return True
    apart = unicodedata.normalize("NFKC", before) + unicodedata.normalize("NFKC", mark)
    return unicodedata.normalize("NFKC", before + mark) != apart


def byte_offsets(text: str) -> IntArray:
    """Byte offset, in UTF-8, of every character boundary of ``text``: ``len(text) + 1`` entries."""
    if text.isascii():
        return np.arange(len(text) + 1, dtype=np.int64)
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    width = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    return np.concatenate([[0], np.cumsum(width, dtype=np.int64)])


class Spelling:
    """The bytes that every token id stands for, for documents that come as ids alone.

    Raises:
        ModelSourceError: this tokenizer's way of joining tokens is none that is known here.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast):
        self._tokenizer = tokenizer
        decoder = json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder") or {}
        kinds = {part.get("type") for part in [decoder, *decoder.get("decoders", [])]}
        self._bytes: Callable[[str], bytes]
        self._drops_first_space = False
        if "ByteLevel" in kinds:
            self._bytes = _byte_level
        elif kinds & {"Metaspace", "ByteFallback"} or "Replace" in kinds:
            self._bytes = _sentence_piece
            self._drops_first_space = "Strip" in kinds or _prepends(decoder)
        elif "WordPiece" in kinds:
            self._bytes = _word_piece
        else:
            raise ModelSourceError(
                "rows of token ids need a tokenizer whose tokens spell bytes (byte-level, "
                f"SentencePiece or WordPiece), and this one joins tokens by "
                f"{decoder.get('type') or 'nothing'}: give the texts instead"
            )
        self._added = {
            token_id: token.content.encode("utf-8")
            for token_id, token in tokenizer.added_tokens_decoder.items()
        }
        self._known: dict[int, bytes] = {}

    def align(self, ids: IntArray) -> tuple[str, Aligned]:
        """The text that ``ids`` spell, and each token's part of it.

        Bytes that are no UTF-8 become U+FFFD, the text of the token they begin in.
        """
        pieces = [self._spell(int(i)) for i in ids]
        if pieces and self._bytes is _word_piece:
            pieces[0] = (self._tokenizer.convert_ids_to_tokens(int(ids[0])) or "").encode("utf-8")
        elif pieces and self._drops_first_space and pieces[0].startswith(b" "):
            pieces[0] = pieces[0][1:]
        raw = b"".join(pieces)
        ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
        text, starts, lengths = _decoded(raw)
        # starts: byte offset in raw of every character; a token's text is the characters
        # that begin in it, so its end is the number of characters that begin before its own.
        count = np.searchsorted(starts, ends, "left")
        widths = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        begins = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        inside = np.searchsorted(starts, begins, "left")
        at_start = np.append(starts, len(raw))[inside] == begins
        continues = ~at_start & (ends > begins)
        return text, Aligned(np.asarray(ids, dtype=np.int64), widths[count], continues)

    def _spell(self, token_id: int) -> bytes:
        if token_id not in self._known:
            spelled = self._added.get(token_id)
            if spelled is None:
                spelled = self._bytes(self._tokenizer.convert_ids_to_tokens(token_id) or "")
            self._known[token_id] = spelled
        return self._known[token_id]


def _prepends(decoder: dict[str, Any]) -> bool:
    parts = [decoder, *decoder.get("decoders", [])]
    return any(
        part.get("type") == "Metaspace" and part.get("prepend_scheme", "always") != "never"
        for part in parts
    )


def _printable_bytes() -> dict[str, int]:
    """The characters byte-level vocabularies write bytes with (GPT-2's table)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(rest)}


_PRINTABLE = _printable_bytes()
_HEX = re.compile(r"<0x([0-9A-F]{2})>")


def _byte_level(spelled: str) -> bytes:
    if all(letter in _PRINTABLE for letter in spelled):
        return bytes(_PRINTABLE[letter] for letter in spelled)
    return spelled.encode("utf-8", "replace")


def _sentence_piece(spelled: str) -> bytes:
    if byte := _HEX.fullmatch(spelled):
        return bytes([int(byte[1], 16)])
    return spelled.replace(BLANK, " ").encode("utf-8", "replace")


def _word_piece(spelled: str) -> bytes:
    if spelled.startswith("##"):
        return spelled[2:].encode("utf-8", "replace")
    return f" {spelled}".encode("utf-8", "replace")


def _decoded(raw: bytes) -> tuple[str, IntArray, IntArray]:
    """Text of ``raw``, where each character begins in it, and its length in UTF-8 bytes."""
    parts: list[str] = []
    starts: list[IntArray] = []
    at = 0
    while at < len(raw):
        try:
            text, good, end = raw[at:].decode("utf-8"), len(raw), len(raw)
        except UnicodeDecodeError as error:
            good, end = at + error.start, at + error.end
            text = raw[at:good].decode("utf-8")
        parts.append(text)
        starts.append(at + byte_offsets(text)[:-1])
        if end > good:
            parts.append("\ufffd")
            starts.append(np.array([good], dtype=np.int64))
        at = end
    whole = "".join(parts)
    begins = np.concatenate(starts) if starts else np.zeros(0, dtype=np.int64)
    return whole, begins, np.diff(byte_offsets(whole))
