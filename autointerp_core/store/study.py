"""Reading a study: one extraction result on disk.

Layout of a study folder (written by :mod:`autointerp_core.extraction`, read only here)::

    study.json                  what this study is (identity), counts, health, versions
    run.json                    times, host and attempts: the only file that differs between runs
    tokens/                     raw little-endian arrays, memory-mapped
        ids.bin      u32[T]     token ids, all sequences end to end
        ends.bin     i64[T]     byte offset in text.bin where each token's text ends
        flags.bin    u8[T]      bit 0: special token; bit 1: goes on with the character before
        counted.bin  u8[T]      1 where a position counts for examples and statistics
        sequences.bin i64[S+1]  first token of each sequence
        owners.bin   i64[S]     document of each sequence
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

A firing's token index is relative to its shard's first token. Windows and their
values are cut from the firings when asked for, so any width is served without a model.

This module imports neither torch nor streamlit.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import safe_open

from autointerp_core.errors import BadInput, StudyError
from autointerp_core.store.feature_shards import FloatArray, Pass
from autointerp_core.store.records import (
    Example,
    FeatureStats,
    HealthWarning,
    Histogram,
    TokenLogit,
)
from autointerp_core.store.tokenstore import CONTINUES, SPECIAL, IntArray, TokenStore

__all__ = [
    "AFTER",
    "BEFORE",
    "CONTINUES",
    "GROUPS",
    "SCHEMA",
    "SPECIAL",
    "Example",
    "FeatureStats",
    "HealthWarning",
    "Histogram",
    "Pass",
    "Study",
    "StudyInfo",
    "TokenLogit",
    "TokenStore",
    "list_studies",
    "own_model",
    "read_info",
]

SCHEMA = 1
GROUPS = ("top", "quantile_1", "quantile_2", "quantile_3", "quantile_4")
"""Example groups; ``quantile_1`` holds the strongest quarter of the peaks."""
BEFORE, AFTER = 16, 15
"""Tokens shown before and after a peak unless asked otherwise."""

_FIRINGS_AT_ONCE = 500_000
_DRAWS = 20
"""Random positions looked at for each silent window wanted."""


@dataclass(frozen=True)
class StudyInfo:
    """What ``study.json`` says. ``raw`` is the whole of it."""

    id: str
    model_name: str
    sae_source: str
    sae_fingerprint: str
    hook: str
    d_sae: int
    dataset_name: str
    column: str
    n_documents: int
    n_sequences: int
    n_tokens: int
    n_counted: int
    context_size: int
    complete: bool
    warnings: tuple[HealthWarning, ...]
    raw: dict[str, Any]


def read_info(folder: Path) -> StudyInfo:
    """Read ``study.json`` alone.

    Raises:
        StudyError: it is absent, damaged, or from a newer version.
    """
    path = folder / "study.json"
    try:
        raw = json.loads(path.read_bytes())
        schema = raw["schema"]
        if schema > SCHEMA:
            raise StudyError(
                f"study {folder.name} was written by a newer version (format {schema}, this one "
                f"reads up to {SCHEMA}); update Autointerp Explorer"
            )
        counts = raw["counts"]
        return StudyInfo(
            id=raw["id"],
            model_name=raw["model"]["name"],
            sae_source=raw["sae"]["source"],
            sae_fingerprint=raw["sae"]["fingerprint"],
            hook=raw["hook"],
            d_sae=raw["sae"]["d_sae"],
            dataset_name=raw["dataset"]["name"],
            column=raw["dataset"]["column"],
            n_documents=counts["documents"],
            n_sequences=counts["sequences"],
            n_tokens=counts["tokens"],
            n_counted=counts["counted"],
            context_size=raw["tokenisation"]["context_size"],
            complete=bool(raw["passes"]),
            warnings=tuple(
                HealthWarning(w["code"], w["message"]) for w in raw["health"]["warnings"]
            ),
            raw=raw,
        )
    except FileNotFoundError as error:
        raise StudyError(f"no study at {folder}: study.json is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"study {folder.name} is damaged: study.json cannot be read "
            f"({type(error).__name__}: {error}); delete the study and extract it again"
        ) from error


class Study:
    """One study, opened for reading. Cheap to open; arrays are memory-mapped on first use."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.info = read_info(folder)
        try:
            self.tokens = TokenStore(folder / "tokens")
            self.passes = [
                Pass(folder / "passes" / entry["name"]) for entry in self.info.raw["passes"]
            ]
        except (OSError, ValueError) as error:
            raise StudyError(
                f"study {folder.name} is damaged: {error}; delete it and extract it again"
            ) from error

    @property
    def id(self) -> str:
        return self.info.id

    @cached_property
    def features(self) -> NDArray[np.int32]:
        """Sorted indices of every feature stored."""
        stored = [p.features for p in self.passes]
        return np.sort(np.concatenate(stored)) if stored else np.zeros(0, dtype=np.int32)

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
        found, row = self._locate(feature)
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
        found, row = self._locate(feature)
        return next(self._examples(found, row, row + 1, group, limit, before, after))[1]

    def iter_examples(
        self, features: Sequence[int], group: str = "top", *, limit: int | None = None
    ) -> Iterator[tuple[int, list[Example]]]:
        """Examples of many features, in feature order.

        Neighbouring features are read together, about half a million firings at a time.
        """
        wanted = np.unique(np.asarray(features, dtype=np.int64))
        for feature in wanted[~np.isin(wanted, self.features)]:
            self._locate(int(feature))  # raises
        streams = [self._runs(found, wanted, group, limit) for found in self.passes]
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
            yield from self._examples(
                found, int(run[0]), int(run[-1]) + 1, group, limit, BEFORE, AFTER
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
        found, row = self._locate(feature)
        _, fired, _ = found.firings(row, row + 1)
        if limit <= 0 or not self.tokens.n_tokens:
            return []
        generator = np.random.default_rng([seed, feature])
        picks = self._draw(generator, limit * _DRAWS, documents)
        picks = picks[np.asarray(self.tokens.counted[picks]) > 0]
        start, stop = self.tokens.windows(picks, before, after)
        silent = np.searchsorted(fired, start) == np.searchsorted(fired, stop)
        picks, start, stop = picks[silent], start[silent], stop[silent]
        _, first = np.unique(self.tokens.sequence_of(picks), return_index=True)
        keep = np.sort(first)[:limit]
        picks, start, stop = picks[keep], start[keep], stop[keep]
        nothing = np.zeros(int((stop - start).sum()), dtype=np.float32)
        windows = _Windows("silent", picks, np.zeros(len(picks), np.float32), start, stop, nothing)
        return self._build(windows, np.full(len(picks), feature, dtype=np.int32))

    def _draw(
        self, generator: np.random.Generator, n: int, documents: Sequence[int] | None
    ) -> IntArray:
        """``n`` random token indices, in the given documents or anywhere."""
        if documents is None:
            return generator.integers(0, self.tokens.n_tokens, n)
        spans = []
        for document in documents:
            sequences = self.tokens.document_sequences(int(document))
            low, high = self.tokens.sequences[[sequences.start, sequences.stop]]
            spans.append(np.arange(low, high))
        inside = np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)
        return generator.permutation(inside)[:n]

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
        found, row = self._locate(feature)
        _, fired, activation = found.firings(row, row + 1)
        values = np.zeros(high - low, dtype=np.float32)
        inside = slice(*np.searchsorted(fired, [low, high]))
        values[fired[inside] - low] = activation[inside]
        peak = int(np.abs(values).argmax())
        windows = _Windows(
            "sequence",
            np.array([low + peak]),
            values[peak : peak + 1],
            np.array([low]),
            np.array([high]),
            values,
        )
        return self._build(windows, np.array([feature], dtype=np.int32))[0]

    def activations(self, feature: int) -> FloatArray:
        """Activations of every counted firing, in token order."""
        found, row = self._locate(feature)
        _, fired, activation = found.firings(row, row + 1)
        return activation[self.tokens.counted[fired] > 0]

    def sequence_peaks(self, feature: int) -> tuple[IntArray, FloatArray]:
        """Token index and activation of the counted peak of every sequence it fires in.

        Strongest first; of equals the earlier one.
        """
        found, row = self._locate(feature)
        _, token, activation = found.firings(row, row + 1)
        counted = self.tokens.counted[token] > 0
        token, activation = token[counted], activation[counted]
        sequence = self.tokens.sequence_of(token)
        strength = np.abs(activation)  # of a signed SAE a peak may be below zero
        order = np.lexsort((token, -strength, sequence))
        first = order[np.unique(sequence[order], return_index=True)[1]]
        best = first[np.lexsort((token[first], -strength[first]))]
        return token[best], activation[best]

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
        found, row = self._locate(feature)
        _, fired, activation = found.firings(row, row + 1)
        token = np.asarray(token, dtype=np.int64)
        start, stop = self.tokens.windows(token, before, after)
        length = stop - start
        offset = np.cumsum(length) - length
        cell = np.arange(length.sum()) - np.repeat(offset, length) + np.repeat(start, length)
        values = _at(fired, activation, cell)
        windows = _Windows(group, token, _at(fired, activation, token), start, stop, values)
        return self._build(windows, np.full(len(token), feature, dtype=np.int32))

    def histogram(self, feature: int, bins: int = 40) -> Histogram:
        values = self.activations(feature)
        low = min(float(values.min()), 0.0) if len(values) else 0.0
        top = max(float(values.max()), 0.0) if len(values) else 1.0
        counts, edges = np.histogram(values, bins=bins, range=(low, top))
        return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))

    def logits(self, feature: int) -> tuple[list[TokenLogit], list[TokenLogit]]:
        """Tokens whose logit the decoder direction raises and lowers most, strongest first.

        Empty lists where logits were not computed.
        """
        found, row = self._locate(feature)
        path = found.folder / "logits.safetensors"
        if not path.exists():
            return [], []
        with safe_open(path, framework="np") as handle:
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
        return halves[0], halves[1]

    def _locate(self, feature: int) -> tuple[Pass, int]:
        for found in self.passes:
            row = int(found.rows([feature])[0])
            if row >= 0:
                return found, row
        raise BadInput(
            f"feature {feature} is not in study {self.id} ({len(self.features)} of "
            f"{self.info.d_sae} features extracted); extract it first"
        )

    def _examples(
        self,
        found: Pass,
        first: int,
        last: int,
        group: str,
        limit: int | None,
        before: int,
        after: int,
    ) -> Iterator[tuple[int, list[Example]]]:
        """Examples of rows ``[first, last)``; all window values come from one lookup."""
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
        start, stop = self.tokens.windows(token, before, after)
        length = stop - start
        offset = np.concatenate([[0], np.cumsum(length)])
        row, fired, value = found.firings(first, last)
        total = self.tokens.n_tokens
        # Firings and window cells of all rows, both keyed by (row, token).
        cell = np.arange(offset[-1]) - np.repeat(offset[:-1], length) + np.repeat(start, length)
        values = _at(row * total + fired, value, np.repeat(owner, length) * total + cell)
        windows = _Windows(group, token, activation, start, stop, values)
        examples = self._build(windows, found.features[owner])
        edges = np.searchsorted(owner, np.arange(first, last + 1)).tolist()
        for index, r in enumerate(range(first, last)):
            yield int(found.features[r]), examples[edges[index] : edges[index + 1]]

    def _build(self, windows: _Windows, features: NDArray[np.int32]) -> list[Example]:
        """Example records; everything that can be looked up for all at once is."""
        tokens, start, stop = self.tokens, windows.start, windows.stop
        if not len(start):
            return []
        sequence = tokens.sequence_of(windows.token)
        low = tokens.sequences[sequence]
        texts = tokens.texts(start, stop)
        values = windows.values.tolist()
        ends = np.cumsum(stop - start).tolist()
        position = (windows.token - low).tolist()
        peak = (windows.token - start).tolist()
        offset = (start - low).tolist()
        activation, owner = windows.activation.tolist(), tokens.owners[sequence].tolist()
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
            )
            for i in range(len(index))
        ]


def _at(key: IntArray, value: FloatArray, query: IntArray) -> FloatArray:
    """The value whose (ascending) key is asked for; 0 where there is none."""
    out = np.zeros(len(query), dtype=np.float32)
    if len(key):
        at = np.minimum(np.searchsorted(key, query), len(key) - 1)
        hit = key[at] == query
        out[hit] = value[at[hit]]
    return out


@dataclass(frozen=True)
class _Windows:
    """Windows of one group; ``values`` holds all their activations end to end."""

    group: str
    token: IntArray
    activation: FloatArray
    start: IntArray
    stop: IntArray
    values: FloatArray


def own_model(study: Study) -> str:
    """What to load to get the model the study was made with."""
    model = study.info.raw["model"]
    return str(model.get("path") or model["name"])


def list_studies(folder: Path) -> tuple[list[StudyInfo], list[StudyError]]:
    """Studies under ``folder``, and an error for each sub-folder that cannot be read."""
    studies, errors = [], []
    for child in sorted(folder.glob("*/")) if folder.is_dir() else []:
        if child.name.startswith("."):
            continue
        try:
            info = read_info(child)
        except StudyError as error:
            errors.append(error)
            continue
        if info.complete:
            studies.append(info)
    return studies, errors
