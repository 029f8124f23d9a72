"""Tiny tokenizers of every kind that language models come with, trained on a few lines.

Real files of the `tokenizers` package; so few merges that most characters outside ASCII, and all
rare ones, are several tokens where the kind knows bytes.
"""

from __future__ import annotations

import io
import json
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.core.tiny import TEXTS

_BYTES = [f"<0x{i:02X}>" for i in range(256)]
_LINES = [*TEXTS, "hello world 202 東京 the café e", "한국어 résumé наука"]


def _byte_level(normalizer: Any = None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_LINES, trainer)
    return tokenizer


def _sentence_piece(*, prepend: bool, metaspace: bool = False) -> Tokenizer:
    """As Llama 2 (``prepend``), Mistral's newer files (``metaspace``), or Gemma (neither)."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    spaces = [normalizers.Replace(" ", "▁")]
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        first = [normalizers.Prepend("▁")] if prepend else []
        tokenizer.normalizer = normalizers.Sequence([*first, *spaces])
        if not prepend:
            tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        limit_alphabet=60,
        special_tokens=["<unk>", "<s>", "</s>", *_BYTES],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_LINES, trainer)
    content = json.loads(tokenizer.to_str())
    # The trainer knows byte tokens only as special ones, which they are not.
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] not in _BYTES]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    end = [decoders.Strip(" ", 1, 0)] if prepend or metaspace else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *end]
    )
    return tokenizer


def _unigram(normalizer: Any = None) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=160, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>",
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(_LINES, trainer)
    return tokenizer


def _sentence_piece_model() -> Tokenizer:
    """A model of the sentencepiece package, with its own normaliser, as T5 and XLM-R have it."""
    import sentencepiece
    from transformers.utils import sentencepiece_model_pb2_new as schema

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_LINES * 10), model_writer=written, vocab_size=160,
        model_type="unigram", character_coverage=0.98, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    model = schema.ModelProto()
    model.ParseFromString(written.getvalue())
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def _word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    trainer = trainers.WordPieceTrainer(
        vocab_size=260, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(_LINES, trainer)
    return tokenizer


_MAKERS: dict[str, Any] = {
    "byte-level": _byte_level,
    "byte-level NFC": lambda: _byte_level(normalizers.NFC()),
    "byte-level NFKC": lambda: _byte_level(normalizers.NFKC()),
    "SentencePiece": lambda: _sentence_piece(prepend=True),
    "SentencePiece metaspace": lambda: _sentence_piece(prepend=True, metaspace=True),
    "SentencePiece bare": lambda: _sentence_piece(prepend=False),
    "Unigram": _unigram,
    "Unigram NFKC": lambda: _unigram(normalizers.NFKC()),
    "Unigram NFKC of sentencepiece": _sentence_piece_model,
    "WordPiece": _word_piece,
}
KINDS = tuple(_MAKERS)


def kind_of_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """A tiny tokenizer of one of ``KINDS``; it has ``<s>`` for BOS and ``</s>`` for EOS."""
    tokenizer = _MAKERS[name]()
    unknown = {"unk_token": "<unk>"} if tokenizer.token_to_id("<unk>") is not None else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
        **unknown,
    )
