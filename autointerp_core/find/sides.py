"""The two sides of a comparison: which documents, how much of each, numbered together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autointerp_core.arrays import BoolArray, Int64Array
from autointerp_core.errors import BadInput
from autointerp_core.find.evidence import Corpus, Evidence

_ALIKE = 1.1
"""Mean lengths of the two sides may differ by so much once they are cut."""
_FOREIGN = 1.25
"""Beyond so much they are cut, or told of."""


@dataclass(frozen=True, eq=False)
class Side:
    """Documents of a corpus on one side of a comparison."""

    corpus: Corpus
    documents: Int64Array
    name: str


@dataclass(frozen=True)
class Pool:
    """The documents of both sides that hold a counted token, numbered together."""

    positive: Side
    negative: Side
    lengths: Int64Array
    is_positive: BoolArray
    features: Int64Array
    cut: int | None

    def block(self, features: Int64Array) -> Evidence:
        """What these features do in the documents of both sides."""
        m = int(self.is_positive.sum())
        first = self.positive.corpus.evidence(features, self.cut)
        same = self.positive.corpus is self.negative.corpus
        second = first if same else self.negative.corpus.evidence(features, self.cut)
        parts = []
        for found, side, offset in ((first, self.positive, 0), (second, self.negative, m)):
            number = np.full(side.corpus.n_documents, -1, dtype=np.int64)
            number[side.documents] = offset + np.arange(len(side.documents))
            at = number[found.document]
            keep = at >= 0
            parts.append((found.row[keep], at[keep], *(
                each[keep] for each in (found.peak, found.total, found.count)
            )))  # fmt: skip
        row, document, peak, total, count = (np.concatenate(each) for each in zip(*parts))
        order = np.argsort(row, kind="stable")
        indptr = np.searchsorted(row[order], np.arange(len(features) + 1))
        return Evidence(features, indptr, document[order], peak[order], total[order], count[order])


def pooled(
    positive: Side, negative: Side, cut: int | None, *, cut_alike: bool
) -> tuple[Pool, list[str]]:
    """The documents to compare, and what a person should be told about them.

    Args:
        cut: compare only the first so many tokens of each; None: all.
        cut_alike: where it is None, cut documents of unlike length.

    Raises:
        BadInput: one side has no document with a counted token, or they share no feature.
    """
    notices: list[str] = []
    features = positive.corpus.features
    if positive.corpus is not negative.corpus:
        features = np.intersect1d(features, negative.corpus.features)
        if not len(features):
            raise BadInput("the two sides share no feature; extract the same ones in both")
        absent = len(positive.corpus.features) - len(features)
        if absent:
            notices.append(f"{absent:,} features are known of one side only, and left out")
    else:
        kept = np.setdiff1d(negative.documents, positive.documents)
        negative = Side(negative.corpus, kept, negative.name)
    lengths = [side.corpus.lengths(cut)[side.documents] for side in (positive, negative)]
    means = [float(each[each > 0].mean()) if (each > 0).any() else 0.0 for each in lengths]
    unlike = min(means) > 0 and max(means) > _FOREIGN * min(means)
    if unlike and cut is None and cut_alike:
        cut = alike_length(lengths[0][lengths[0] > 0], lengths[1][lengths[1] > 0])
        lengths = [side.corpus.lengths(cut)[side.documents] for side in (positive, negative)]
        notices.append(
            f"positive documents have {means[0]:,.0f} tokens on average, negative ones "
            f"{means[1]:,.0f}: only the first {cut:,} tokens of each are compared"
        )
    elif unlike:
        notices.append(
            f"positive documents have {means[0]:,.0f} tokens on average, negative ones "
            f"{means[1]:,.0f}: longer ones hold more of everything; with value mean, or with a "
            "cut, length matters less"
        )
    sides = []
    for side, each, what in (
        (positive, lengths[0], "positive"),
        (negative, lengths[1], "negative"),
    ):
        filled = side.documents[each > 0]
        if not len(filled):
            raise BadInput(_nothing(what, side))
        if len(filled) < len(side.documents):
            empty = len(side.documents) - len(filled)
            notices.append(f"{empty:,} {what} documents have no token that counts, and go out")
        sides.append(Side(side.corpus, filled, side.name))
    both = np.concatenate([each[each > 0] for each in lengths])
    is_positive = np.arange(len(both)) < len(sides[0].documents)
    return Pool(sides[0], sides[1], both, is_positive, features, cut), notices


def _nothing(what: str, side: Side) -> str:
    if what == "negative" and not len(side.documents):
        return (
            "all documents are positive, nothing is left to compare them with; give negative "
            "texts, or another corpus"
        )
    if not len(side.documents):
        return f"there is no positive document ({side.name}); give texts, or another pattern"
    return f"the {what} documents hold no token that counts; give longer ones"


def alike_length(one: Int64Array, other: Int64Array) -> int:
    """The largest number of tokens a document that makes two groups about equally long."""
    for length in np.unique(np.concatenate([one, other]))[::-1].tolist():
        means = [np.minimum(each, length).mean() for each in (one, other)]
        if max(means) <= _ALIKE * min(means):
            return int(length)
    return 1
