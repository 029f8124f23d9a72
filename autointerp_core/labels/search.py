"""Search labels: a label from counting alone, without a language model.

What a feature fires on is compared with everything it does not fire on. Each candidate
description is a test that any word of the corpus passes or fails (is one of these words;
follows this word; ends in "-ing"; is a year), so its recall (share of the feature's
activation it explains) and precision (how often the feature fires where the test holds)
can be counted, and the best F-score wins. Context words come from the windows around the
peaks, against the same documents' other text and the whole corpus.

No list of topics or stop words: a frequent word explains nothing because it is frequent
everywhere. The same study gives the same labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.labels.clean import limit_words
from autointerp_core.labels.units import CLASSES, CorpusUnits, mark_name
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.study import Pass, Study

METHOD = "search-v1"
MAX_WORDS = 9
DEAD = "never fires in this study"

STRONGEST = 600
"""Firings looked at for what a feature means; the weak tail of a feature is mostly noise."""
WINDOWS = 80
BEFORE, AFTER = 20, 10
"""Units around a peak that count as its context; the model has read only those before it."""
NEARBY = 400
"""Units around a peak from which "the same document's other text" is taken."""
BLOCK = 128
"""Features whose firings are read together."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SearchLabel:
    """A search label, or why there is none. ``evidence`` is plain JSON."""

    feature: int
    text: str | None
    evidence: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class _Candidate:
    """A description with its counts over the feature's firings and over the corpus."""

    kind: str
    text: str
    recall: float
    precision: float
    keys: tuple[int, ...] = ()

    @property
    def score(self) -> float:
        total = self.recall + self.precision
        return 2 * self.recall * self.precision / total if total else 0.0


@dataclass(frozen=True)
class _Firings:
    """Firings of one feature by unit.

    ``unit`` ascending; ``weight`` sums to 1 over ``strong``, the ones that define the
    feature; ``every`` are all units it fires in, weak ones too.
    """

    every: Ints
    unit: Ints
    weight: Floats
    activation: Floats
    token: Ints
    token_weight: Floats


class SearchLabeler:
    """Makes search labels for the features of one study.

    Args:
        study: the study; its texts are read once, on construction.
        documents: use only these documents (so that the others can test the labels).
    """

    def __init__(self, study: Study, documents: Sequence[int] | None = None):
        self.study = study
        self.units = CorpusUnits(study.tokens)
        units, tokens = self.units, study.tokens
        allowed = np.ones(len(tokens.documents) - 1, dtype=np.bool_)
        if documents is not None:
            allowed[:] = False
            allowed[np.asarray(documents, dtype=np.int64)] = True
        owner = np.repeat(tokens.owners, np.diff(tokens.sequences))
        self._usable = (np.asarray(tokens.counted) > 0) & (units.token_unit >= 0)
        self._counted = np.asarray(tokens.counted) > 0
        if documents is not None:
            self._usable &= allowed[owner]
            self._counted &= allowed[owner]
        # Only units the model was asked about count as places where a feature was silent.
        seen = np.unique(units.token_unit[self._usable])
        self._n = max(len(seen), 1)
        self._in = np.zeros(len(units), dtype=np.bool_)
        self._in[seen] = True
        size = len(units.keys)
        self._size = max(size, 1)
        self._key_count = np.bincount(units.key[seen], minlength=size)
        # Context words are compared with all text of the documents, read or not.
        whole = units.key if documents is None else units.key[allowed[units.document]]
        self._rate = np.bincount(whole, minlength=size) / max(len(whole), 1)
        kinds = [unit.kind == "bare" for unit in units.surfaces]
        self._bare = np.zeros(self._size, dtype=np.bool_)
        self._bare[units.key_of_surface[np.asarray(kinds, dtype=np.bool_)]] = True
        self._where = np.argsort(units.key, kind="stable")
        self._where_bounds = np.searchsorted(units.key[self._where], np.arange(size + 1))
        self._previous = units.previous_key
        self._previous_count = np.bincount(self._previous[seen] + 1, minlength=size + 1)
        self._class_count = units.classes[:, seen].sum(axis=1)
        self._token_count = np.bincount(
            np.asarray(tokens.ids)[self._usable].astype(np.int64), minlength=1
        )
        self._ends, self._end_count = self._affixes(seen, last=True)
        self._starts, self._start_count = self._affixes(seen, last=False)
        self._document_bounds = np.searchsorted(
            units.document, np.arange(len(tokens.documents), dtype=np.int64)
        )

    # -- affixes -----------------------------------------------------------------------

    def _affixes(self, seen: Ints, *, last: bool) -> tuple[list[Ints], list[Ints]]:
        """Per length 2–4: affix id of every key (-1: none), and the corpus count of each id."""
        words = {u.text.casefold() for u in self.units.surfaces if u.kind == "word"}
        self._affix_text: dict[tuple[bool, int], list[str]] = getattr(self, "_affix_text", {})
        ids, counts = [], []
        for length in (2, 3, 4):
            known: dict[str, int] = {}
            column = np.full(self._size, -1, dtype=np.int64)
            for index, key in enumerate(self.units.keys):
                if len(key) >= length + 2 and key in words:
                    affix = key[-length:] if last else key[:length]
                    column[index] = known.setdefault(affix, len(known))
            self._affix_text[last, length] = list(known)
            ids.append(column)
            counts.append(np.bincount(column[self.units.key[seen]] + 1, minlength=len(known) + 1))
        return ids, counts

    # -- public ------------------------------------------------------------------------

    def label(self, feature: int) -> SearchLabel:
        """The label of one feature.

        Raises:
            BadInput: the feature is not in the study.
        """
        return next(self.label_all([feature]))

    def label_all(
        self, features: Sequence[int], progress: ProgressCallback = silent
    ) -> Iterator[SearchLabel]:
        """Labels in ascending feature order, made as they are asked for.

        Raises:
            BadInput: a feature is not in the study.
        """
        wanted = np.unique(np.asarray(features, dtype=np.int64))
        for feature in wanted[~np.isin(wanted, self.study.features)]:
            self.study.stats(int(feature))
        for done, (feature, token, activation) in enumerate(self._firings(wanted), start=1):
            yield self._label(feature, token, activation)
            if done % 32 == 0 or done == len(wanted):
                progress(Progress("search labels", done, len(wanted), "features"))

    def _firings(self, wanted: Ints) -> Iterator[tuple[int, Ints, Floats]]:
        """(feature, token indices, activations) of every firing that counts."""
        homes: dict[int, tuple[Pass, int]] = {}
        for found in self.study.passes:
            rows = found.rows(wanted)
            for feature, row in zip(wanted.tolist(), rows.tolist(), strict=True):
                if row >= 0:
                    homes.setdefault(feature, (found, row))
        at = 0
        while at < len(wanted):
            found, first = homes[int(wanted[at])]
            stop = at + 1
            while (
                stop < len(wanted)
                and stop - at < BLOCK
                and homes[int(wanted[stop])] == (found, first + stop - at)
            ):
                stop += 1
            row, token, activation = found.firings(first, first + stop - at)
            keep = self._counted[token]
            row, token, activation = row[keep], token[keep], activation[keep]
            edges = np.searchsorted(row, np.arange(first, first + stop - at + 1))
            for index in range(stop - at):
                part = slice(int(edges[index]), int(edges[index + 1]))
                yield int(wanted[at + index]), token[part], activation[part].astype(np.float64)
            at = stop

    # -- one feature -------------------------------------------------------------------

    def _label(self, feature: int, token: Ints, activation: Floats) -> SearchLabel:
        if not len(token):
            return SearchLabel(feature, None, {"firings": 0}, DEAD)
        usable = self._usable[token]
        if not usable.any():
            # Only white space between the words: a fact about the text, so it is the label.
            return SearchLabel(feature, "white space", {"firings": len(token)})
        fired = self._by_unit(token[usable], activation[usable])
        main = self._main(fired)
        topic, shares = self._context(fired, main.keys)
        text, parts = self._compose(fired, main, topic)
        evidence = {
            "method": METHOD,
            "firings": len(token),
            "kind": parts,
            "recall": round(main.recall, 3),
            "precision": round(main.precision, 3),
            "context": {self._key_text(k): round(s, 3) for k, s in zip(topic, shares, strict=True)},
        }
        return SearchLabel(feature, limit_words(text, MAX_WORDS), evidence)

    def _by_unit(self, token: Ints, activation: Floats) -> _Firings:
        unit = self.units.token_unit[token]
        # Tokens come in order, so the tokens of a unit stand together.
        first = np.flatnonzero(np.concatenate([[True], unit[1:] != unit[:-1]]))
        best = np.maximum.reduceat(activation, first)
        every = unit[first]
        chosen, weight = self._weigh(every, best)
        strong, token_weight = self._weigh(unit, activation)
        return _Firings(every, every[chosen], weight, best[chosen], token[strong], token_weight)

    def _weigh(self, unit: Ints, activation: Floats) -> tuple[Ints, Floats]:
        """Indices of the strongest firings in text order, and their weights (sum 1)."""
        order = np.argsort(-activation, kind="stable")[:STRONGEST]
        order = np.sort(order)
        weight = (activation[order] / activation.max()) ** 2
        document = self.units.document[unit[order]]
        _, inverse = np.unique(document, return_inverse=True)
        # One long document about one thing must not decide alone.
        weight = weight / np.sqrt(np.bincount(inverse, weight))[inverse]
        return order, weight / weight.sum()

    def _main(self, fired: _Firings) -> _Candidate:
        """The best description of the units fired on."""
        candidates = [*self._words(fired), *self._after(fired), *self._classes(fired)]
        candidates += self._phrases(fired) + self._pieces(fired)
        for last in (True, False):
            candidates += self._affix(fired, last)
        best = candidates[0]
        for candidate in candidates[1:]:
            # Words themselves say most; a pattern must explain clearly more.
            if candidate.score > best.score * (1.15 if best.kind == "words" else 1.0):
                best = candidate
        return best

    def _words(self, fired: _Firings) -> list[_Candidate]:
        key = self.units.key[fired.unit]
        found, inverse = np.unique(key, return_inverse=True)
        share = np.bincount(inverse, fired.weight)
        every = self.units.key[fired.every]
        at = np.searchsorted(found, every)
        known = (at < len(found)) & (found[np.minimum(at, len(found) - 1)] == every)
        hits = np.bincount(at[known], minlength=len(found))
        count = np.maximum(self._key_count[found], 1)
        gain = share * np.log(np.maximum(share / (count / self._n), 1.0))
        order = np.lexsort((found, -gain))[:24]
        keys: list[int] = []
        recall = matched = total = 0.0
        best: _Candidate | None = None
        for i in order.tolist():
            if len(keys) == 4 and not self._variant(int(found[i]), keys):
                continue
            if keys and share[i] < 0.04 and not self._variant(int(found[i]), keys):
                continue
            r = recall + share[i]
            m, t = matched + hits[i], total + count[i]
            tried = _Candidate("words", "", float(r), float(m / t), (*keys, int(found[i])))
            if best is None or tried.score > best.score * 1.02:
                best, recall, matched, total = tried, r, m, t
                keys.append(int(found[i]))
        return [best] if best is not None else []

    def _variant(self, key: int, keys: list[int]) -> bool:
        """True for another form (plural, tense) of a word already in the list."""
        text = self.units.keys[key]
        for other in (self.units.keys[k] for k in keys):
            shared = min(len(text), len(other))
            stem = max(shared - 1, 3)
            if shared >= 3 and abs(len(text) - len(other)) <= 2 and text[:stem] == other[:stem]:
                return True
        return False

    def _after(self, fired: _Firings) -> list[_Candidate]:
        """Follows one of up to three words."""
        previous = self._previous[fired.unit]
        found, inverse = np.unique(previous, return_inverse=True)
        share = np.bincount(inverse, fired.weight)
        every = self._previous[fired.every]
        at = np.minimum(np.searchsorted(found, every), len(found) - 1)
        hits = np.bincount(at[found[at] == every], minlength=len(found))
        keys: list[int] = []
        recall = matched = total = 0.0
        best: _Candidate | None = None
        for i in np.lexsort((found, -share))[:8].tolist():
            if found[i] < 0 or len(keys) == 3 or (keys and share[i] < 0.08):
                continue
            r, m = recall + share[i], matched + hits[i]
            t = total + max(int(self._previous_count[found[i] + 1]), 1)
            tried = _Candidate("after", "", float(r), float(m / t), (*keys, int(found[i])))
            if best is None or tried.score > best.score * 1.02:
                best, recall, matched, total = tried, r, m, t
                keys.append(int(found[i]))
        return [best] if best is not None and best.recall >= 0.4 else []

    def _phrases(self, fired: _Firings) -> list[_Candidate]:
        """The commonest peak word, or the commonest word before the peak, as a longer phrase."""
        out = []
        for kind, shift, keys in (
            ("phrase", 0, self.units.key[fired.unit]),
            ("after", 1, self._previous[fired.unit]),
        ):
            found, inverse = np.unique(keys, return_inverse=True)
            share = np.bincount(inverse, fired.weight)
            i = int(np.argmax(share))
            key = int(found[i])
            if key < 0 or share[i] < 0.5 or not self.units.keys[key][0].isalnum():
                continue
            chosen = keys == key
            at, weight = fired.unit[chosen] - shift, fired.weight[chosen]
            before, after = self._grow(at, weight, key, forward=not shift)
            if not before and not after:
                continue
            pattern = self._common(at, weight, before, after)
            matches = self._occurrences(key, pattern, before)
            hits = int(np.isin(matches + shift, fired.every).sum())
            recall = float(weight[np.isin(at, matches)].sum())
            text = f'"{self._join(at, weight, before, after)}"'
            out.append(
                _Candidate(
                    kind,
                    f"after {text}" if shift else text,
                    recall,
                    hits / max(len(matches), 1),
                    tuple(pattern),
                )
            )
        return out

    def _common(self, at: Ints, weight: Floats, before: int, after: int) -> list[int]:
        """Keys of the neighbours that :meth:`_grow` found, in text order."""
        out = []
        for distance in range(-before, after + 1):
            place = np.clip(at + distance, 0, len(self.units) - 1)
            found, inverse = np.unique(self.units.key[place], return_inverse=True)
            out.append(int(found[int(np.argmax(np.bincount(inverse, weight)))]))
        return out

    def _occurrences(self, key: int, pattern: list[int], before: int) -> Ints:
        """Units with this key, that the model was asked about, around which the pattern stands."""
        low, high = self._where_bounds[key : key + 2]
        at = self._where[low:high]
        at = at[self._in[at]]
        for index, wanted in enumerate(pattern):
            place = at + (index - before)
            inside = (place >= 0) & (place < len(self.units))
            at, place = at[inside], place[inside]
            same = self.units.document[place] == self.units.document[at]
            at = at[same & (self.units.key[place] == wanted)]
        return at

    def _classes(self, fired: _Firings) -> list[_Candidate]:
        share = self.units.classes[:, fired.unit] @ fired.weight
        hits = self.units.classes[:, fired.every].sum(axis=1)
        return [
            _Candidate("class", name, float(r), float(h / max(int(c), 1)))
            for name, r, h, c in zip(CLASSES, share, hits, self._class_count, strict=True)
            if r >= 0.6
        ]

    def _affix(self, fired: _Firings, last: bool) -> list[_Candidate]:
        out = []
        key, every = self.units.key[fired.unit], self.units.key[fired.every]
        columns = self._ends if last else self._starts
        counts = self._end_count if last else self._start_count
        distinct = len(np.unique(key))
        for length, column, count in zip((4, 3, 2), columns[::-1], counts[::-1], strict=True):
            affix = column[key]
            found, inverse = np.unique(affix, return_inverse=True)
            share = np.bincount(inverse, fired.weight)
            if found[0] < 0:
                share[0] = 0.0
            i = int(np.argmax(share))
            recall = float(share[i])
            if recall < 0.6 or distinct < 5:
                continue
            hits = int((column[every] == found[i]).sum())
            text = self._affix_text[last, length][int(found[i])]
            shown = f'words ending in "-{text}"' if last else f'words starting with "{text}-"'
            if len(np.unique(key[affix == found[i]])) >= 5:
                out.append(
                    _Candidate("affix", shown, recall, hits / max(int(count[found[i] + 1]), 1))
                )
        return out

    def _pieces(self, fired: _Firings) -> list[_Candidate]:
        """One sub-word token that occurs inside many different words."""
        ids = np.asarray(self.study.tokens.ids)[fired.token].astype(np.int64)
        found, inverse = np.unique(ids, return_inverse=True)
        share = np.bincount(inverse, fired.token_weight)
        i = int(np.argmax(share))
        where = fired.token[ids == found[i]]
        unit = self.units.token_unit[where]
        if share[i] < 0.4 or self.units.token_whole[where].mean() > 0.5:
            return []
        inside = self.units.key[unit]
        if np.bincount(np.unique(inside, return_inverse=True)[1]).max() > 0.5 * len(inside):
            return []
        ends = np.asarray(self.study.tokens.ends)
        piece = self.study.tokens.pieces(int(where[0]), int(where[0]) + 1)[0].strip()
        if not piece or not piece.isalnum():
            return []
        at_end = float((ends[where] >= self.units.stop[unit]).mean())
        at_start = float((ends[where] - self.units.start[unit] <= len(piece.encode())).mean())
        if at_end > 0.7:
            text = f'words ending in "-{piece}"'
        elif at_start > 0.7:
            text = f'words starting with "{piece}-"'
        else:
            text = f'words containing "{piece}"'
        count = max(int(self._token_count[found[i]]), 1)
        hits = min(len(where), count)
        return [_Candidate("piece", text, float(share[i]), hits / count)]

    # -- context -----------------------------------------------------------------------

    def _context(self, fired: _Firings, skip: Sequence[int]) -> tuple[list[int], list[float]]:
        """Keys that mark the windows around the peaks, best first, and their window shares."""
        order = self._spread(fired)
        peaks, strength = fired.unit[order], fired.activation[order] / fired.activation.max()
        document = self.units.document[peaks]
        low, high = self._document_bounds[document], self._document_bounds[document + 1]
        offset = np.arange(-BEFORE, AFTER + 1)
        cell = peaks[:, None] + offset[None, :]
        inside = (cell >= low[:, None]) & (cell < high[:, None])
        cells = cell[inside]
        window = np.broadcast_to(np.arange(len(peaks))[:, None], cell.shape)[inside]
        # What the model read just before the peak says more than what stands far off.
        near = np.where(offset <= 0, np.exp(offset / 12.0), 0.7 * np.exp(-offset / 6.0))
        near = np.broadcast_to(near[None, :], cell.shape)[inside]
        key = self.units.key[cells]
        pair = key * len(peaks) + window
        found, inverse = np.unique(pair, return_inverse=True)
        closeness = np.zeros(len(found))
        np.maximum.at(closeness, inverse, near)
        keys, windows = found // len(peaks), found % len(peaks)
        weight = strength[windows]
        distinct, group = np.unique(keys, return_inverse=True)
        total = strength.sum()
        share = np.bincount(group, weight) / (total + 1.0)
        drawn = np.bincount(group, weight * closeness) / (total + 1.0)
        support = np.bincount(group)
        documents = np.unique(document)
        from_documents = np.bincount(
            np.searchsorted(
                distinct,
                np.unique(keys * len(self._document_bounds) + document[windows])
                // len(self._document_bounds),
            ),
            minlength=len(distinct),
        )
        rate = self._background(peaks, low, high, cells)[distinct]
        expected = -np.expm1(-len(cells) / len(peaks) * rate)
        lift = np.log(np.maximum(share / np.maximum(expected, 1e-9), 1e-9))
        enough = (support >= (3 if len(peaks) >= 10 else 2)) & (
            from_documents >= min(2, len(documents))
        )
        enough &= (share >= 0.1) & (lift > 1.1)
        enough &= ~np.isin(distinct, np.asarray(list(skip), dtype=np.int64))
        value = np.where(enough, np.sqrt(share * drawn) * lift, -1.0)
        chosen: list[int] = []
        shares: list[float] = []
        best = float(value.max())
        for i in np.lexsort((distinct, -value)).tolist():
            k = int(distinct[i])
            if value[i] <= max(0.0, best * 0.35) or len(chosen) == 5:
                break
            if not self._speaks(k) or self._variant(k, [*chosen, *skip]):
                continue
            chosen.append(k)
            shares.append(float(share[i]))
        return chosen, shares

    def _spread(self, fired: _Firings) -> Ints:
        """The strongest peaks, at most four of one document while there are others."""
        order = np.argsort(-fired.activation, kind="stable")
        document = self.units.document[fired.unit[order]]
        by_document = np.argsort(document, kind="stable")
        sorted_documents = document[by_document]
        rank = np.empty(len(order), dtype=np.int64)
        rank[by_document] = np.arange(len(order)) - np.searchsorted(
            sorted_documents, sorted_documents
        )
        return order[np.argsort(rank // 4, kind="stable")][:WINDOWS]

    def _background(self, peaks: Ints, low: Ints, high: Ints, cells: Ints) -> Floats:
        """Rate of every key outside the windows: near by in the same documents, and everywhere."""
        first = np.maximum(peaks - NEARBY, low)
        last = np.minimum(peaks + NEARBY, high)
        # The stretches overlap where peaks share a document; each unit counts once.
        order = np.argsort(first, kind="stable")
        first, last = first[order], np.maximum.accumulate(last[order])
        first = np.maximum(first, np.concatenate([[0], last[:-1]]))
        length = np.maximum(last - first, 0)
        start = np.cumsum(length) - length
        area = np.arange(length.sum()) - np.repeat(start, length) + np.repeat(first, length)
        around = np.bincount(self.units.key[area], minlength=self._size)
        around = around - np.bincount(self.units.key[np.unique(cells)], minlength=self._size)
        local = np.maximum(around, 0) / max(len(area), 1)
        return 0.5 * local + 0.5 * self._rate + 0.25 / max(len(self.units), 1)

    def _speaks(self, key: int) -> bool:
        """Words and numbers describe a context; marks and line breaks do not."""
        text = self.units.keys[key]
        return text[0].isalpha() and (len(text) > 1 or not text.isascii())

    # -- words for it ------------------------------------------------------------------

    def _compose(self, fired: _Firings, main: _Candidate, topic: list[int]) -> tuple[str, str]:
        head = self._render(fired, main)
        said = head.casefold()
        context = [text for k in topic if (text := self._key_text(k)) not in said]
        weak = main.score < 0.12 or (main.recall < 0.3 and main.score < 0.3)
        if weak and context:
            if main.kind == "words" and main.recall >= 0.3:
                return f"{head} near {', '.join(context[:3])}", "words in context"
            return f"context of {', '.join(context)}", "context"
        if main.kind in ("class", "words") and main.precision < 0.6:
            follows = self._modifier(fired, main)
            if follows:
                return f"{head} after {follows}", f"{main.kind} after a word"
        room = MAX_WORDS - len(head.split()) - 1
        if main.precision < 0.5 and context and room > 0:
            return f"{head} near {', '.join(context[: min(room, 3)])}", f"{main.kind} in context"
        return head, main.kind

    def _modifier(self, fired: _Firings, main: _Candidate) -> str:
        """What stands before: one word, or a class of words; empty where it varies."""
        matched = self._matching(fired.unit, main)
        if matched.sum() < 3 or "first words" in main.text or "sentence start" in main.text:
            return ""
        weight = fired.weight[matched] / fired.weight[matched].sum()
        found, inverse = np.unique(self._previous[fired.unit[matched]], return_inverse=True)
        share = np.bincount(inverse, weight)
        i = int(np.argmax(share))
        rate = float(self._previous_count[found[i] + 1]) / self._n
        if found[i] >= 0 and share[i] >= 0.5 and share[i] > 5 * rate:
            return self._key_text(int(found[i]), quoted=True)
        before = fired.unit[matched] - 1
        inside = (before >= 0) & (self._previous[fired.unit[matched]] >= 0)
        classes = self.units.classes[:, np.maximum(before, 0)] * inside
        of_class = classes @ weight
        lift = of_class / np.maximum(self._class_count / self._n, 1e-9)
        for c in (0, 1, 2, 4, 6, 7):
            if of_class[c] >= 0.75 and lift[c] >= 3:
                return CLASSES[c]
        return ""

    def _matching(self, unit: Ints, main: _Candidate) -> NDArray[np.bool_]:
        if main.kind == "words":
            return np.isin(self.units.key[unit], np.asarray(main.keys, dtype=np.int64))
        if main.kind == "class":
            return self.units.classes[CLASSES.index(main.text), unit]
        return np.ones(len(unit), dtype=np.bool_)

    def _render(self, fired: _Firings, main: _Candidate) -> str:
        if main.kind == "after":
            return main.text or "after " + ", ".join(self._key_text(k, True) for k in main.keys)
        if main.kind != "words":
            return main.text
        shown: list[int] = []
        for key in main.keys:
            if not self._variant(key, shown):
                shown.append(key)
        if len(shown) == 1:
            return self._phrase(fired, shown[0], quoted=True)
        return ", ".join(self._phrase(fired, key, quoted=False) for key in shown)

    def _phrase(self, fired: _Firings, key: int, *, quoted: bool) -> str:
        """The word, with the neighbours it nearly always has where the feature fires on it."""
        at = fired.unit[self.units.key[fired.unit] == key]
        weight = fired.weight[self.units.key[fired.unit] == key]
        if not self.units.keys[key][0].isalnum():
            return self._key_text(key, quoted=True)
        # In a list the words themselves are the point, as long as they are words.
        alone = not quoted and not self._bare[key]
        before, after = (0, 0) if alone else self._grow(at, weight, key)
        text = self._join(at, weight, before, after)
        return f'"{text}"' if quoted else text

    def _grow(self, at: Ints, weight: Floats, key: int, *, forward: bool = True) -> tuple[int, int]:
        """Neighbours to the left and right shared by 70 % of the occurrences fired on.

        Between words with spaces a neighbour must also tell something: the feature picks its
        company out of the word's other uses, or the neighbour hardly ever stands elsewhere
        ("net" before "loss"). Characters of scripts without spaces always join.
        """
        if len(at) < 3:
            return 0, 0
        bare = self._bare[key]
        everywhere = self._where[self._where_bounds[key] : self._where_bounds[key + 1]]
        before = after = 0
        for step in (-1, 1) if forward else (-1,):
            for _ in range(2):
                distance = step * ((before if step < 0 else after) + 1)
                place = at + distance
                inside = (place >= 0) & (place < len(self.units))
                inside &= (
                    self.units.document[np.clip(place, 0, len(self.units) - 1)]
                    == (self.units.document[at])
                )
                if inside.sum() < 3:
                    break
                neighbour = self.units.key[place[inside]]
                found, inverse = np.unique(neighbour, return_inverse=True)
                share = np.bincount(inverse, weight[inside]) / weight.sum()
                i = int(np.argmax(share))
                near = int(found[i])
                if share[i] < 0.7 or not self.units.keys[near][0].isalnum():
                    break
                if bare != self._bare[near]:
                    break
                beside = everywhere + distance
                beside = beside[(beside >= 0) & (beside < len(self.units))]
                together = int((self.units.key[beside] == near).sum())
                usual = together / len(everywhere)
                own = together / (self._where_bounds[near + 1] - self._where_bounds[near])
                if not bare and share[i] < 1.4 * usual and own < 0.5:
                    break
                if step < 0:
                    before += 1
                else:
                    after += 1
        return before, after

    def _join(self, at: Ints, weight: Floats, before: int, after: int) -> str:
        """The commonest exact spelling of the phrase, from the text of the documents."""
        counted: dict[str, float] = {}
        for place, w in zip(at.tolist(), weight.tolist(), strict=True):
            low, high = place - before, place + after
            if low < 0 or high >= len(self.units):
                continue
            raw = self.study.tokens.text[self.units.start[low] : self.units.stop[high]]
            text = " ".join(raw.tobytes().decode("utf-8").split())
            counted[text] = counted.get(text, 0.0) + w
        return min(counted, key=lambda text: (-round(counted[text], 9), text))

    def _key_text(self, key: int, quoted: bool = False) -> str:
        text = self.units.keys[key]
        if not text[0].isalnum():
            return mark_name(text) if text not in ("'s", "’s") else '"\'s"'
        return f'"{text}"' if quoted else text
