"""Reading a study: one extraction result on disk.

Layout of a study folder (written by :mod:`autointerp_core.extraction`, read only here)::

    study.json                  what this study is (identity), counts, health, versions
    input_scores.json           scores of features that somebody brought along, if any
    map.safetensors             a place in the plane for each feature, if a map was made
    matches/<study>.safetensors which feature of another study's SAE is which, if compared
    run.json                    times, host and attempts: the only file that differs between runs
    tokens/                     raw little-endian arrays, memory-mapped
        ids.bin      u32[T]     token ids, all sequences end to end
        ends.bin     i64[T]     byte offset in text.bin where each token's text ends
        flags.bin    u8[T]      bit 0: special token; bit 1: goes on with the character before;
                                bit 2: outside the messages that were asked for
        counted.bin  u8[T]      1 where a position counts for examples and statistics
        sequences.bin i64[S+1]  first token of each sequence
        owners.bin   i64[S]     document of each sequence (of a packed one: its first)
        starts.bin   i64[S]     byte offset where each sequence's text starts
        documents.bin i64[D+1]  byte offset of each document in text.bin
        text.bin                the documents, UTF-8, end to end
        vocab.json              text of every token id, for logits
    passes/000/                 features extracted together; later passes add missing features
        features.npy            i32[F] sorted feature indices
        shards/00000.safetensors  indptr i64[F+1], token u32, activation f32, norm f32
        peaks.safetensors       indptr i64[F+1], token i64, activation f32, group u8
        features.parquet        a row a feature: exact statistics
        logits.safetensors      ids and values of the top and bottom logits
        neighbours.safetensors  features of the SAE whose decoder directions are most alike

A firing's token index is relative to its shard's first token. Windows and their
values are cut from the firings when asked for, so any width is served without a model.

This module imports neither torch nor streamlit.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import safe_open

from autointerp_core.errors import BadInput, StudyError
from autointerp_core.store.example_windows import (
    GROUPS,
    Peaks,
    Windows,
    around,
    build_examples,
    draw_tokens,
    examples_of_rows,
)
from autointerp_core.store.feature_shards import Firings, FloatArray, Pass, read_features
from autointerp_core.store.feature_summary import AFTER, BEFORE
from autointerp_core.store.input_scores import InputScores
from autointerp_core.store.kept_feature import KeptFeature
from autointerp_core.store.records import (
    Example,
    FeatureStats,
    HealthWarning,
    Histogram,
    LogitSides,
    TokenLogit,
)
from autointerp_core.store.study_record import PassRecord, StudyRecord, read_record
from autointerp_core.store.tokenstore import CONTINUES, SPECIAL, IntArray, TokenStore

__all__ = [
    "AFTER",
    "BEFORE",
    "CONTINUES",
    "GROUPS",
    "SPECIAL",
    "Example",
    "FeatureStats",
    "HealthWarning",
    "Histogram",
    "Pass",
    "Study",
    "TokenLogit",
    "TokenStore",
    "own_model",
]

LOGITS_FILE = "logits.safetensors"
_OPENED = 64
"""Kept features that stay worked out."""
_FIRINGS_AT_ONCE = 500_000
_DRAWS = 20
"""Random positions looked at for each silent window wanted."""


class Located(NamedTuple):
    """Where a feature is stored."""

    found: Pass
    row: int


class Study:
    """One study, opened for reading. Cheap to open; arrays are memory-mapped on first use."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._opened: dict[int, KeptFeature] = {}
        self._opening = threading.Lock()
        self._input_scores = InputScores(folder)
        self.info: StudyRecord = read_record(folder)
        try:
            self.tokens = TokenStore(folder / "tokens")
            self.passes = [open_pass(folder, entry) for entry in self.info.passes]
            self._kept_features = [
                (folder / "passes" / entry.name, read_features(folder / "passes" / entry.name))
                for entry in self.info.kept or ()
            ]
        except (OSError, ValueError) as error:
            raise StudyError(
                f"study {folder.name} is damaged: {error}; delete it and extract it again"
            ) from error

    @property
    def id(self) -> str:
        return self.info.id

    def input_scores(self) -> Mapping[int, float]:
        """Scores that somebody brought along, by feature, as they are now.

        Raises:
            StudyError: their file is damaged.
        """
        return self._input_scores.now()

    @cached_property
    def features(self) -> NDArray[np.int32]:
        """Sorted indices of every feature stored."""
        stored = [p.features for p in self.passes]
        return np.sort(np.concatenate(stored)) if stored else np.zeros(0, dtype=np.int32)

    @cached_property
    def kept(self) -> NDArray[np.int32]:
        """Sorted indices of features that are not stored, but whose firings are kept.

        Whatever is asked of one feature is answered for them, too, without a model.
        """
        found = [features for _, features in self._kept_features]
        kept = np.concatenate(found) if found else np.zeros(0, dtype=np.int32)
        return np.setdiff1d(kept, self.features)

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a feature, sorted by feature.

        Columns: feature, fired, density, num_examples, max, mean, q25, q50, q75,
        top_tokens (list of the most frequent peak tokens of the top examples).
        """
        frames = [p.table for p in self.passes]
        if not frames:
            return pd.DataFrame({"feature": np.zeros(0, dtype=np.int64)})
        return pd.concat(frames).sort_values("feature").reset_index(drop=True)

    def stats(self, feature: int) -> FeatureStats:
        found, row = self.locate(feature)
        line = found.table.iloc[row]
        return FeatureStats(
            feature=feature,
            fired=int(line["fired"]),
            density=float(line["density"]),
            num_examples=int(line["num_examples"]),
            max=float(line["max"]),
            mean=float(line["mean"]),
            quantiles=(float(line["q25"]), float(line["q50"]), float(line["q75"])),
        )

    def examples(
        self,
        feature: int,
        group: str = "top",
        *,
        limit: int | None = None,
        before: int = BEFORE,
        after: int = AFTER,
    ) -> list[Example]:
        """Stored examples of one group, best first (``GROUPS`` lists the groups)."""
        found, row = self.locate(feature)
        rows = examples_of_rows(self.tokens, found, row, row + 1, group, limit, before, after)
        return next(rows)[1]

    def iter_examples(
        self, features: Sequence[int], group: str = "top", *, limit: int | None = None
    ) -> Iterator[tuple[int, list[Example]]]:
        """Examples of many features, in feature order.

        Neighbouring features are read together, about half a million firings at a time.
        """
        wanted = np.unique(np.asarray(features, dtype=np.int64))
        for feature in wanted[~np.isin(wanted, self.features)]:
            self.locate(int(feature))  # raises
        streams = [self._runs(found, wanted, group, limit) for found in self.passes]
        streams.append(
            (int(feature), self.examples(int(feature), group, limit=limit))
            for feature in wanted[np.isin(wanted, self.kept)]
        )
        yield from heapq.merge(*streams, key=lambda entry: entry[0])

    def _runs(
        self, found: Pass, wanted: IntArray, group: str, limit: int | None
    ) -> Iterator[tuple[int, list[Example]]]:
        """Examples of the wanted features that one pass holds, in feature order."""
        rows = found.rows(wanted)
        rows = rows[rows >= 0]
        if not len(rows):
            return
        budget = np.cumsum(found.counts()[rows]) // _FIRINGS_AT_ONCE
        cuts = np.flatnonzero((np.diff(rows) != 1) | (np.diff(budget) > 0)) + 1
        for run in np.split(rows, cuts):
            first, last = int(run[0]), int(run[-1]) + 1
            yield from examples_of_rows(
                self.tokens, found, first, last, group, limit, BEFORE, AFTER
            )

    def silent_examples(
        self,
        feature: int,
        limit: int,
        *,
        seed: int = 0,
        documents: Sequence[int] | None = None,
        before: int = BEFORE,
        after: int = AFTER,
    ) -> list[Example]:
        """Windows in which the feature does not fire at all; same seed, same windows.

        ``documents`` restricts them (say, to the documents of the activating examples).
        The "peak" is the window's middle token, with activation 0. Fewer than ``limit``
        come back where fewer can be found.
        """
        fired = self.firings(feature).token
        if limit <= 0 or not self.tokens.n_tokens:
            return []
        generator = np.random.default_rng([seed, feature])
        picks = draw_tokens(self.tokens, generator, limit * _DRAWS, documents)
        picks = picks[np.asarray(self.tokens.counted[picks]) > 0]
        start, stop = self.tokens.windows(picks, before, after)
        silent = np.searchsorted(fired, start) == np.searchsorted(fired, stop)
        picks, start, stop = picks[silent], start[silent], stop[silent]
        _, first = np.unique(self.tokens.sequence_of(picks), return_index=True)
        keep = np.sort(first)[:limit]
        picks, start, stop = picks[keep], start[keep], stop[keep]
        nothing = np.zeros(int((stop - start).sum()), dtype=np.float32)
        windows = Windows("silent", picks, np.zeros(len(picks), np.float32), start, stop, nothing)
        return build_examples(self.tokens, windows, np.full(len(picks), feature, dtype=np.int32))

    def sequence(self, feature: int, sequence: int) -> Example:
        """A whole sequence with the feature's activation at every token.

        Raises:
            BadInput: there is no such sequence, or it is empty.
        """
        if not 0 <= sequence < self.tokens.n_sequences:
            raise BadInput(f"no sequence {sequence}; this study has {self.tokens.n_sequences}")
        low, high = (int(x) for x in self.tokens.sequences[sequence : sequence + 2])
        if low == high:
            raise BadInput(f"sequence {sequence} is empty")
        _, fired, activation = self.firings(feature)
        values = np.zeros(high - low, dtype=np.float32)
        inside = slice(*np.searchsorted(fired, [low, high]))
        values[fired[inside] - low] = activation[inside]
        peak = int(np.abs(values).argmax())
        windows = Windows(
            "sequence",
            np.array([low + peak]),
            values[peak : peak + 1],
            np.array([low]),
            np.array([high]),
            values,
        )
        return build_examples(self.tokens, windows, np.array([feature], dtype=np.int32))[0]

    def locate(self, feature: int) -> Located:
        """The pass that holds a feature, and its row there; kept ones are worked out first.

        Raises:
            BadInput: the feature is not in the study.
        """
        for found in self.passes:
            row = int(found.rows([feature])[0])
            if row >= 0:
                return Located(found, row)
        kept = self._kept_feature(feature)
        if kept is not None:
            return Located(kept, 0)
        raise BadInput(
            f"feature {feature} is not in study {self.id} ({len(self.features)} of "
            f"{self.info.d_sae} features extracted); extract it first"
        )

    def _kept_feature(self, feature: int) -> KeptFeature | None:
        with self._opening:  # several sessions read one study
            if feature in self._opened:
                return self._opened[feature]
            for folder, features in self._kept_features:
                if np.isin(feature, features):
                    shown = n_examples(self.info)
                    found = KeptFeature(folder, feature, self.tokens, self.info.n_counted, shown)
                    if len(self._opened) >= _OPENED:
                        self._opened.pop(next(iter(self._opened)))
                    self._opened[feature] = found
                    return found
        return None

    def firings(self, feature: int) -> Firings:
        """Every firing of a feature in token order, masked positions included."""
        found, row = self.locate(feature)
        return found.firings(row, row + 1)

    def activations(self, feature: int) -> FloatArray:
        """Activations of every counted firing, in token order."""
        _, fired, activation = self.firings(feature)
        return activation[self.tokens.counted[fired] > 0]

    def sequence_peaks(self, feature: int) -> Peaks:
        """The counted peak of every sequence it fires in.

        Strongest first; of equals the earlier one.
        """
        _, token, activation = self.firings(feature)
        counted = self.tokens.counted[token] > 0
        token, activation = token[counted], activation[counted]
        best = self.tokens.sequence_peaks(token, activation)
        return Peaks(token[best], activation[best])

    def windows_at(
        self,
        feature: int,
        token: IntArray,
        group: str = "window",
        *,
        before: int = BEFORE,
        after: int = AFTER,
    ) -> list[Example]:
        """Windows around any token indices, with the feature's activations in them."""
        _, fired, activation = self.firings(feature)
        windows = around(self.tokens, group, token, fired, activation, before, after)
        return build_examples(self.tokens, windows, np.full(len(token), feature, dtype=np.int32))

    def histogram(self, feature: int, bins: int = 40) -> Histogram:
        values = self.activations(feature)
        low = min(float(values.min()), 0.0) if len(values) else 0.0
        top = max(float(values.max()), 0.0) if len(values) else 1.0
        counts, edges = np.histogram(values, bins=bins, range=(low, top))
        return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))

    def logits(self, feature: int) -> LogitSides:
        """Tokens whose logit the decoder direction raises and lowers most, strongest first.

        Empty lists where logits were not computed.
        """
        found, row = self.locate(feature)
        place = found.beside(LOGITS_FILE, row)
        if place is None:
            return LogitSides([], [])
        folder, row = place
        with safe_open(folder / LOGITS_FILE, framework="np") as handle:
            halves = []
            for side in ("top", "bottom"):
                ids = handle.get_slice(f"{side}_ids")[row : row + 1][0]
                values = handle.get_slice(f"{side}_values")[row : row + 1][0]
                halves.append(
                    [
                        TokenLogit(int(i), self.tokens.vocab[int(i)], float(v))
                        for i, v in zip(ids, values, strict=True)
                    ]
                )
        return LogitSides(*halves)


def open_pass(study_folder: Path, entry: PassRecord) -> Pass:
    """A pass as a study's record has it."""
    folder = study_folder / "passes"
    source = None if entry.shards_of is None else folder / entry.shards_of
    return Pass(folder / entry.name, source)


def n_examples(info: StudyRecord) -> int:
    """Top examples a feature that a study's passes have."""
    return max((entry.n_examples or 0 for entry in info.passes), default=0) or 20


def own_model(study: Study) -> str:
    """What to load to get the model the study was made with."""
    model = study.info.model
    return model.path or model.name
