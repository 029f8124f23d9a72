"""Finding features: from a request to its result, reading a study and a live model where needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from autointerp_core.arrays import Int64Array
from autointerp_core.errors import BadInput, DatasetSourceError, StudyError
from autointerp_core.find.contrast import contrast
from autointerp_core.find.documents import (
    MOST_CLASSES,
    class_documents,
    matching,
    same_documents,
    word_pattern,
)
from autointerp_core.find.evidence import Corpus, StudyCorpus
from autointerp_core.find.request import FindRequest
from autointerp_core.find.result import FindResult
from autointerp_core.find.sides import Side
from autointerp_core.find.texts import TextCorpus, need_texts
from autointerp_core.live.encoded import EncodedText
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.studies import find_study
from autointerp_core.store.study import Study
from autointerp_core.store.text_cleaning import whole_characters

Encode = Callable[[Sequence[str]], Iterable[EncodedText]]
"""Reads texts with the model and SAE in question, in order."""
POSITIVE, NEGATIVE, REST = "positive texts", "negative texts", "the other documents"
_SHOWN = 40


def find_features(
    request: FindRequest, *, encode: Encode | None = None, progress: ProgressCallback = silent
) -> FindResult | dict[str, FindResult]:
    """The features that positive documents have more of than others.

    A model is loaded only where there are texts that are no document of the study.

    Args:
        encode: reads texts in place of a model loaded here.
        progress: as everywhere.

    Returns:
        A result; where a class column is given without a class, one for each class.

    Raises:
        BadInput: no positive document, no negative one, texts without a token, model or SAE gone,
            or anything else that the message says.
        StudyError: there is no such study.
        Cancelled: raised by ``progress``.
    """
    return _Finder(request, encode, progress).run()


class _Finder:
    """What one request needs, opened when it is first needed."""

    def __init__(
        self, request: FindRequest, encode: Encode | None, progress: ProgressCallback
    ) -> None:
        self.request, self._given, self.progress = request, encode, progress
        self.study = Study(find_study(request.study)) if request.study is not None else None

    def run(self) -> FindResult | dict[str, FindResult]:
        request = self.request
        if request.class_column is not None and request.class_value is None:
            return self._every_class(request.class_column)
        positive = self._positive()
        negative = self._negative(positive)
        texts = isinstance(positive.corpus, TextCorpus) or isinstance(negative.corpus, TextCorpus)
        return self._named(
            contrast(
                positive,
                negative,
                request.contrast,
                cut_alike=texts or request.against is not None,
                progress=self.progress,
            )
        )

    def _named(self, result: FindResult) -> FindResult:
        return replace(result, study=None if self.study is None else self.study.id)

    # -- documents to choose from ------------------------------------------------------------

    @cached_property
    def corpus(self) -> Corpus:
        """The study's documents; without a study those of the dataset, read by the model."""
        if self.study is not None:
            return StudyCorpus(self.study)
        return self._dataset(str(self.request.source.dataset_path))

    def _dataset(self, path: str) -> TextCorpus:
        from autointerp_core.sources.cells import TEXT
        from autointerp_core.sources.dataset import open_dataset

        rows = open_dataset(path, self.request.column_name, self.request.n_samples)
        if rows.kind != TEXT:
            raise BadInput(
                f"column {rows.column!r} of {path} holds {rows.kind}, not text; name a column of "
                "texts"
            )
        return self._read(path, list(rows.iterate()))

    def _read(self, name: str, texts: Sequence[str]) -> TextCorpus:
        clean = [whole_characters(text) for text in texts]
        encoded = []
        for text in self._encode(clean):
            encoded.append(text)
            self.progress(Progress("reading", len(encoded), len(clean), "texts"))
        return TextCorpus(name, encoded, self._d_sae)

    @cached_property
    def _encode(self) -> Encode:
        if self._given is not None:
            return self._given
        from autointerp_core.extraction.pair import PairRequest
        from autointerp_core.live import open_live, open_pair

        request, source = self.request, self.request.source
        if self.study is not None:
            live = open_live(self.study, device=request.device, progress=self.progress)
        else:
            live = open_pair(
                PairRequest(
                    model_path=str(source.model_path),
                    sae_path=str(source.sae_path),
                    sae_id=source.sae_id,
                    context_size=source.context_size,
                    prepend_bos=source.prepend_bos,
                    dtype=source.dtype,
                    device=request.device,
                ),
                progress=self.progress,
            )
            self._own_d_sae = live.d_sae
        return live.stream

    _own_d_sae = 0

    @property
    def _d_sae(self) -> int:
        return self._own_d_sae if self.study is None else self.study.info.d_sae

    # -- the two sides -----------------------------------------------------------------------

    def _positive(self) -> Side:
        request = self.request
        if request.positive:
            return self._texts(request.positive, POSITIVE)
        if request.class_column is not None:
            classes = self._classes(request.class_column)
            wanted = str(request.class_value)
            if wanted not in classes:
                known = ", ".join(list(classes)[:10]) + (", …" if len(classes) > 10 else "")
                raise BadInput(
                    f"no document has {wanted!r} in column {request.class_column!r}; there are: "
                    f"{known}"
                )
            return Side(self.corpus, classes[wanted], f"{request.class_column}: {wanted}")
        if request.pattern is None and request.words is None:
            every = np.arange(self.corpus.n_documents)
            return Side(self.corpus, every, f"all documents of {self.corpus.name}")
        if request.words is not None:
            pattern, name = word_pattern(request.words), f"documents with {request.words}"
        else:
            pattern = str(request.pattern)
            name = f"documents matching {pattern}"
        documents = matching(self.corpus, pattern, self.progress)
        if not len(documents):
            raise BadInput(
                f"no document of {self.corpus.name} ({self.corpus.n_documents:,}) holds "
                f"{_short(request.words or pattern)}; give other words, or a pattern that occurs"
            )
        return Side(self.corpus, documents, _short(name))

    def _texts(self, texts: Sequence[str], what: str) -> Side:
        """Texts as a side: documents of the study where all of them are, else read anew."""
        kept = need_texts(texts, what.split()[0])
        if self.study is not None:
            known = same_documents(self.corpus, kept)
            documents = [document for document in known if document is not None]
            if len(documents) == len(known):
                return Side(self.corpus, np.unique(documents), f"{what}, documents of the study")
        corpus = self._read(what, kept)
        return Side(corpus, np.arange(corpus.n_documents), what)

    def _negative(self, positive: Side) -> Side:
        request = self.request
        if request.negative:
            return self._texts(request.negative, NEGATIVE)
        corpus, name = self.corpus, REST
        if request.against is not None:
            corpus = self._against(request.against)
            name = corpus.name
        every = np.arange(corpus.n_documents)
        if positive.corpus is corpus:
            return Side(corpus, np.setdiff1d(every, positive.documents), name)
        return Side(corpus, np.setdiff1d(every, self._same(positive, corpus)), name)

    def _same(self, side: Side, corpus: Corpus) -> Int64Array:
        """Documents of a corpus that are one of the side's, word for word."""
        texts = {side.corpus.text(document) for document in side.documents.tolist()}
        same = [d for d in range(corpus.n_documents) if corpus.text(d) in texts]
        return np.asarray(same, dtype=np.int64)

    def _against(self, given: str) -> Corpus:
        try:
            other = Study(find_study(given))
        except StudyError:
            try:
                return self._dataset(given)
            except DatasetSourceError as error:
                raise BadInput(
                    f"{given!r} is no study of this installation, and {error}"
                ) from error
        if self.study is None:
            return StudyCorpus(other)
        if other.info.sae_fingerprint != self.study.info.sae_fingerprint:
            raise BadInput(
                f"study {other.id} is of another SAE than study {self.study.id}; give one of the "
                "same, or a dataset"
            )
        return StudyCorpus(other)

    # -- classes -----------------------------------------------------------------------------

    def _classes(self, column: str) -> dict[str, Int64Array]:
        if not isinstance(self.corpus, StudyCorpus):
            raise BadInput("classes need a study, whose dataset has the column")
        return class_documents(self.corpus, column)

    def _every_class(self, column: str) -> dict[str, FindResult]:
        classes = self._classes(column)
        if len(classes) > MOST_CLASSES:
            raise BadInput(
                f"column {column!r} has {len(classes):,} different values, too many to compare in "
                f"turn (at most {MOST_CLASSES}); name one with --class-value"
            )
        every = np.concatenate(list(classes.values()))
        found = {}
        for name, documents in classes.items():
            rest = Side(self.corpus, np.setdiff1d(every, documents), "the other classes")
            side = Side(self.corpus, documents, f"{column}: {name}")
            found[name] = self._named(
                contrast(side, rest, self.request.contrast, progress=self.progress)
            )
        return found


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN + 10 else f"{text[:_SHOWN]}… ({len(text)} characters)"
