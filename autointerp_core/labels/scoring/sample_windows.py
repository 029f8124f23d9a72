"""Which windows of text a label is judged on: where its feature fires, and where it is silent.

For one feature and one part of the documents (see ``document_split``) a :class:`WindowSet` holds

* *active* windows: peaks of the feature, one a document as long as there are documents,
  else one a sequence, at even steps from its strongest to its weakest document;
* *easy* silent windows: anywhere in the part, first in documents where it never fires;
* *hard* silent windows: of the very documents of the active ones; where too few fit, around
  tokens that the feature peaks on elsewhere and does not react to here;
* *neighbour* silent windows: around peaks of features that are much like it, in decoder direction
  or in the tokens they fire on. They are reported apart, as *near* ones are: of the random windows
  of the part (``background``) those most like a label, which a scorer finds.

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
from functools import lru_cache

import numpy as np

from autointerp_core.arrays import BoolArray, Int64Array
from autointerp_core.labels.document_split import LABEL, PARTS, Split
from autointerp_core.labels.related_features import RelatedFeatures
from autointerp_core.labels.scoring.document_pools import Background, DocumentPools, Pool
from autointerp_core.store.study import Example, Study

ACTIVE, EASY, HARD = "active", "easy", "hard"
NEIGHBOUR, NEAR = "neighbour", "near"
HARDER = 10
"""Neighbour windows of a set, and near ones of a label, at most."""
PER_CLASS = 20
MIN_ACTIVE = 5
"""Documents it must fire in; below this an interval would span half of what is possible."""
MIN_SILENT = 5
_CENTRES = 256
"""Random middles of silent windows looked at in one document."""
_EASY_TRIES = 16
"""Documents looked at for each easy window wanted."""


@dataclass(frozen=True)
class Window:
    """A window to judge. ``token`` is the study's index of its peak, or of its middle."""

    example: Example
    kind: str
    """active, easy, hard, neighbour or near."""
    token: int

    @property
    def active(self) -> bool:
        return self.kind == ACTIVE

    @property
    def text(self) -> str:
        """Its text on one line."""
        return " ".join(self.example.text.split())


@dataclass(frozen=True)
class Around:
    """The text around: random windows of the part, and where in them one feature is silent."""

    study: Study
    background: Background
    silent: BoolArray
    density: float
    """Share of the part's windows in which the feature fires."""

    def near(self, feature: int, rows: Sequence[int]) -> list[Window]:
        """The windows of some rows of the background."""
        token = self.background.token[np.asarray(rows, dtype=np.int64)]
        examples = self.study.windows_at(feature, token)
        return [
            Window(example, NEAR, at) for example, at in zip(examples, token.tolist(), strict=True)
        ]


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
    neighbour: tuple[Window, ...] = ()
    around: Around | None = field(default=None, compare=False)

    @property
    def windows(self) -> tuple[Window, ...]:
        """All of them: active, easy, hard."""
        return (*self.active, *self.easy, *self.hard)


class _Chosen:
    """Windows picked so far; refuses what overlaps or repeats one of them, or is blank."""

    def __init__(self, pools: DocumentPools):
        self._pools = pools
        self._spans: dict[int, list[tuple[int, int]]] = {}
        self._texts: set[str] = set()

    def take(self, centres: Int64Array, wanted: int, shape: Int64Array | None = None) -> list[int]:
        """The first ``wanted`` centres whose windows go with what is picked; now picked, too.

        Where a shape is given, those nearest to it come first.
        """
        if shape is not None:
            away = np.abs(self._pools.shapes(centres) - shape).sum(axis=1)
            centres = centres[np.argsort(away, kind="stable")]
        found: list[int] = []
        step = max(2 * wanted, 8)
        for at in range(0, len(centres), step):
            some = centres[at : at + step]
            start, stop = self._pools.window(some)
            sequence = self._pools.tokens.sequence_of(some)
            for row in zip(some, sequence, start, stop, strict=True):
                centre, *place = (int(value) for value in row)
                if len(found) == wanted:
                    return found
                if self._add(*place):
                    found.append(centre)
        return found

    def _add(self, sequence: int, start: int, stop: int) -> bool:
        spans = self._spans.setdefault(sequence, [])
        text = self._pools.text(sequence, start, stop)
        if not text or text in self._texts or any(a < stop and start < b for a, b in spans):
            return False
        spans.append((start, stop))
        self._texts.add(text)
        return True


@dataclass(frozen=True)
class _Silence:
    """Where one feature is silent in a part. Centres come back, a shape each."""

    pools: DocumentPools
    pool: Pool
    generator: np.random.Generator
    fired: Int64Array
    peak: Int64Array
    """Of the part."""
    active: list[int]
    chosen: _Chosen

    def easy(self, shapes: Int64Array) -> list[int]:
        """One window a document, where the feature never fires first; none of the active ones."""
        documents = self.pool.documents
        low, high = self.pools.edges(documents)
        silent = np.searchsorted(self.fired, low) == np.searchsorted(self.fired, high)
        other = ~silent & ~np.isin(documents, self._active_documents())
        # A new start for each feature, so that not every feature is tested on the same texts.
        turn = int(self.generator.integers(max(len(documents), 1)))
        found: list[int] = []
        for group in (documents[silent], documents[other]):
            order = np.roll(group, -turn % max(len(group), 1))[: _EASY_TRIES * len(shapes)]
            for document in order.tolist():
                if len(found) == len(shapes):
                    return found
                found += self.chosen.take(self._centres(document), 1, shapes[len(found)])
        return found

    def hard(self, shapes: Int64Array) -> list[int]:
        """Beside the active windows, one a document, then a second…; then look-alikes."""
        documents = self.generator.permutation(self._active_documents()).tolist()
        found: list[int] = []
        before = -1
        while before < len(found) < len(shapes):
            before = len(found)
            for document in documents:
                if len(found) == len(shapes):
                    return found
                found += self.chosen.take(self._centres(document), 1, shapes[len(found)])
        if len(found) < len(shapes):
            lookalikes = self._lookalikes()
            for shape in shapes[len(found) :]:
                found += self.chosen.take(lookalikes, 1, shape)
        return found

    def _active_documents(self) -> Int64Array:
        return np.unique(self.pools.owner(np.array(self.active, dtype=np.int64)))

    def _lookalikes(self) -> Int64Array:
        """Tokens that the feature peaks on elsewhere, in windows where it is silent."""
        ids = np.unique(self.pools.tokens.ids[self.peak])
        low = np.searchsorted(self.pool.ids, ids)
        high = np.searchsorted(self.pool.ids, ids, "right")
        same = [self.pool.by_id[a:b][:_CENTRES] for a, b in zip(low, high, strict=True)]
        centres = self.generator.permutation(np.concatenate(same))
        return self.pools.silent(centres[: 8 * _CENTRES], self.fired)

    def _centres(self, document: int) -> Int64Array:
        """Middles of windows of a document without a firing, in a random order."""
        low, high = (int(edge[0]) for edge in self.pools.edges(np.array([document])))
        size = high - low
        if size <= _CENTRES:
            centres = low + self.generator.permutation(size)
        else:
            centres = low + self.generator.integers(0, size, _CENTRES)
        return self.pools.silent(centres, self.fired)


class WindowSampler:
    """Draws window sets from one study.

    Args:
        study: the study.
        split: which documents are in which part.
        per_class: active windows wanted, and silent ones.
        seed: of everything random.
    """

    def __init__(self, study: Study, split: Split, per_class: int = PER_CLASS, seed: int = 0):
        self.study, self.per_class, self.seed = study, per_class, seed
        self._pools = DocumentPools(study, split, seed)
        self._alike = lru_cache(maxsize=64)(RelatedFeatures(study).of)
        """Asked once for both parts."""

    def sample(self, feature: int, part: str) -> WindowSet:
        """The window set of a feature in a part.

        Raises:
            BadInput: the feature is not in the study.
        """
        return self.sample_parts(feature, [part])[0]

    def sample_parts(self, feature: int, parts: Iterable[str]) -> list[WindowSet]:
        """Window sets of several parts, reading the feature's firings once."""
        token, activation = self._pools.firings(feature)
        peak = self._pools.peaks(token, activation)
        return [self._sample(feature, part, token, peak) for part in parts]

    def _sample(self, feature: int, part: str, fired: Int64Array, peak: Int64Array) -> WindowSet:
        pool = self._pools.pool(part)
        owner = self._pools.owner(peak)
        seen = peak[self._pools.pool(LABEL).inside[owner]] if part != LABEL else peak[:0]
        here = pool.inside[owner]
        peak, owner = peak[here], owner[here]
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
        chosen = _Chosen(self._pools)
        unseen = ~self._pools.read_alike(peak, seen)
        active = self._active(generator, peak[unseen], owner[unseen], chosen)
        if len(active) < MIN_ACTIVE:
            return _nothing(
                feature,
                part,
                documents,
                f"fewer than {MIN_ACTIVE} of its windows in the {part} part differ from each "
                "other and from what the labeller may have seen",
            )
        shapes = generator.permutation(self._pools.shapes(np.array(active, dtype=np.int64)))
        silent = _Silence(self._pools, pool, generator, fired, peak, active, chosen)
        hard = silent.hard(shapes[: len(active) // 2])
        easy = silent.easy(shapes[len(hard) :])
        hard += silent.hard(shapes[len(easy) + len(hard) :])  # more of them, if easy ones lack
        alike = self._neighbour_centres(feature, pool, fired, chosen)
        if len(easy) + len(hard) < MIN_SILENT:
            return _nothing(
                feature,
                part,
                documents,
                f"fewer than {MIN_SILENT} windows of the {part} part are free of it",
            )
        tokens = np.array([*active, *easy, *hard, *alike], dtype=np.int64)
        kinds = [ACTIVE] * len(active) + [EASY] * len(easy) + [HARD] * len(hard)
        kinds += [NEIGHBOUR] * len(alike)
        examples = self.study.windows_at(feature, tokens)
        windows = [
            Window(example, kind, token)
            for example, kind, token in zip(examples, kinds, tokens.tolist(), strict=True)
        ]
        first, second = len(active), len(active) + len(easy)
        third = second + len(hard)
        background = self._pools.background(part)
        return WindowSet(
            feature,
            part,
            tuple(windows[:first]),
            tuple(windows[first:second]),
            tuple(windows[second:third]),
            documents,
            neighbour=tuple(windows[third:]),
            around=Around(
                self.study, background, ~background.fires(fired), background.density(fired)
            ),
        )

    def _neighbour_centres(
        self, feature: int, pool: Pool, fired: Int64Array, chosen: _Chosen
    ) -> list[int]:
        """Peaks of features much like this one where it is silent: a turn a feature, then again."""
        turns: list[Int64Array] = []
        for other in self._alike(feature):
            peak = self._pools.peaks_of(other)
            peak = peak[pool.inside[self._pools.owner(peak)]]
            turns.append(self._pools.silent(peak[:_CENTRES], fired))
        found: list[int] = []
        while len(found) < HARDER and any(len(turn) for turn in turns):
            for i, turn in enumerate(turns):
                if len(found) < HARDER and len(turn):
                    found += chosen.take(turn[:1], 1)
                    turns[i] = turn[1:]
        return found

    def _active(
        self, generator: np.random.Generator, peak: Int64Array, owner: Int64Array, chosen: _Chosen
    ) -> list[int]:
        """Peaks (strongest first in ``peak``) at even steps, repeats replaced by others."""
        first = np.sort(np.unique(owner, return_index=True)[1])
        rest = np.setdiff1d(np.arange(len(peak)), first)
        order = [
            part[_even_steps_first(generator, len(part), self.per_class)] for part in (first, rest)
        ]
        return chosen.take(peak[np.concatenate(order)], self.per_class)


def _even_steps_first(generator: np.random.Generator, count: int, wanted: int) -> Int64Array:
    """All indices below ``count``: evenly spread ones first, the others at random after them."""
    if count <= wanted:
        return np.arange(count)
    even = (2 * np.arange(wanted) + 1) * count // (2 * wanted)
    return np.concatenate([even, generator.permutation(np.setdiff1d(np.arange(count), even))])


def _nothing(feature: int, part: str, documents: int, problem: str) -> WindowSet:
    return WindowSet(feature, part, (), (), (), documents, problem)
