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
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import safe_open

from autointerp_core.errors import BadInput, StudyError

SCHEMA = 1
SPECIAL, CONTINUES = 1, 2
GROUPS = ("top", "quantile_1", "quantile_2", "quantile_3", "quantile_4")
"""Example groups; ``quantile_1`` holds the strongest quarter of the peaks."""
BEFORE, AFTER = 16, 15
"""Tokens shown before and after a peak unless asked otherwise."""

_FIRINGS_AT_ONCE = 500_000

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Example:
    """A window of tokens around a peak, with the feature's activation at every token.

    ``"".join(tokens)`` is byte-exact source text. A character split over several
    tokens stands in the first of them, the others are ``""``.
    """

    feature: int
    group: str
    activation: float
    sequence_index: int
    token_position: int
    document_index: int
    start_position: int
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    values: tuple[float, ...]
    peak_index: int

    @property
    def text(self) -> str:
        return "".join(self.tokens)


@dataclass(frozen=True)
class FeatureStats:
    """Exact statistics over the counted tokens of a study.

    ``fired`` counts tokens, ``num_examples`` counts sequences; ``mean`` is over firings.
    """

    feature: int
    fired: int
    density: float
    num_examples: int
    max: float
    mean: float
    quantiles: tuple[float, float, float]
    """25 %, 50 % and 75 % quantiles of the activations over firings."""

    @property
    def dead(self) -> bool:
        return self.fired == 0


@dataclass(frozen=True)
class TokenLogit:
    token_id: int
    text: str
    logit: float


@dataclass(frozen=True)
class Histogram:
    """Counts of firings in equal-width bins; ``edges`` has one entry more than ``counts``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class HealthWarning:
    """A health warning: a short code and one sentence for a person."""

    code: str
    message: str


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


class TokenStore:
    """The tokens and texts of a study, memory-mapped."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ids = _map(folder / "ids.bin", np.uint32)
        self.ends = _map(folder / "ends.bin", np.int64)
        self.flags = _map(folder / "flags.bin", np.uint8)
        self.sequences = _map(folder / "sequences.bin", np.int64)
        self.owners = _map(folder / "owners.bin", np.int64)
        self.starts = _map(folder / "starts.bin", np.int64)
        self.documents = _map(folder / "documents.bin", np.int64)
        self.text = _map(folder / "text.bin", np.uint8)

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    @property
    def n_sequences(self) -> int:
        return len(self.owners)

    @cached_property
    def counted(self) -> NDArray[np.uint8]:
        return _map(self.folder / "counted.bin", np.uint8)

    @cached_property
    def vocab(self) -> list[str]:
        loaded: list[str] = json.loads((self.folder / "vocab.json").read_bytes())
        return loaded

    def document_text(self, document: int) -> str:
        start, stop = self.documents[document], self.documents[document + 1]
        return self.text[start:stop].tobytes().decode("utf-8")

    def document_sequences(self, document: int) -> range:
        """Sequences cut from one document, in order."""
        first = int(np.searchsorted(self.owners, document, "left"))
        return range(first, int(np.searchsorted(self.owners, document, "right")))

    def sequence_of(self, token: IntArray) -> IntArray:
        """Sequence that holds each token index. Empty sequences hold none."""
        return np.searchsorted(self.sequences, token, "right") - 1

    def windows(self, token: IntArray, before: int, after: int) -> tuple[IntArray, IntArray]:
        """First and one-past-last token of the window around each token.

        Clipped to the sequence, then widened so that no character is cut in two.
        """
        sequence = self.sequence_of(token)
        low, high = self.sequences[sequence], self.sequences[sequence + 1]
        start = np.maximum(token - before, low)
        stop = np.minimum(token + after + 1, high)
        # A character spans at most four bytes, so a few steps settle it.
        while True:
            grow = (start > low) & (self.flags[start] & CONTINUES > 0)
            if not grow.any():
                break
            start = start - grow
        while True:
            inside = np.minimum(stop, self.n_tokens - 1)
            grow = (stop < high) & (self.flags[inside] & CONTINUES > 0)
            if not grow.any():
                break
            stop = stop + grow
        return start, stop

    def pieces(self, start: int, stop: int) -> list[str]:
        """Text of each token in ``[start, stop)``, which must lie in one sequence."""
        sequence = int(self.sequence_of(np.asarray(start)))
        first = int(
            self.starts[sequence] if start == self.sequences[sequence] else self.ends[start - 1]
        )
        ends = self.ends[start:stop].tolist()
        raw = self.text[first : ends[-1] if ends else first].tobytes()
        out, previous = [], first
        for end in ends:
            out.append(raw[previous - first : end - first].decode("utf-8"))
            previous = end
        return out


class Pass:
    """Features extracted together: their firings (by shard) and what was made of them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.features: NDArray[np.int32] = np.load(folder / "features.npy", allow_pickle=False)
        self.shards = sorted((folder / "shards").glob("*.safetensors"))
        self._open: list[Any] | None = None

    def rows(self, features: Sequence[int] | NDArray[Any]) -> IntArray:
        """Row of each feature in this pass's arrays; -1 where it is not here."""
        wanted = np.asarray(features, dtype=np.int64)
        row = np.searchsorted(self.features, wanted)
        clipped = np.minimum(row, len(self.features) - 1)
        return np.where(self.features[clipped] == wanted, clipped, -1)

    def handles(self) -> list[Any]:
        if self._open is None:
            self._open = [safe_open(path, framework="np") for path in self.shards]
        return self._open

    def shard_offsets(self) -> list[int]:
        """First token of each shard."""
        return [int(handle.metadata()["first_token"]) for handle in self.handles()]

    def counts(self) -> IntArray:
        """Firings of each row over all shards, masked positions included."""
        total = np.zeros(len(self.features), dtype=np.int64)
        for handle in self.handles():
            total += np.diff(handle.get_tensor("indptr"))
        return total

    def firings(self, first: int, last: int) -> tuple[IntArray, IntArray, FloatArray]:
        """Firings of rows ``[first, last)``: (row, token index, activation), by row, then token."""
        rows, tokens, values = [], [], []
        for handle, offset in zip(self.handles(), self.shard_offsets(), strict=True):
            indptr = handle.get_slice("indptr")[first : last + 1]
            low, high = int(indptr[0]), int(indptr[-1])
            if low == high:
                continue
            rows.append(np.repeat(np.arange(first, last), np.diff(indptr)))
            tokens.append(handle.get_slice("token")[low:high].astype(np.int64) + offset)
            values.append(handle.get_slice("activation")[low:high])
        if not rows:
            empty = np.zeros(0, dtype=np.int64)
            return empty, empty, np.zeros(0, dtype=np.float32)
        row = np.concatenate(rows)
        # Shards come in token order and each is sorted, so a stable sort by row is enough.
        order = np.argsort(row, kind="stable")
        return row[order], np.concatenate(tokens)[order], np.concatenate(values)[order]

    @cached_property
    def peaks(self) -> dict[str, NDArray[Any]]:
        with safe_open(self.folder / "peaks.safetensors", framework="np") as handle:
            return {
                name: handle.get_tensor(name) for name in ("indptr", "token", "activation", "group")
            }

    @cached_property
    def table(self) -> pd.DataFrame:
        frame: pd.DataFrame = pq.read_table(self.folder / "features.parquet").to_pandas()
        return frame


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
        counted = np.flatnonzero(self.tokens.counted)
        if documents is not None:
            owner = self.tokens.owners[self.tokens.sequence_of(counted)]
            counted = counted[np.isin(owner, np.asarray(documents, dtype=np.int64))]
        if not len(counted) or limit <= 0:
            return []
        generator = np.random.default_rng([seed, feature])
        picks = generator.permutation(counted)[: limit * 20]
        start, stop = self.tokens.windows(picks, before, after)
        silent = np.searchsorted(fired, start) == np.searchsorted(fired, stop)
        picks, start, stop = picks[silent], start[silent], stop[silent]
        _, first = np.unique(self.tokens.sequence_of(picks), return_index=True)
        keep = np.sort(first)[:limit]
        return [
            self._window(
                feature, "silent", int(t), 0.0, int(a), int(b), np.zeros(b - a, np.float32)
            )
            for t, a, b in zip(picks[keep], start[keep], stop[keep], strict=True)
        ]

    def sequence(self, feature: int, sequence: int) -> Example:
        """A whole sequence with the feature's activation at every token."""
        low, high = (int(x) for x in self.tokens.sequences[sequence : sequence + 2])
        found, row = self._locate(feature)
        _, fired, activation = found.firings(row, row + 1)
        values = np.zeros(high - low, dtype=np.float32)
        inside = slice(*np.searchsorted(fired, [low, high]))
        values[fired[inside] - low] = activation[inside]
        peak = int(values.argmax()) if len(values) else 0
        top = float(values[peak]) if len(values) else 0.0
        return self._window(feature, "sequence", low + peak, top, low, high, values)

    def activations(self, feature: int) -> FloatArray:
        """Activations of every counted firing, in token order."""
        found, row = self._locate(feature)
        _, fired, activation = found.firings(row, row + 1)
        return activation[self.tokens.counted[fired] > 0]

    def histogram(self, feature: int, bins: int = 40) -> Histogram:
        values = self.activations(feature)
        top = float(values.max()) if len(values) else 1.0
        counts, edges = np.histogram(values, bins=bins, range=(0.0, top))
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
        # Position of every window cell among the firings, both keyed by (row, token).
        cell = np.arange(offset[-1]) - np.repeat(offset[:-1], length) + np.repeat(start, length)
        query = np.repeat(owner, length) * total + cell
        key = row * total + fired
        at = np.minimum(np.searchsorted(key, query), max(len(key) - 1, 0))
        values = np.zeros(len(query), dtype=np.float32)
        if len(key):
            hit = key[at] == query
            values[hit] = value[at[hit]]
        edges = np.searchsorted(owner, np.arange(first, last + 1))
        for index, r in enumerate(range(first, last)):
            feature = int(found.features[r])
            yield (
                feature,
                [
                    self._window(
                        feature,
                        group,
                        int(token[i]),
                        float(activation[i]),
                        int(start[i]),
                        int(stop[i]),
                        values[offset[i] : offset[i + 1]],
                    )
                    for i in range(edges[index], edges[index + 1])
                ],
            )

    def _window(
        self,
        feature: int,
        group: str,
        token: int,
        activation: float,
        start: int,
        stop: int,
        values: FloatArray,
    ) -> Example:
        sequence = int(self.tokens.sequence_of(np.asarray(token)))
        low = int(self.tokens.sequences[sequence])
        return Example(
            feature=feature,
            group=group,
            activation=activation,
            sequence_index=sequence,
            token_position=token - low,
            document_index=int(self.tokens.owners[sequence]),
            start_position=start - low,
            token_ids=tuple(self.tokens.ids[start:stop].tolist()),
            tokens=tuple(self.tokens.pieces(start, stop)),
            values=tuple(values.tolist()),
            peak_index=token - start,
        )


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


def _map(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    size = path.stat().st_size
    if size % np.dtype(dtype).itemsize:
        raise ValueError(f"{path.name} is cut short")
    if not size:
        return np.zeros(0, dtype=dtype)
    return np.memmap(path, dtype=np.dtype(dtype).newbyteorder("<"), mode="r")
