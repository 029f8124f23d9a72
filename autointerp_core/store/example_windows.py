"""Windows around tokens, cut from a study's firings and made into example records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import BadInput
from autointerp_core.store.feature_shards import FloatArray, Pass
from autointerp_core.store.records import Example
from autointerp_core.store.tokenstore import BLANK, CONTINUES, SPECIAL, IntArray, TokenStore

GROUPS = ("top", "quantile_1", "quantile_2", "quantile_3", "quantile_4")
"""Example groups; ``quantile_1`` holds the strongest quarter of the peaks."""


class Windows(NamedTuple):
    """Windows of one group; ``values`` holds all their activations end to end."""

    group: str
    token: IntArray
    """The peak of each."""
    activation: FloatArray
    start: IntArray
    stop: IntArray
    values: FloatArray


class Peaks(NamedTuple):
    """Study tokens at which a feature peaks, and its activation there."""

    token: IntArray
    activation: FloatArray


def draw_tokens(
    tokens: TokenStore, generator: np.random.Generator, n: int, documents: Sequence[int] | None
) -> IntArray:
    """``n`` random token indices, in the given documents or anywhere."""
    if documents is None:
        return generator.integers(0, tokens.n_tokens, n)
    wanted = np.asarray(documents, dtype=np.int64)
    edges = zip(*tokens.document_edges(wanted), strict=True)
    spans = [np.arange(low, high) for low, high in edges]
    inside = np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)
    return generator.permutation(inside)[:n]


def around(
    tokens: TokenStore,
    group: str,
    token: IntArray,
    fired: IntArray,
    activation: FloatArray,
    before: int,
    after: int,
) -> Windows:
    """Windows around ``token`` for a feature that fires on ``fired`` (ascending)."""
    token = np.asarray(token, dtype=np.int64)
    start, stop = tokens.windows(token, before, after)
    length = stop - start
    offset = np.cumsum(length) - length
    cell = np.arange(length.sum()) - np.repeat(offset, length) + np.repeat(start, length)
    values = values_at(fired, activation, cell)
    return Windows(group, token, values_at(fired, activation, token), start, stop, values)


def examples_of_rows(
    tokens: TokenStore,
    found: Pass,
    first: int,
    last: int,
    group: str,
    limit: int | None,
    before: int,
    after: int,
) -> Iterator[tuple[int, list[Example]]]:
    """Each feature of rows ``[first, last)`` with its stored examples of a group, best first.

    All window values come from one lookup.

    Raises:
        BadInput: there is no such group.
    """
    if group not in GROUPS:
        raise BadInput(f"no example group {group!r}; there are {', '.join(GROUPS)}")
    peaks = found.peaks
    bounds = peaks["indptr"][first : last + 1]
    span = slice(int(bounds[0]), int(bounds[-1]))
    owner = np.repeat(np.arange(first, last), np.diff(bounds))
    chosen = peaks["group"][span] == GROUPS.index(group)
    owner = owner[chosen]
    if limit is not None and len(owner):
        rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
        within = rank < limit
        owner, chosen_index = owner[within], np.flatnonzero(chosen)[within]
    else:
        chosen_index = np.flatnonzero(chosen)
    token = peaks["token"][span][chosen_index]
    activation = peaks["activation"][span][chosen_index]
    start, stop = tokens.windows(token, before, after)
    length = stop - start
    offset = np.concatenate([[0], np.cumsum(length)])
    row, fired, value = found.firings(first, last)
    total = tokens.n_tokens
    # Firings and window cells of all rows, both keyed by (row, token).
    cell = np.arange(offset[-1]) - np.repeat(offset[:-1], length) + np.repeat(start, length)
    values = values_at(row * total + fired, value, np.repeat(owner, length) * total + cell)
    windows = Windows(group, token, activation, start, stop, values)
    examples = build_examples(tokens, windows, found.features[owner])
    edges = np.searchsorted(owner, np.arange(first, last + 1)).tolist()
    for index, r in enumerate(range(first, last)):
        yield int(found.features[r]), examples[edges[index] : edges[index + 1]]


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
    examples = [
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
        )
        for i in range(len(index))
    ]
    for i in continues.keys() | openings.keys() | named.keys():
        examples[i] = replace(
            examples[i],
            continues=continues.get(i, ()),
            opening=openings.get(i, ""),
            named=named.get(i, ()),
        )
    return examples


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
    empty = np.flatnonzero(tokens.ends[stop - 1] == tokens.begins(start))
    textless = [w for w in empty.tolist() if w not in openings]
    bare += [(w, i) for w in textless for i in range(len(texts[w]))]
    named: dict[int, dict[int, str]] = {}
    for w, i in bare:
        if not texts[w][i]:
            name = tokens.vocab[int(tokens.ids[start[w] + i])]
            named.setdefault(w, {})[i] = name if name.strip() else BLANK
    return continues, {w: tuple(names.items()) for w, names in named.items()}


def values_at(key: IntArray, value: FloatArray, query: IntArray) -> FloatArray:
    """The value whose (ascending) key is asked for; 0 where there is none."""
    out = np.zeros(len(query), dtype=np.float32)
    if len(key):
        at = np.minimum(np.searchsorted(key, query), len(key) - 1)
        hit = key[at] == query
        out[hit] = value[at[hit]]
    return out
