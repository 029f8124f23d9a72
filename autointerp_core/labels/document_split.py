"""Which documents a labeller may see, which choose between labels, and which test them.

The part of a document follows from a hash of its text alone: the same in every study, run
and machine, and equal texts are always in the same part. Whatever makes labels reads the
``label`` part only; candidates are compared on ``validate``; the scores a person sees come
from ``test``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autointerp_core.arrays import Float32Array, Int64Array
from autointerp_core.store.study import Example, Study

LABEL, VALIDATE, TEST = "label", "validate", "test"
PARTS = (LABEL, VALIDATE, TEST)
_UPTO = (0.5, 0.7, 1.0)
"""Half of the documents for labelling, a fifth to choose by, three tenths to test on."""
SMALLEST = 20
"""Documents; a smaller study is shown to the labeller whole, and its labels are not scored."""
HELD_OUT = "fires only in documents kept for testing labels"
"""Why a feature has no label though it fires; holding nothing out shows the labeller all."""
_SLACK = 8


def part_of(text: bytes) -> str:
    """The part of a document, from its UTF-8 text."""
    digest = hashlib.blake2b(text, digest_size=8, person=b"autointerp-part").digest()
    share = int.from_bytes(digest, "big") / 2**64
    return next(part for part, limit in zip(PARTS, _UPTO, strict=True) if share < limit)


class Split:
    """The parts of one study's documents. Reads the texts once, when first asked.

    Args:
        study: the study.
        hold_out: False puts every document into the label part; labels made so cannot be scored.
    """

    def __init__(self, study: Study, *, hold_out: bool = True):
        self.study = study
        self._wanted = hold_out

    @property
    def holds_out(self) -> bool:
        """False where nothing is kept back, or the study is too small for it."""
        return self._wanted and len(self.study.tokens.documents) - 1 >= SMALLEST

    @property
    def shown(self) -> str:
        """What a label records about the documents it was made from: ``label`` or ``all``."""
        return LABEL if self.holds_out else "all"

    @cached_property
    def _part(self) -> NDArray[np.int8]:
        """Index into ``PARTS`` of every document."""
        tokens = self.study.tokens
        count = len(tokens.documents) - 1
        if not self.holds_out:
            return np.zeros(count, dtype=np.int8)
        borders = tokens.documents.tolist()
        texts = (tokens.text[borders[i] : borders[i + 1]].tobytes() for i in range(count))
        return np.fromiter((PARTS.index(part_of(t)) for t in texts), np.int8, count)

    def documents(self, part: str) -> Int64Array:
        """Indices of the documents in a part, ascending."""
        return np.flatnonzero(self._part == PARTS.index(part))

    def part(self, document: int) -> str:
        """The part a document is in."""
        return PARTS[int(self._part[document])]

    def peaks(self, feature: int, part: str) -> tuple[Int64Array, Float32Array]:
        """Token index and activation of the feature's peak in every sequence of a part.

        Strongest first; of equals the earlier one.
        """
        token, activation = self.study.sequence_peaks(feature)
        tokens = self.study.tokens
        here = self._part[tokens.document_of(token)] == PARTS.index(part)
        return token[here], activation[here]


def shown_examples(
    split: Split, feature: int, group: str = "top", limit: int | None = None
) -> list[Example]:
    """Examples of a feature that may be shown to a labeller: of the label part, best first.

    The rules of the study's own groups: one a sequence, identical windows once; ``quantile_1``
    is the strongest quarter of the peaks, read at even steps.

    Raises:
        BadInput: the feature is not in the study.
    """
    token, _ = split.peaks(feature, LABEL)
    wanted = len(token) if limit is None else limit
    if group != "top":
        quarter = int(group.removeprefix("quantile_")) - 1
        token = token[len(token) * quarter // 4 : len(token) * (quarter + 1) // 4]
        token = token[_even_steps(len(token), wanted)]
    return _distinct(split.study, feature, token, group, wanted)


def _distinct(
    study: Study, feature: int, token: Int64Array, group: str, limit: int
) -> list[Example]:
    """The first ``limit`` windows that differ in their text."""
    found: dict[tuple[int, ...], Example] = {}
    at = 0
    while at < len(token) and len(found) < limit:
        ahead = token[at : at + limit - len(found) + _SLACK]
        for example in study.windows_at(feature, ahead, group):
            if len(found) < limit:
                found.setdefault(example.token_ids, example)
        at += len(ahead)
    return list(found.values())


def _even_steps(count: int, wanted: int) -> Sequence[int] | Int64Array:
    """At most ``wanted`` indices below ``count``, evenly spread."""
    if count <= wanted:
        return np.arange(count)
    return (2 * np.arange(wanted) + 1) * count // (2 * wanted)
