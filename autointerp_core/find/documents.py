"""Which documents are meant: read from a file, matched by a pattern, or by a labelled column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson
import regex

from autointerp_core.arrays import Int64Array
from autointerp_core.errors import BadInput, DatasetSourceError, ParameterError
from autointerp_core.find.evidence import Corpus, StudyCorpus
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.text_cleaning import whole_characters

_SECONDS = 2.0
"""That a pattern may take for one document: some take for ever."""
_TEXT = "text"
_SHOWN = 60
_EVERY = 500
MOST_CLASSES = 50


def read_texts(path: Path) -> list[str]:
    """The texts of a file: a text a line; in .jsonl a string, or an object with ``text``.

    Empty lines are left out.

    Raises:
        BadInput: no such file, not UTF-8, not what it should be, or nothing in it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"cannot read {path}: {error.strerror}; give a file with a text a line, or .jsonl"
        ) from error
    return texts_in(str(path), data)


def texts_in(name: str, data: bytes) -> list[str]:
    """The texts that a file of this name and content holds; see :func:`read_texts`."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is not UTF-8 text; give a text a line, or .jsonl") from error
    if name.lower().endswith((".jsonl", ".ndjson")):
        numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
        texts = [_text_of(line, f"line {number} of {name}") for number, line in numbered]
    else:
        texts = lines
    found = [text for text in texts if text.strip()]
    if not found:
        raise BadInput(f"{name} holds no text; give a text a line, or .jsonl")
    return found


def _text_of(line: str, where: str) -> str:
    try:
        value = orjson.loads(line)
    except ValueError as error:
        raise BadInput(f"{where} is not JSON: {error}") from error
    if isinstance(value, Mapping):
        value = value.get(_TEXT)
    if not isinstance(value, str):
        raise BadInput(f'{where} has no text; expected a string, or {{"text": "…"}}')
    return value


def word_pattern(words: str) -> str:
    """A pattern for any of the words (between commas or line breaks), whole, in either case.

    Raises:
        ParameterError: there is none.
    """
    listed = [word.strip() for word in regex.split(r"[,;\n]", words)]
    kept = [r"\s+".join(map(regex.escape, word.split())) for word in listed if word]
    if not kept:
        raise ParameterError("the list of words is empty; give words with commas between them")
    return rf"(?<![\p{{L}}\p{{M}}\p{{N}}])(?:{'|'.join(kept)})(?![\p{{L}}\p{{M}}\p{{N}}])"


def matching(corpus: Corpus, pattern: str, progress: ProgressCallback = silent) -> Int64Array:
    """Documents in which a regular expression is found, letters in either case; ascending.

    Raises:
        ParameterError: it is none, or takes too long on a document.
    """
    shown = pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}…"
    try:
        wanted = regex.compile(pattern, regex.IGNORECASE)
    except regex.error as error:
        raise ParameterError(f"{shown!r} is not a regular expression: {error}") from error
    found = []
    try:
        for document in range(corpus.n_documents):
            if document % _EVERY == 0:
                progress(Progress("matching", document, corpus.n_documents, "documents"))
            if wanted.search(corpus.text(document), timeout=_SECONDS):
                found.append(document)
    except TimeoutError as error:
        raise ParameterError(
            f"the regular expression {shown!r} takes more than {_SECONDS:.0f} s on document "
            f"{document}; give a simpler one"
        ) from error
    return np.asarray(found, dtype=np.int64)


def same_documents(corpus: Corpus, texts: Sequence[str]) -> list[int | None]:
    """Of each text, the first document that is exactly it, if any."""
    wanted = set(texts)
    place: dict[str, int] = {}
    for document in range(corpus.n_documents):
        text = corpus.text(document)
        if text in wanted:
            place.setdefault(text, document)
    return [place.get(text) for text in texts]


def class_documents(corpus: StudyCorpus, column: str) -> dict[str, Int64Array]:
    """Documents of a study by what a column of its dataset says of them; rows without go out.

    Raises:
        DatasetSourceError: the dataset is gone or another, or has no such column.
        BadInput: the column does not tell documents apart, or tells too many apart.
    """
    from autointerp_core.sources.dataset_finder import find

    record = corpus.study.info.dataset
    path = record.path or record.name
    source = find(path)
    labels: list[str] = []
    texts: list[object] = []
    for row in source.read((column, record.column)):
        if len(labels) == corpus.n_documents:
            break
        if column not in row and not source.ragged:
            break
        value = row.get(column)
        labels.append("" if value is None else str(value).strip())
        texts.append(row.get(record.column))
    if len(labels) < corpus.n_documents:
        raise DatasetSourceError(
            f"dataset {path} gives column {column!r} for {len(labels)} rows, the study has "
            f"{corpus.n_documents} documents; name a column that every row has"
        )
    for document in np.linspace(0, len(labels) - 1, min(20, len(labels))).astype(int).tolist():
        said = texts[document]
        if isinstance(said, str) and whole_characters(said) != corpus.text(document):
            raise DatasetSourceError(
                f"row {document} of {path} is not the document that the study was made from; put "
                "the dataset back as it was"
            )
    named = np.asarray(labels)
    found = {value: np.flatnonzero(named == value) for value in sorted(set(labels) - {""})}
    if len(found) < 2:
        raise BadInput(
            f"column {column!r} has {len(found)} different values; expected two at least"
        )
    return found
