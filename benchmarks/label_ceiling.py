"""``python -m benchmarks.label_ceiling``: how much better a list of words could be, by the scorer.

On *validate* windows of some of the demo's features (test windows are never read), for lists of
one, two and three words of the label documents:

* ``naive``: the commonest peak words;
* ``oracle``: the list that these very windows would choose. No labeller can reach it: of thousands
  of words some are like any forty windows by chance;
* ``oracle_elsewhere``: the list that every second window would choose, measured on the others. What
  the oracle loses by it is chance.

Written to ``benchmarks/out/label_ceiling.json``; no limits, as nothing of ours is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from autointerp_core.arrays import Float32Array, Float64Array, Int64Array
from autointerp_core.labels.auroc import auroc_columns
from autointerp_core.labels.document_split import VALIDATE, Split
from autointerp_core.labels.embedders import KnownTexts, make_embedder, scoring_embedder, words_of
from autointerp_core.labels.embedders.likeness import label_vectors, likest
from autointerp_core.labels.scoring.sample_windows import Window, WindowSampler
from autointerp_core.labels.search.record import search_labeler
from autointerp_core.labels.search.word_lists import WordLists
from benchmarks.labels import demo_study, naive_labels
from benchmarks.report import Row, publish

FEATURES = 170
PER_CLASS = 40
GROWN_BY, KEPT = 40, 8
"""Words that lists are grown by, and lists that are grown."""
COUNTS = (1, 2, 3)


class _Windows:
    """Windows of one feature, the active ones first, as rows of vectors of their words."""

    def __init__(self, active: Sequence[Window], silent: Sequence[Window], known: KnownTexts):
        row: dict[str, int] = {}
        cut = [
            [row.setdefault(word, len(row)) for word in words_of(window.text)]
            for window in (*active, *silent)
        ]
        self.n = len(active)
        self._place: Int64Array = np.full((len(cut), max(map(len, cut))), len(row), dtype=np.int64)
        for cells, places in zip(self._place, cut, strict=True):
            cells[: len(places)] = places
        self._vectors = known.vectors(list(row))
        self._weights = np.asarray(known.embedder.weights)

    def half(self, first: int) -> _Windows:
        """Every second window, from ``first`` on."""
        found = object.__new__(_Windows)
        rows = np.arange(first, len(self._place), 2)
        found.n = int((rows < self.n).sum())
        found._place = self._place[rows]
        found._vectors, found._weights = self._vectors, self._weights
        return found

    def auroc(self, labels: Float32Array) -> Float64Array:
        like = np.concatenate(
            [labels @ self._vectors.T, np.full((len(labels), 1), -np.inf, np.float32)], axis=1
        )
        said = np.stack([likest(one[self._place], self._weights) for one in like], axis=1)
        return auroc_columns(said, self.n)

    def roughly(self, labels: Float32Array) -> Float64Array:
        """The same, a window being as like a label as its likest word: fast."""
        like = np.concatenate(
            [self._vectors @ labels.T, np.full((1, len(labels)), -np.inf, np.float32)]
        )
        likest_word = like[self._place[:, 0]]
        for column in self._place.T[1:]:
            np.maximum(likest_word, like[column], out=likest_word)
        return auroc_columns(likest_word, self.n)


def best_lists(
    windows: _Windows, vectors: Float32Array, words: Sequence[str], known: KnownTexts
) -> dict[int, str]:
    """By number of words, the list that windows choose: grown word by word."""
    top = np.argsort(-windows.roughly(vectors), kind="stable")[:GROWN_BY].tolist()
    alone = dict(zip(top, windows.auroc(vectors[top]).tolist(), strict=True))
    top.sort(key=lambda i: -alone[i])
    grown = [(i,) for i in top[:KEPT]]
    found = {}
    for count in COUNTS:
        if count > 1:
            tried = list(
                dict.fromkeys(tuple(sorted((*g, i))) for g in grown for i in top if i not in g)
            )
            value = windows.auroc(vectors[np.asarray(tried)].mean(axis=1))
            grown = [tried[i] for i in np.argsort(-value, kind="stable")[:KEPT].tolist()]
        texts = [", ".join(words[i] for i in sorted(g, key=lambda i: -alone[i])) for g in grown]
        value = windows.auroc(label_vectors(texts, known))
        found[count] = texts[int(np.argmax(value))]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=FEATURES)
    wanted = parser.parse_args().features
    study = demo_study()
    split = Split(study)
    labeler = search_labeler(split)
    known = KnownTexts(make_embedder(scoring_embedder()))
    words = [labeler.words.keys[key] for key in WordLists(labeler.counts).vocabulary]
    vectors = label_vectors(words, known)
    sampler = WindowSampler(study, split, per_class=PER_CLASS)
    live = study.table.loc[study.table["num_examples"] > 0, "feature"].tolist()
    values: dict[str, list[float]] = {}
    done = 0
    for feature in live[:: max(len(live) // (2 * wanted), 1)]:
        drawn = sampler.sample(feature, VALIDATE)
        naive = (naive_labels(labeler, split, [feature])[feature] or "").split()
        if drawn.problem is not None or len(naive) < max(COUNTS):
            continue
        windows = _Windows(drawn.active, (*drawn.easy, *drawn.hard), known)
        best = best_lists(windows, vectors, words, known)
        elsewhere = best_lists(windows.half(0), vectors, words, known)
        for count in COUNTS:
            texts = [" ".join(naive[:count]), best[count]]
            of_naive, of_best = windows.auroc(label_vectors(texts, known)).tolist()
            (other,) = windows.half(1).auroc(label_vectors([elsewhere[count]], known)).tolist()
            for name, value in (
                ("naive", of_naive),
                ("oracle", of_best),
                ("oracle_elsewhere", other),
            ):
                values.setdefault(f"{name}_{count}", []).append(value)
        done += 1
        if done == wanted:
            break
    note = f"median AUROC on validate, {done} features, {len(words)} words"
    rows = [Row(name, float(np.median(found)), note=note) for name, found in sorted(values.items())]
    return publish("label_ceiling", rows)


if __name__ == "__main__":
    raise SystemExit(main())
