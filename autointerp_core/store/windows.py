"""Windows of a study's tokens, made into example records many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autointerp_core.store.feature_shards import FloatArray
from autointerp_core.store.records import Example
from autointerp_core.store.tokenstore import BLANK, CONTINUES, SPECIAL, IntArray, TokenStore


@dataclass(frozen=True)
class Windows:
    """Windows of one group; ``values`` holds all their activations end to end."""

    group: str
    token: IntArray
    activation: FloatArray
    start: IntArray
    stop: IntArray
    values: FloatArray


def build_examples(
    tokens: TokenStore, windows: Windows, features: NDArray[np.int32]
) -> list[Example]:
    """Example records; everything that can be looked up for all at once is."""
    start, stop = windows.start, windows.stop
    if not len(start):
        return []
    sequence = tokens.sequence_of(windows.token)
    low = tokens.sequences[sequence]
    texts, openings = tokens.texts(start, stop), tokens.openings(start, stop)
    continues, named = _unusual(tokens, start, stop, texts, openings)
    values = windows.values.tolist()
    ends = np.cumsum(stop - start).tolist()
    position = (windows.token - low).tolist()
    peak = (windows.token - start).tolist()
    offset = (start - low).tolist()
    activation = windows.activation.tolist()
    owner = tokens.document_of(windows.token).tolist()
    index, feature = sequence.tolist(), features.tolist()
    first, last = start.tolist(), stop.tolist()
    return [
        Example(
            feature=feature[i],
            group=windows.group,
            activation=activation[i],
            sequence_index=index[i],
            token_position=position[i],
            document_index=owner[i],
            start_position=offset[i],
            token_ids=tuple(tokens.ids[first[i] : last[i]].tolist()),
            tokens=tuple(texts[i]),
            values=tuple(values[ends[i] - len(texts[i]) : ends[i]]),
            peak_index=peak[i],
            continues=continues.get(i, ()),
            opening=openings.get(i, ""),
            named=named.get(i, ()),
        )
        for i in range(len(index))
    ]


def _unusual(
    tokens: TokenStore,
    start: IntArray,
    stop: IntArray,
    texts: list[list[str]],
    openings: dict[int, str],
) -> tuple[dict[int, tuple[int, ...]], dict[int, tuple[tuple[int, str], ...]]]:
    """By window: tokens that go on with a character, and names of those that stand in no text."""
    length = stop - start
    offset = np.cumsum(length) - length
    cell = np.arange(length.sum()) - np.repeat(offset, length) + np.repeat(start, length)
    flags = tokens.flags[cell]
    at = np.flatnonzero(flags & CONTINUES)
    window = np.searchsorted(offset, at, "right") - 1
    found, edges = np.unique(window, return_index=True)
    index = np.split(at - offset[window], edges[1:])
    continues = {int(w): tuple(indices.tolist()) for w, indices in zip(found, index, strict=False)}
    at = np.flatnonzero(flags & (SPECIAL | CONTINUES) == SPECIAL)
    window = np.searchsorted(offset, at, "right") - 1
    bare = list(zip(window.tolist(), (at - offset[window]).tolist(), strict=True))
    # Where a sequence ends after the blank put before a document, nothing else can be shown.
    textless = [w for w, pieces in enumerate(texts) if w not in openings and not any(pieces)]
    bare += [(w, i) for w in textless for i in range(len(texts[w]))]
    named: dict[int, dict[int, str]] = {}
    for w, i in bare:
        if not texts[w][i]:
            name = tokens.vocab[int(tokens.ids[start[w] + i])]
            named.setdefault(w, {})[i] = name if name.strip() else BLANK
    return continues, {w: tuple(names.items()) for w, names in named.items()}
