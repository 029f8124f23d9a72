"""What a model and an SAE make of a text: its tokens, and which features fire on which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from autointerp_core.arrays import BoolArray, Float32Array, Int64Array

SPECIAL = "special"
"""Masked: a special token, such as BOS."""
SINK = "sink"
"""Masked: an attention sink, whose vector is many times longer than the others'."""


@dataclass(frozen=True, eq=False)
class EncodedText:
    """A text read by the model; arrays of n tokens and of m firings."""

    text: str
    ids: Int64Array
    """Token ids [n]."""
    pieces: tuple[str, ...]
    """Each token's text; joined they are the text. A BOS that was prepended has none; of a
    character split over several tokens, the first has all of it."""
    spans: Int64Array
    """Where each token's text begins and ends in the text [n, 2], in characters."""
    sequence: Int64Array
    """The sequence each token was read in [n], from 0: a text longer than the context is cut."""
    masked: tuple[str, ...]
    """Why a token does not count [n]: :data:`SPECIAL`, :data:`SINK`, or empty where it counts."""
    token: Int64Array
    """Of each firing the token [m], ascending."""
    feature: Int64Array
    """Of each firing the feature [m], ascending within a token."""
    activation: Float32Array
    """Of each firing the activation [m]; below zero only of a signed SAE."""

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    @property
    def n_sequences(self) -> int:
        """How many sequences the text was cut into."""
        return int(self.sequence[-1]) + 1 if len(self.sequence) else 0

    @property
    def counted(self) -> BoolArray:
        """Which tokens count [n]."""
        return np.array([not why for why in self.masked], dtype=np.bool_)

    def values(self, feature: int) -> Float32Array:
        """A feature's activation at every token [n]; 0 where it does not fire."""
        out = np.zeros(self.n_tokens, dtype=np.float32)
        fires = self.feature == feature
        out[self.token[fires]] = self.activation[fires]
        return out

    def to_json(self) -> dict[str, Any]:
        """As plain values, to go from one process to another."""
        return {
            "text": self.text,
            "ids": self.ids.tolist(),
            "pieces": list(self.pieces),
            "spans": self.spans.tolist(),
            "sequence": self.sequence.tolist(),
            "masked": list(self.masked),
            "token": self.token.tolist(),
            "feature": self.feature.tolist(),
            "activation": self.activation.tolist(),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` gave."""
        return cls(
            text=given["text"],
            ids=np.asarray(given["ids"], dtype=np.int64),
            pieces=tuple(given["pieces"]),
            spans=np.asarray(given["spans"], dtype=np.int64).reshape(-1, 2),
            sequence=np.asarray(given["sequence"], dtype=np.int64),
            masked=tuple(given["masked"]),
            token=np.asarray(given["token"], dtype=np.int64),
            feature=np.asarray(given["feature"], dtype=np.int64),
            activation=np.asarray(given["activation"], dtype=np.float32),
        )
