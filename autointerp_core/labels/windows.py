"""Which windows of text a label is judged on: where its feature fires, and where it is silent.

For one feature and one part of the documents (see :mod:`.split`) a :class:`WindowSet` holds

* *active* windows: peaks of the feature, one a document as long as there are documents,
  else one a sequence, at even steps from its strongest to its weakest document;
* *easy* silent windows: anywhere in the part, first in documents where it never fires;
* *hard* silent windows: of the very documents of the active ones; where too few fit, around
  tokens that the feature peaks on elsewhere and does not react to here.

What holds for every set: a silent window has no firing in it, counted or masked, checked in
the raw firings; no two windows overlap; no two read the same; a window that reads like one
around a peak in the label part, which the labeller may have seen, is left out. The same seed
gives the same windows, whatever else is asked for.

Silent windows are cut off by the ends of their sequences as much as the active ones are: each
is chosen to have the shape of one of them. Otherwise they would be shorter (a short window is
more often free of firings), and whoever prefers the longer text would do better than chance;
on the demo the labels of other features did, by 0.007 ± 0.005.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import BadInput
from autointerp_core.labels.split import LABEL, PARTS, Split
from autointerp_core.store.study import AFTER, BEFORE, Example, Study

ACTIVE, EASY, HARD = "active", "easy", "hard"
PER_CLASS = 20
MIN_ACTIVE = 5
"""Documents it must fire in; below this an interval would span half of what is possible."""
MIN_SILENT = 5
_POOL_TOKENS = 4_000_000
"""Silent windows are looked for in so many tokens of a part: plenty, at a bounded cost."""
_CENTRES = 256
"""Random middles of silent windows looked at in one document."""
_EASY_TRIES = 16
"""Documents looked at for each easy window wanted."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """A window to judge. ``token`` is the study's index of its peak, or of its middle."""

    example: Example
    kind: str
    """active, easy or hard."""
    token: int

    @property
    def active(self) -> bool:
        return self.kind == ACTIVE

    @property
    def text(self) -> str:
        """Its text on one line."""
        return " ".join(self.example.text.split())


@dataclass(frozen=True)
class WindowSet:
    """The windows of a feature in one part of the documents; empty where ``problem`` is set."""

    feature: int
    part: str
    active: tuple[Window, ...]
    easy: tuple[Window, ...]
    hard: tuple[Window, ...]
    documents: int
    """Documents of the part in which the feature fires."""
    problem: str | None = None
    """Why there can be no score."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """All of them: active, easy, hard."""
        return (*self.active, *self.easy, *self.hard)


@dataclass(frozen=True)
class _Pool:
    """The documents of a part that silent windows come from, in a random order."""

    documents: Ints
    inside: NDArray[np.bool_]
    """Of every document of the study: is it in the part?"""
    by_id: Ints
    """Token indices of the pool, ordered by token id, then by index."""
    ids: NDArray[np.uint32]
    """Token ids of ``by_id``, ascending."""


@dataclass
class _Chosen:
    """Windows picked so far; refuses what overlaps or repeats one of them."""

    spans: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """By sequence."""
    texts: set[str] = field(default_factory=set)

    def add(self, sequence: int, start: int, stop: int, text: str) -> bool:
        spans = self.spans.setdefault(sequence, [])
        if not text or text in self.texts or any(a < stop and start < b for a, b in spans):
            return False
        spans.append((start, stop))
        self.texts.add(text)
        return True


class WindowSampler:
    """Draws window sets from one study.

    Args:
        study: the study.
        split: which documents are in which part.
        per_class: active windows wanted, and silent ones.
        seed: of everything random.
    """

    def __init__(self, study: Study, split: Split, per_class: int = PER_CLASS, seed: int = 0):
        self.study, self.split, self.per_class, self.seed = study, split, per_class, seed
        self._pools: dict[str, _Pool] = {}
        generator = np.random.default_rng([seed, 0x5747])
        width = BEFORE + AFTER + 8
        self._multipliers = generator.integers(1, 2**63, width, dtype=np.uint64) * 2 + 1

    def sample(self, feature: int, part: str) -> WindowSet:
        """The window set of a feature in a part.

        Raises:
            BadInput: the feature is not in the study.
        """
        return self.sample_parts(feature, [part])[0]

    def sample_parts(self, feature: int, parts: Iterable[str]) -> list[WindowSet]:
        """Window sets of several parts, reading the feature's firings once."""
        token, activation = _firings(self.study, feature)
        return [self._sample(feature, part, token, activation) for part in parts]

    def _sample(self, feature: int, part: str, fired: Ints, activation: Floats) -> WindowSet:
        pool = self._pool(part)
        peak, strength = self._peaks(fired, activation)
        owner = self._owner(peak)
        seen = peak[self._pool(LABEL).inside[owner]] if part != LABEL else peak[:0]
        here = pool.inside[owner]
        peak, strength, owner = peak[here], strength[here], owner[here]
        documents = len(np.unique(owner))
        if documents < MIN_ACTIVE:
            return _nothing(
                feature,
                part,
                documents,
                f"fires in {documents} document{'' if documents == 1 else 's'} of the {part} "
                f"part; a score needs at least {MIN_ACTIVE}",
            )
        generator = np.random.default_rng([self.seed, feature, PARTS.index(part)])
        chosen = _Chosen()
        unseen = ~self._reads_like(peak, seen)
        active = self._active(generator, peak[unseen], owner[unseen], chosen)
        if len(active) < MIN_ACTIVE:
            return _nothing(
                feature,
                part,
                documents,
                f"only {len(active)} of its windows in the {part} part differ from each other "
                f"and from what the labeller may have seen; a score needs at least {MIN_ACTIVE}",
            )
        wanted = len(active)
        shapes = generator.permutation(self._shapes(active))
        half = wanted // 2
        hard = self._hard(generator, shapes[:half], fired, peak, active, pool, chosen)
        easy = self._easy(generator, shapes[len(hard) :], fired, pool, chosen)
        if len(easy) + len(hard) < wanted:  # more of documents it fires in, then
            rest = shapes[len(easy) + len(hard) :]
            hard += self._hard(generator, rest, fired, peak, active, pool, chosen)
        if len(easy) + len(hard) < MIN_SILENT:
            return _nothing(
                feature,
                part,
                documents,
                f"only {len(easy) + len(hard)} windows of the {part} part are free of it; a "
                f"score needs at least {MIN_SILENT}",
            )
        tokens = np.array([*active, *easy, *hard], dtype=np.int64)
        kinds = [ACTIVE] * len(active) + [EASY] * len(easy) + [HARD] * len(hard)
        examples = self.study.windows_at(feature, tokens)
        windows = [
            Window(example, kind, token)
            for example, kind, token in zip(examples, kinds, tokens.tolist(), strict=True)
        ]
        first, second = len(active), len(active) + len(easy)
        return WindowSet(
            feature,
            part,
            tuple(windows[:first]),
            tuple(windows[first:second]),
            tuple(windows[second:]),
            documents,
        )

    # ------------------------------------------------------------------ choosing

    def _active(
        self, generator: np.random.Generator, peak: Ints, owner: Ints, chosen: _Chosen
    ) -> list[int]:
        """Peaks (strongest first in ``peak``) at even steps, repeats replaced by others."""
        first = np.sort(np.unique(owner, return_index=True)[1])
        rest = np.setdiff1d(np.arange(len(peak)), first)
        order = [
            part[_even_steps_first(generator, len(part), self.per_class)] for part in (first, rest)
        ]
        return self._take(peak[np.concatenate(order)], self.per_class, chosen)

    def _easy(
        self,
        generator: np.random.Generator,
        shapes: Ints,
        fired: Ints,
        pool: _Pool,
        chosen: _Chosen,
    ) -> list[int]:
        """A window of each shape, one a document, where the feature never fires first."""
        documents = pool.documents
        low, high = self._token_edges(documents)
        silent = np.searchsorted(fired, low) == np.searchsorted(fired, high)
        # A new start for each feature, so that not every feature is tested on the same texts.
        turn = int(generator.integers(max(len(documents), 1)))
        found: list[int] = []
        for group in (documents[silent], documents[~silent]):
            order = np.roll(group, -turn % max(len(group), 1))[: _EASY_TRIES * len(shapes)]
            for document in order.tolist():
                if len(found) == len(shapes):
                    return found
                centres = self._silent_centres(generator, document, fired)
                found += self._take(centres, 1, chosen, shapes[len(found)])
        return found

    def _hard(
        self,
        generator: np.random.Generator,
        shapes: Ints,
        fired: Ints,
        peak: Ints,
        active: list[int],
        pool: _Pool,
        chosen: _Chosen,
    ) -> list[int]:
        """Windows of these shapes beside the active ones, then around look-alikes."""
        documents = np.unique(self._owner(np.array(active, dtype=np.int64)))
        generator.shuffle(documents)
        found: list[int] = []
        before = -1
        while before < len(found) < len(shapes):  # one a document, then a second…
            before = len(found)
            for document in documents.tolist():
                if len(found) == len(shapes):
                    return found
                centres = self._silent_centres(generator, document, fired)
                found += self._take(centres, 1, chosen, shapes[len(found)])
        lookalikes = self._lookalikes(generator, peak, fired, pool)
        for shape in shapes[len(found) :]:
            found += self._take(lookalikes, 1, chosen, shape)
        return found

    def _lookalikes(
        self, generator: np.random.Generator, peak: Ints, fired: Ints, pool: _Pool
    ) -> Ints:
        """Tokens that the feature peaks on elsewhere, in windows where it is silent."""
        ids = np.unique(self.study.tokens.ids[peak])
        low, high = np.searchsorted(pool.ids, ids), np.searchsorted(pool.ids, ids, "right")
        same = [pool.by_id[a:b][:_CENTRES] for a, b in zip(low, high, strict=True)]
        centres = generator.permutation(np.concatenate(same) if same else peak[:0])
        return self._silent(centres[: 8 * _CENTRES], fired)

    def _silent_centres(self, generator: np.random.Generator, document: int, fired: Ints) -> Ints:
        """Middles of windows of a document without a firing, in a random order."""
        low, high = (int(x[0]) for x in self._token_edges(np.array([document])))
        size = high - low
        if size <= _CENTRES:
            centres = low + generator.permutation(size)
        else:
            centres = low + generator.integers(0, size, _CENTRES)
        return self._silent(centres, fired)

    def _silent(self, centres: Ints, fired: Ints) -> Ints:
        """Those of the tokens, if counted, whose whole window is free of firings."""
        centres = centres[np.asarray(self.study.tokens.counted[centres]) > 0]
        start, stop = self.study.tokens.windows(centres, BEFORE, AFTER)
        silent: Ints = centres[np.searchsorted(fired, start) == np.searchsorted(fired, stop)]
        return silent

    def _shapes(self, centres: Sequence[int] | Ints) -> Ints:
        """Tokens before and from each centre on in its window: ``[len(centres), 2]``."""
        token = np.array(centres, dtype=np.int64)
        start, stop = self.study.tokens.windows(token, BEFORE, AFTER)
        return np.stack([token - start, stop - token], axis=1)

    def _take(
        self, centres: Ints, wanted: int, chosen: _Chosen, shape: Ints | None = None
    ) -> list[int]:
        """The first ``wanted`` centres whose windows hold text and go with what is chosen.

        Where a shape is given, those nearest to it come first.
        """
        if shape is not None and len(centres):
            away = np.abs(self._shapes(centres) - shape).sum(axis=1)
            centres = centres[np.argsort(away, kind="stable")]
        found: list[int] = []
        step = max(2 * wanted, 8)
        for at in range(0, len(centres), step):
            if len(found) >= wanted:
                break
            some = centres[at : at + step]
            start, stop = self.study.tokens.windows(some, BEFORE, AFTER)
            sequence = self.study.tokens.sequence_of(some)
            for row in zip(some, sequence, start, stop, strict=True):
                centre, where, first, last = (int(value) for value in row)
                if len(found) == wanted:
                    break
                if chosen.add(where, first, last, self._text(where, first, last)):
                    found.append(centre)
        return found

    # ------------------------------------------------------------------ looking up

    def _pool(self, part: str) -> _Pool:
        if part not in self._pools:
            tokens = self.study.tokens
            inside = np.zeros(len(tokens.documents) - 1, dtype=np.bool_)
            documents = self.split.documents(part)
            inside[documents] = True
            generator = np.random.default_rng([self.seed, 0x504F, PARTS.index(part)])
            documents = generator.permutation(documents)
            low, high = self._token_edges(documents)
            kept = np.searchsorted(np.cumsum(high - low), _POOL_TOKENS) + 1
            documents, low, high = (x[:kept] for x in (documents, low, high))
            full = high > low
            index = _ranges(low[full], high[full])
            order = np.lexsort((index, tokens.ids[index]))
            by_id = index[order]
            self._pools[part] = _Pool(documents[full], inside, by_id, tokens.ids[by_id])
        return self._pools[part]

    def _token_edges(self, documents: Ints) -> tuple[Ints, Ints]:
        """First and one-past-last token of each document."""
        tokens = self.study.tokens
        first = np.searchsorted(tokens.owners, documents)
        last = np.searchsorted(tokens.owners, documents, "right")
        return tokens.sequences[first], tokens.sequences[last]

    def _owner(self, token: Ints) -> Ints:
        """Document of each token."""
        tokens = self.study.tokens
        owner: Ints = tokens.owners[tokens.sequence_of(token)]
        return owner

    def _peaks(self, fired: Ints, activation: Floats) -> tuple[Ints, Floats]:
        """The counted peak of every sequence, strongest first; of equals the earlier one."""
        counted = self.study.tokens.counted[fired] > 0
        token, strength = fired[counted], activation[counted]
        sequence = self.study.tokens.sequence_of(token)
        order = np.lexsort((token, -strength, sequence))
        first = order[np.unique(sequence[order], return_index=True)[1]]
        best = first[np.lexsort((token[first], -strength[first]))]
        return token[best], strength[best]

    def _reads_like(self, peak: Ints, seen: Ints) -> NDArray[np.bool_]:
        """Which windows around ``peak`` have the token ids of a window around ``seen``."""
        ids, windows = self.study.tokens.ids, self.study.tokens.windows
        alike = seen[np.isin(ids[seen], np.unique(ids[peak]))]
        if not len(alike) or not len(peak):
            return np.zeros(len(peak), dtype=np.bool_)
        known = self._fingerprints(*windows(alike, BEFORE, AFTER))
        return np.isin(self._fingerprints(*windows(peak, BEFORE, AFTER)), known)

    def _fingerprints(self, start: Ints, stop: Ints) -> NDArray[np.uint64]:
        """A 64-bit hash of the token ids of each window (none empty)."""
        length = stop - start
        cell = _ranges(start, stop)
        offset = np.cumsum(length) - length
        place = cell - np.repeat(start, length)
        # The length, too: token id 0 must not vanish at the end of a window.
        term = (self.study.tokens.ids[cell].astype(np.uint64) + 1) * self._multipliers[place]
        return np.add.reduceat(term, offset)

    def _text(self, sequence: int, start: int, stop: int) -> str:
        """The text of a window with single spaces."""
        tokens = self.study.tokens
        opens = start == int(tokens.sequences[sequence])
        begin = int(tokens.starts[sequence] if opens else tokens.ends[start - 1])
        raw = tokens.text[begin : int(tokens.ends[stop - 1])].tobytes()
        return " ".join(raw.decode("utf-8", "replace").split())


def _firings(study: Study, feature: int) -> tuple[Ints, Floats]:
    """Token index and activation of every firing, masked ones included, in token order."""
    for found in study.passes:
        row = int(found.rows([feature])[0])
        if row >= 0:
            _, token, activation = found.firings(row, row + 1)
            return token, activation
    raise BadInput(f"feature {feature} is not in study {study.id}; extract it first")


def _ranges(start: Ints, stop: Ints) -> Ints:
    """All integers of the ranges ``[start, stop)``, end to end."""
    length = stop - start
    offset = np.cumsum(length) - length
    inside: Ints = np.arange(length.sum()) - np.repeat(offset, length)
    return inside + np.repeat(start, length)


def _even_steps_first(generator: np.random.Generator, count: int, wanted: int) -> Ints:
    """All indices below ``count``: evenly spread ones first, the others at random after them."""
    if count <= wanted:
        return np.arange(count)
    even = (2 * np.arange(wanted) + 1) * count // (2 * wanted)
    return np.concatenate([even, generator.permutation(np.setdiff1d(np.arange(count), even))])


def _nothing(feature: int, part: str, documents: int, problem: str) -> WindowSet:
    return WindowSet(feature, part, (), (), (), documents, problem)
