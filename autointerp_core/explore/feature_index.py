"""All features of one study in memory, with their labels: what is filtered, sorted and paged.

Statistics are read once. Labels are followed: :meth:`FeatureIndex.refresh` asks the history
only for features that changed. A :class:`Snapshot` never changes, so one page run sees one
state even while other sessions refresh.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from autointerp_core.explore.arrow import contains, joined, ranks, read_tables
from autointerp_core.explore.label_columns import LABEL_COLUMNS, scores_of
from autointerp_core.explore.text_search import TextSearch
from autointerp_core.explore.topic_search import TopicSearch
from autointerp_core.explore.view import STATUSES, View
from autointerp_core.store import selections
from autointerp_core.store.history import LabelHistory, LabelState
from autointerp_core.store.score_values import by_rank
from autointerp_core.store.study import Study

_ORDERS_KEPT = 24
_MOST_ABOUT = 200
_LEAST_LIKENESS = 0.2
"""Of features that do not fire on a topic's words; in the demo 3 in 100 are so like a query."""
_EMPTY = LabelState(-1)
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One line of the features table."""

    feature: int
    state: LabelState
    density: float
    max: float
    mean: float
    fired: int
    num_examples: int
    top_tokens: tuple[str, ...]

    @property
    def dead(self) -> bool:
        return self.fired == 0


@dataclass(frozen=True)
class Snapshot:
    """The features of a study as they were at label event ``version``."""

    version: int
    features: Rows
    numbers: dict[str, NDArray[Any]]
    tokens: pa.ChunkedArray
    token_text: pa.StringArray
    states: dict[int, LabelState]
    labels: pa.StringArray
    label_objects: NDArray[np.object_]
    sources: NDArray[np.object_]
    status: NDArray[np.int8]
    flagged: Mask
    noted: Mask
    has_llm: Mask
    has_search: Mask
    scores: dict[str, NDArray[np.float64]]
    """By scorer, the current label's score on test documents; NaN where it has none."""
    agreement: NDArray[np.float64]
    search: TextSearch
    topics: TopicSearch
    _orders: OrderedDict[View, Rows] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self.features)

    def state(self, feature: int) -> LabelState:
        return self.states.get(feature) or LabelState(feature)

    def row(self, at: int) -> Row:
        feature = int(self.features[at])
        numbers = self.numbers
        return Row(
            feature=feature,
            state=self.state(feature),
            density=float(numbers["density"][at]),
            max=float(numbers["max"][at]),
            mean=float(numbers["mean"][at]),
            fired=int(numbers["fired"][at]),
            num_examples=int(numbers["num_examples"][at]),
            top_tokens=tuple(self.tokens[at].as_py() or ()),
        )

    def kept_row(self, study: Study, feature: int) -> Row:
        """The line of a feature that is not in the table, but whose firings the study keeps.

        Raises:
            BadInput: they are not kept.
        """
        found = study.locate(feature).found.table.iloc[0]
        return Row(
            feature=feature,
            state=self.state(feature),
            density=float(found["density"]),
            max=float(found["max"]),
            mean=float(found["mean"]),
            fired=int(found["fired"]),
            num_examples=int(found["num_examples"]),
            top_tokens=tuple(found["top_tokens"]),
        )

    def at(self, feature: int) -> int | None:
        """Row of a feature, None where the study does not hold it."""
        place = int(np.searchsorted(self.features, feature))
        found = place < len(self.features) and self.features[place] == feature
        return place if found else None

    def order(self, view: View) -> Rows:
        """Rows that pass the view's filter, in its order. Kept for the next time."""
        key = view.order_key()
        with self._lock:
            if key in self._orders:
                self._orders.move_to_end(key)
                return self._orders[key]
        if view.by_topic:
            rows = self._about(view)
            rows = rows if view.sort == "match" else self._sorted(np.sort(rows), view)
        else:
            rows = self._sorted(np.flatnonzero(self._mask(view)), view)
        with self._lock:
            self._orders[key] = rows
            while len(self._orders) > _ORDERS_KEPT:
                self._orders.popitem(last=False)
        return rows

    @cached_property
    def scorers(self) -> tuple[str, ...]:
        """Those that scored any current label, in the order in which they rank."""
        known = (name for name, values in self.scores.items() if not np.isnan(values).all())
        return tuple(by_rank(known))

    def ranking(self, by: str) -> str:
        """The scorer that ranks: the one asked for, else the first known; empty: none known."""
        return by if by in self.scorers else next(iter(self.scorers), "")

    def column(self, name: str, by: str = "") -> NDArray[Any]:
        """A numeric column by the name that filters and sorts know it by.

        ``score`` is that of the scorer ``by``, or of the one that ranks where it knows none.
        """
        if name == "feature":
            return self.features
        if name == "score":
            ranking = self.ranking(by)
            return self.scores[ranking] if ranking else np.full(len(self), np.nan)
        return self.numbers[name]

    def _mask(self, view: View) -> Mask:
        keep: Mask = np.ones(len(self), dtype=bool)
        if view.status:
            keep &= np.isin(self.status, [STATUSES.index(s) for s in view.status])
        if view.flagged is not None:
            keep &= self.flagged == view.flagged
        if view.dead is not None:
            keep &= (self.numbers["fired"] == 0) == view.dead
        for name in view.has:
            keep &= self._has(name)
        if view.among:
            chosen = selections.read(view.among)
            keep &= np.isin(self.features, [] if chosen is None else chosen)
        for name, (low, high) in view.ranges:
            values = self.column(name, view.by)
            keep &= (values >= low) & (values <= high)
        if view.q.strip() and not view.by_topic:
            keep &= self._found(view)
        return keep

    def _about(self, view: View) -> Rows:
        """Rows about the topic searched for that pass the other filters, best first."""
        found = self.topics.rank(view.q, self.features, self.label_objects.tolist(), _MOST_ABOUT)
        sure = (found.on_words > 0) | (found.likeness >= _LEAST_LIKENESS)
        about = found.features[sure]
        asked = view.q.strip()
        if asked.isdecimal() and len(asked) < 10 and self.at(int(asked)) is not None:
            about = np.concatenate([[int(asked)], about[about != int(asked)]])
        rows = np.searchsorted(self.features, about)
        return rows[self._mask(view)[rows]]

    def _has(self, name: str) -> Mask:
        if name == "llm":
            return self.has_llm
        if name == "search":
            return self.has_search
        if name == "note":
            return self.noted
        empty: Mask = ~np.asarray(pc.is_valid(self.labels))
        return empty

    def _found(self, view: View) -> Mask:
        if view.scope == "text":
            return self.search.features(view.q.strip(), self.features)
        keep: Mask = np.ones(len(self), dtype=bool)
        for term in view.q.split():
            hit: Mask = np.zeros(len(self), dtype=bool)
            if view.scope in ("all", "labels"):
                hit |= contains(self.labels, term)
            if view.scope in ("all", "tokens"):
                hit |= contains(self.token_text, term)
            if view.scope == "all" and term.isdecimal() and len(term) < 10:
                hit |= self.features == int(term)
            keep &= hit
        return keep

    def _sorted(self, rows: Rows, view: View) -> Rows:
        if view.sort in ("feature", "match"):
            return rows[::-1] if view.descending else rows
        if view.sort == "random":
            # The same shuffle for everybody, so that a link shows the same order.
            return rows[np.argsort(np.random.default_rng(0).permutation(len(self))[rows])]
        values = self._sort_values(view)[rows]
        if view.descending:
            values = -values
        # Ties and missing values (NaN last) come in feature order both ways.
        return rows[np.argsort(values, kind="stable")]

    def _sort_values(self, view: View) -> NDArray[np.float64]:
        sort = view.sort
        if sort == "label":
            return ranks(pc.utf8_lower(self.labels))
        if sort == "status":
            return self.status.astype(np.float64)
        if sort == "source":
            return ranks(pa.array(self.sources, pa.string()))
        if sort == "agreement":
            return self.agreement
        return np.asarray(self.column(sort, view.by), dtype=np.float64)


class FeatureIndex:
    """The current :class:`Snapshot` of a study, refreshed from the label history."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._sae = study.info.sae_fingerprint
        self._lock = threading.Lock()
        table = read_tables(study)
        names = ("fired", "density", "num_examples", "max", "mean")
        self._fixed: dict[str, Any] = {
            "features": table["feature"].to_numpy().astype(np.int64),
            "numbers": {
                **{name: table[name].to_numpy() for name in names},
                "input": np.full(len(table), np.nan),
            },
            "tokens": table["top_tokens"],
            "token_text": joined(table["top_tokens"]),
            "search": TextSearch(study),
            "topics": TopicSearch(study),
        }
        self._scores: Mapping[int, float] = {}
        self._snapshot: Snapshot | None = None

    def refresh(self, history: LabelHistory) -> Snapshot:
        """The snapshot at the newest label event, with the study's newest input scores."""
        with self._lock:
            before = self._snapshot
            version = history.last_event_id(self._sae)
            rescored = self._rescore(self._study.input_scores())
            if before is not None and before.version == version and not rescored:
                return before
            changed = None
            if before is not None:
                changed = history.changed_since(self._sae, before.version)
            states = history.states(self._sae, changed, self._study.id)
            self._snapshot = self._build(version, states, before)
            return self._snapshot

    def _rescore(self, scores: Mapping[int, float]) -> bool:
        """Put input scores into their column; whether anything changed."""
        if scores == self._scores:
            return False
        self._scores = scores
        values = np.full(len(self._fixed["features"]), np.nan)
        given = np.asarray(list(scores), dtype=np.int64)
        place = np.minimum(np.searchsorted(self._fixed["features"], given), len(values) - 1)
        known = self._fixed["features"][place] == given
        values[place[known]] = np.asarray(list(scores.values()))[known]
        self._fixed["numbers"] = {**self._fixed["numbers"], "input": values}
        return True

    def _build(
        self, version: int, states: dict[int, LabelState], before: Snapshot | None
    ) -> Snapshot:
        """A snapshot of ``states``; with ``before``, these are only the ones that changed."""
        features = self._fixed["features"]
        if before is None:
            at = np.arange(len(features))
            found = [states.get(feature, _EMPTY) for feature in features.tolist()]
        else:
            at = np.flatnonzero(np.isin(features, list(states)))
            found = [states[feature] for feature in features[at].tolist()]
            states = {**before.states, **states}
        columns: dict[str, Any] = {}
        for name, (kind, read) in LABEL_COLUMNS.items():
            old = getattr(before, name) if before is not None else np.empty(len(features), kind)
            columns[name] = old.copy()
            columns[name][at] = np.fromiter((read(s) for s in found), kind, len(found))
        scores = {} if before is None else {n: kept.copy() for n, kept in before.scores.items()}
        for values in scores.values():
            values[at] = np.nan
        for place, state in zip(at.tolist(), found, strict=True):
            for scorer, value in scores_of(state).items():
                if scorer not in scores:
                    scores[scorer] = np.full(len(features), np.nan)
                scores[scorer][place] = value
        return Snapshot(
            version=version,
            states=states,
            labels=pa.array(columns["label_objects"], pa.string()),
            scores=scores,
            **columns,
            **self._fixed,
        )
