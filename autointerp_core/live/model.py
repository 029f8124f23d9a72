"""Model and SAE in this process, ready to read any text as an extraction reads a dataset's.

Texts go the way an extraction's documents go: the same tokenisation into a token store, the same
forward pass up to the hook, the same encode, the same masks. So whatever hook, layout or rule for
BOS an extraction knows, this knows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.arrays import Float32Array, Int64Array
from autointerp_core.errors import FeatureRequestError, ModelSourceError, SAESourceError
from autointerp_core.extraction.alignment import byte_offsets
from autointerp_core.extraction.firings import (
    BATCH_TOKENS,
    CUDA_BATCH_TOKENS,
    Batching,
    Extractor,
    Shard,
)
from autointerp_core.extraction.memory import release_device_memory, release_memory
from autointerp_core.extraction.pair import (
    Pair,
    PairRequest,
    load_to_hook,
    resolve_pair,
    tokenizer_fingerprint,
)
from autointerp_core.extraction.summary import counted_positions, reference_median
from autointerp_core.extraction.tokens import write_token_arrays
from autointerp_core.live.encoded import SINK, SPECIAL, EncodedText
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.sources.model import model_fingerprint
from autointerp_core.store.study import Study
from autointerp_core.store.study_record import Masks, StudyRecord
from autointerp_core.store.text_cleaning import whole_characters
from autointerp_core.store.tokenstore import SPECIAL as SPECIAL_FLAG
from autointerp_core.store.tokenstore import TokenStore

if TYPE_CHECKING:
    from autointerp_core.sources.model import TruncatedModel

BATCH_SEQUENCES = 64
_TEXTS_AT_ONCE = 256
_CHARACTERS_AT_ONCE = 100_000
"""Of texts tokenised and kept in memory together; a longer one goes alone."""


def open_live(
    study: Study,
    *,
    device: str | None = None,
    batch_tokens: int | None = None,
    progress: ProgressCallback = silent,
) -> LiveModel:
    """Load the model and the SAE that a study was made with, by its record.

    Args:
        device: cuda, cuda:1, cpu; None takes CUDA where there is one.
        batch_tokens: tokens a forward batch, padding included; changes no result.

    Raises:
        ModelSourceError: the model is gone, or is another one by now.
        SAESourceError: likewise of the SAE.
    """
    info = study.info
    asked = PairRequest(
        model_path=info.model_path,
        sae_path=info.sae.path or info.sae.source,
        sae_id=info.sae.sae_id,
        context_size=info.context_size,
        prepend_bos=info.tokenisation.prepend_bos,
        dtype="auto" if info.identity is None else info.identity.dtype,
        device=device,
    )
    try:
        pair = resolve_pair(asked, None, progress)
    except (ModelSourceError, SAESourceError) as error:
        raise type(error)(f"study {study.id} cannot be read live: {error}") from error
    _check_same(info, pair)
    masks = Masks() if info.identity is None else info.identity.masks
    median = None if info.sinks is None else info.sinks.reference_median
    return LiveModel(pair, masks, median, batch_tokens=batch_tokens, progress=progress)


def open_pair(
    asked: PairRequest,
    *,
    masks: Masks | None = None,
    batch_tokens: int | None = None,
    progress: ProgressCallback = silent,
) -> LiveModel:
    """Load a model and an SAE that no study was made with.

    Attention sinks are then told by the texts of a call themselves, as a study of these texts
    would tell them.

    Raises:
        BadInput: as :func:`~autointerp_core.extraction.pair.resolve_pair`.
    """
    pair = resolve_pair(asked, None, progress)
    return LiveModel(pair, masks or Masks(), None, batch_tokens=batch_tokens, progress=progress)


class LiveModel:
    """A model up to its SAE's hook, and the SAE, in memory. One call at a time."""

    def __init__(
        self,
        pair: Pair,
        masks: Masks,
        reference_median: float | None,
        *,
        batch_tokens: int | None = None,
        progress: ProgressCallback = silent,
    ):
        """``reference_median``: as a study records it; None: each call's texts give their own."""
        self.pair, self.masks, self.median = pair, masks, reference_median
        limit = CUDA_BATCH_TOKENS if pair.device.type == "cuda" else BATCH_TOKENS
        self._batching = Batching(BATCH_SEQUENCES, batch_tokens or limit)
        self._model: TruncatedModel = load_to_hook(pair, progress=progress)
        self._causal: Any = None
        self._all = self._extractor(None)

    @property
    def d_sae(self) -> int:
        """How many features the SAE has."""
        return self.pair.sae.config.d_sae

    def encode(
        self,
        texts: Sequence[str],
        features: Sequence[int] | None = None,
        progress: ProgressCallback = silent,
    ) -> list[EncodedText]:
        """What every text makes the features do, in the order of the texts.

        Args:
            features: only these; None: all.

        Raises:
            FeatureRequestError: there is no such feature.
            AutointerpError: not even one sequence fits on the device.
            Cancelled: raised by ``progress``.
        """
        out: list[EncodedText] = []
        for encoded in self.stream(texts, features):
            out.append(encoded)
            progress(Progress("encoding", len(out), len(texts), "texts"))
        return out

    def stream(
        self, texts: Iterable[str], features: Sequence[int] | None = None
    ) -> Iterator[EncodedText]:
        """As :meth:`encode`, a text after the other: memory does not grow with their number.

        Without a study's reference, the first some hundred texts tell what a sink is.
        """
        extractor = self._all if features is None else self._extractor(features)
        wanted = np.arange(self.d_sae) if features is None else _sorted(features)
        median = self.median
        for chunk in _chunks(texts):
            with tempfile.TemporaryDirectory(prefix="autointerp-live-") as folder:
                pair = self.pair
                write_token_arrays(
                    Path(folder), chunk, len(chunk), pair.tokenizer, pair.tokenisation, silent
                )
                tokens = TokenStore(Path(folder))
                found = extractor.extract(tokens, Shard(0, 0, tokens.n_sequences))
                if median is None:
                    median = reference_median(tokens, found.norm)
                counted = counted_positions(tokens.flags, found.norm, self.masks, median)
                # Firings come by feature, then token; here they are wanted by token.
                row = np.repeat(np.arange(len(wanted)), np.diff(found.indptr))
                order = np.argsort(found.token, kind="stable")
                yield from _split(
                    chunk,
                    tokens,
                    counted,
                    found.token[order].astype(np.int64),
                    wanted[row[order]].astype(np.int64),
                    found.activation[order],
                )

    def chat_text(self, messages: Sequence[dict[str, str]], *, to_answer: bool = False) -> str:
        """Messages (role, content) as the model's chat template puts them into text.

        Args:
            to_answer: end where the assistant is to begin.

        Raises:
            ModelSourceError: the model has no chat template, or it fails on these messages.
        """
        if not getattr(self.pair.tokenizer, "chat_template", None):
            raise ModelSourceError(
                f"{self.pair.model.name} has no chat template; give plain text, or a model that "
                "has one (its instruct version)"
            )
        try:
            text = self.pair.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=to_answer
            )
        # A template is a program of its own: it may fail in any way.
        except Exception as error:
            raise ModelSourceError(
                f"the chat template of {self.pair.model.name} fails on these messages: {error}"
            ) from error
        return str(text)

    def whole(self) -> tuple[Any, TruncatedModel]:
        """The whole causal language model, and its blocks, which from then on are read from.

        Raises:
            ModelSourceError: it is none that writes, or cannot be loaded.
        """
        if self._causal is None:
            from autointerp_core.sources.model import load_whole

            pair = self.pair
            self._causal, self._model = load_whole(pair.model, pair.dtype, pair.device)
            self._all = self._extractor(None)  # the shorter copy is let go
        return self._causal, self._model

    def release(self) -> None:
        """Give back memory that is free but held."""
        release_device_memory()
        release_memory()

    def _extractor(self, features: Sequence[int] | None) -> Extractor:
        wanted = np.arange(self.d_sae) if features is None else _sorted(features)
        if len(wanted) and not (wanted[0] >= 0 and wanted[-1] < self.d_sae):
            raise FeatureRequestError(
                f"features out of range: {wanted[0]} to {wanted[-1]}; this SAE has features 0 to "
                f"{self.d_sae - 1}"
            )
        pair = self.pair
        return Extractor(self._model, pair.sae, pair.hook, wanted.astype(np.int32), self._batching)


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in groups of bounded size, as a tokenizer can take them."""
    chunk: list[str] = []
    characters = 0
    for text in map(whole_characters, texts):
        full = len(chunk) == _TEXTS_AT_ONCE or characters + len(text) > _CHARACTERS_AT_ONCE
        if chunk and full:
            yield chunk
            chunk, characters = [], 0
        chunk.append(text)
        characters += len(text)
    if chunk:
        yield chunk


def _sorted(features: Sequence[int]) -> Int64Array:
    return np.unique(np.asarray(features, dtype=np.int64))


def _split(
    texts: list[str],
    tokens: TokenStore,
    counted: NDArray[np.uint8],
    token: Int64Array,
    feature: Int64Array,
    activation: Float32Array,
) -> Iterator[EncodedText]:
    """Each text's part of a chunk's tokens and firings (ascending by token)."""
    first = np.searchsorted(tokens.owners, np.arange(len(texts) + 1))
    for index, text in enumerate(texts):
        sequences = range(int(first[index]), int(first[index + 1]))
        low, high = (int(tokens.sequences[first[index + at]]) for at in (0, 1))
        inside = slice(*np.searchsorted(token, [low, high]))
        edges = [(int(tokens.sequences[s]), int(tokens.sequences[s + 1])) for s in sequences]
        pieces = [piece for start, stop in edges for piece in tokens.pieces(start, stop)]
        at = np.arange(low, high)
        base = int(tokens.documents[index])
        bounds = np.stack([tokens.begins(at), tokens.ends[low:high]], axis=1) - base
        special = tokens.flags[low:high] & SPECIAL_FLAG > 0
        yield EncodedText(
            text=text,
            ids=tokens.ids[low:high].astype(np.int64),
            pieces=tuple(pieces),
            spans=bounds if text.isascii() else np.searchsorted(byte_offsets(text), bounds),
            sequence=np.repeat(np.arange(len(edges)), [stop - start for start, stop in edges]),
            masked=tuple(
                "" if counts else SPECIAL if is_special else SINK
                for counts, is_special in zip(counted[low:high], special, strict=True)
            ),
            token=token[inside] - low,
            feature=feature[inside],
            activation=activation[inside],
        )


def _check_same(info: StudyRecord, pair: Pair) -> None:
    """Whether model, tokenizer and SAE are those the study was made with.

    Raises:
        ModelSourceError, SAESourceError: they are others by now.
    """
    advice = f"study {info.id} was made with; put those back, or make a new study"
    path = info.model_path
    if info.model.fingerprint not in (None, model_fingerprint(pair.model)):
        raise ModelSourceError(f"the model at {path} is no longer the one that {advice}")
    if info.identity is not None and info.identity.tokenizer != tokenizer_fingerprint(
        pair.tokenizer
    ):
        raise ModelSourceError(f"the tokenizer of {path} is no longer the one that {advice}")
    if info.sae_fingerprint != pair.sae.fingerprint:
        raise SAESourceError(
            f"the SAE at {info.sae.path or info.sae.source} is no longer the one that {advice}"
        )
