"""Texts that a live model read, as a corpus to compare."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from autointerp_core.arrays import BoolArray, Int64Array
from autointerp_core.errors import BadInput
from autointerp_core.find.evidence import Evidence, gather
from autointerp_core.live.encoded import EncodedText
from autointerp_core.store.records import Example

_BEFORE, _AFTER = 16, 15


class TextCorpus:
    """Encoded texts; their firings are in memory."""

    def __init__(self, name: str, encoded: Iterable[EncodedText], d_sae: int) -> None:
        self.name = name
        self._texts = tuple(encoded)
        self.features: Int64Array = np.arange(d_sae, dtype=np.int64)
        counted = [text.counted for text in self._texts]
        self._counted: BoolArray = np.concatenate([np.zeros(0, dtype=np.bool_), *counted])
        sizes = [0, *(text.n_tokens for text in self._texts)]
        self._begin = np.cumsum(sizes, dtype=np.int64)
        none = np.zeros(0, dtype=np.int64)
        feature = np.concatenate([none, *(text.feature for text in self._texts)])
        token = np.concatenate(
            [none, *(text.token + at for text, at in zip(self._texts, self._begin))]
        )
        activation = np.concatenate(
            [np.zeros(0, dtype=np.float32), *(text.activation for text in self._texts)]
        )
        order = np.argsort(feature, kind="stable")
        self._feature, self._token = feature[order], token[order]
        self._activation = activation[order]
        self._document = np.searchsorted(self._begin, self._token, "right") - 1

    @property
    def n_documents(self) -> int:
        return len(self._texts)

    def lengths(self, cut: int | None) -> Int64Array:
        return np.array(
            [int(text.counted[:cut].sum()) for text in self._texts], dtype=np.int64
        ).reshape(-1)

    def firings(self) -> Int64Array:
        return np.bincount(self._feature, minlength=len(self.features)).astype(np.int64)

    def evidence(self, features: Int64Array, cut: int | None) -> Evidence:
        # Features come in runs, so their firings lie together.
        low = int(np.searchsorted(self._feature, features[0])) if len(features) else 0
        high = int(np.searchsorted(self._feature, features[-1], "right")) if len(features) else 0
        feature, token = self._feature[low:high], self._token[low:high]
        document = self._document[low:high]
        place = np.searchsorted(features, feature)
        keep = (features[place] == feature) & self._counted[token]
        if cut is not None:
            keep &= token - self._begin[document] < cut
        return gather(features, place[keep], document[keep], self._activation[low:high][keep])

    def text(self, document: int) -> str:
        return self._texts[document].text

    def examples(self, feature: int, documents: Int64Array, limit: int) -> list[Example]:
        found = []
        for document in documents.tolist():
            text = self._texts[document]
            strength = np.abs(text.values(feature)) * text.counted
            if strength.any():
                found.append((float(strength.max()), document, int(strength.argmax())))
        found.sort(key=lambda each: (-each[0], each[1]))
        return [
            window(self._texts[document], feature, document, peak)
            for _, document, peak in found[:limit]
        ]


def window(text: EncodedText, feature: int, document: int, peak: int) -> Example:
    """The tokens around one, within its sequence, with a feature's activation at each."""
    inside = np.flatnonzero(text.sequence == text.sequence[peak])
    start = max(peak - _BEFORE, int(inside[0]))
    stop = min(peak + _AFTER + 1, int(inside[-1]) + 1)
    values = text.values(feature)[start:stop]
    return Example(
        feature=feature,
        group="window",
        activation=float(values[peak - start]),
        sequence_index=int(text.sequence[peak]),
        token_position=peak - int(inside[0]),
        document_index=document,
        start_position=start - int(inside[0]),
        token_ids=tuple(text.ids[start:stop].tolist()),
        tokens=text.pieces[start:stop],
        values=tuple(values.tolist()),
        peak_index=peak - start,
    )


def need_texts(texts: Iterable[str], what: str) -> list[str]:
    """Texts that hold anything.

    Raises:
        BadInput: none does.
    """
    kept = [text for text in texts if text.strip()]
    if not kept:
        raise BadInput(f"there is no {what} text; give a text a line")
    return kept
