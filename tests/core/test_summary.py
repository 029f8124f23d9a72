"""Statistics and chosen examples against plain loops, on random firings."""

from __future__ import annotations

import gc
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from autointerp_core.extraction import merge_runs, summary
from autointerp_core.extraction.summary import counted_positions, reference_median
from autointerp_core.progress import silent
from autointerp_core.store import feature_summary
from autointerp_core.store.study import SPECIAL, Pass, TokenStore
from autointerp_core.store.study_record import Masks

N_FEATURES = 6


def _store(folder: Path, lengths: list[int], generator: np.random.Generator) -> TokenStore:
    """A token store of one-byte tokens over a three-letter alphabet, so that windows repeat."""
    total = sum(lengths)
    ids = generator.integers(0, 3, total)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    folder.mkdir(parents=True)
    for name, values, dtype in (
        ("ids", ids, "<u4"),
        ("ends", np.arange(1, total + 1), "<i8"),
        ("flags", generator.random(total) < 0.1, "u1"),
        ("counted", generator.random(total) < 0.9, "u1"),
        ("sequences", offsets, "<i8"),
        ("owners", np.arange(len(lengths)), "<i8"),
        ("starts", offsets[:-1], "<i8"),
        ("documents", offsets, "<i8"),
        ("text", ids + ord("a"), "u1"),
    ):
        (folder / f"{name}.bin").write_bytes(values.astype(dtype).tobytes())
    (folder / "vocab.json").write_text('["a", "b", "c"]')
    return TokenStore(folder)


def _pass(folder: Path, dense: np.ndarray, cuts: list[int]) -> Pass:
    """Shards of ``dense [tokens, features]``, cut at the given tokens."""
    (folder / "shards").mkdir(parents=True)
    np.save(folder / "features.npy", np.arange(dense.shape[1], dtype=np.int32) * 3)
    bounds = [0, *sorted(cuts), len(dense)]
    for index, (low, high) in enumerate(itertools.pairwise(bounds)):
        token, row = np.nonzero(dense[low:high])
        order = np.lexsort((token, row))
        indptr = np.zeros(dense.shape[1] + 1, dtype=np.int64)
        np.cumsum(np.bincount(row, minlength=dense.shape[1]), out=indptr[1:])
        save_file(
            {
                "indptr": indptr,
                "token": token[order].astype(np.uint32),
                "activation": dense[low:high][token, row][order],
                "norm": np.ones(high - low, dtype=np.float32),
            },
            folder / "shards" / f"{index:05d}.safetensors",
            metadata={"first_token": str(low)},
        )
    return Pass(folder)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=30).filter(sum),
    n_examples=st.integers(1, 8),
    sparsity=st.sampled_from([0.0, 0.3, 0.9]),
    block=st.sampled_from([1, 7, 1_000_000]),
    data=st.data(),
)
@pytest.mark.slow
def test_summary_equals_loops(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    lengths: list[int],
    n_examples: int,
    sparsity: float,
    block: int,
    data: st.DataObject,
) -> None:
    generator = np.random.default_rng(seed)
    root = tmp_path_factory.mktemp("summary")
    store = _store(root / "tokens", lengths, generator)
    # Few distinct values, so that ties are common.
    dense = generator.integers(1, 5, (store.n_tokens, N_FEATURES)).astype(np.float32)
    dense[generator.random(dense.shape) < sparsity] = 0
    cuts = data.draw(st.lists(st.sampled_from(np.cumsum(lengths)[:-1].tolist() or [0]), max_size=3))
    found = _pass(root / "pass", dense, [c for c in set(cuts) if 0 < c < store.n_tokens])
    n_counted = int(store.counted.sum())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "FIRINGS_PER_BLOCK", block)
        patch.setattr(feature_summary, "SLACK", 1)
        summary.summarise(store, found, n_counted, n_examples, silent)
    table, peaks = found.table, found.peaks
    counted = store.counted > 0
    for row in range(N_FEATURES):
        masked = np.where(counted, dense[:, row], 0)
        fired = masked[masked > 0]
        line = table.iloc[row]
        assert line["feature"] == row * 3
        assert line["fired"] == len(fired)
        assert line["density"] == len(fired) / max(n_counted, 1)
        assert line["max"] == (fired.max() if len(fired) else 0)
        assert line["mean"] == pytest.approx(fired.mean() if len(fired) else 0)
        for name, q in (("q25", 0.25), ("q50", 0.5), ("q75", 0.75)):
            assert line[name] == pytest.approx(np.quantile(fired, q) if len(fired) else 0)
        expected, ranked = _top(store, masked, n_examples)
        assert line["num_examples"] == len(ranked)
        low, high = peaks["indptr"][row : row + 2]
        group = peaks["group"][low:high]
        tokens = peaks["token"][low:high]
        assert tokens[group == 0].tolist() == expected
        assert peaks["activation"][low:high].tolist() == dense[tokens, row].tolist()
        order = {token: rank for rank, token in enumerate(ranked)}
        for quarter in range(4):
            chosen = [order[t] for t in tokens[group == quarter + 1].tolist()]
            lowest, highest = len(ranked) * quarter // 4, len(ranked) * (quarter + 1) // 4
            assert chosen == sorted(set(chosen))
            assert all(lowest <= rank < highest for rank in chosen)
            assert not set(tokens[group == quarter + 1].tolist()) & set(expected)


def _top(store: TokenStore, masked: np.ndarray, n_examples: int) -> tuple[list[int], list[int]]:
    ranked = []
    for low, high in zip(store.sequences[:-1], store.sequences[1:], strict=True):
        part = masked[low:high]
        if len(part) and part.max() > 0:
            ranked.append(int(low + part.argmax()))
    ranked.sort(key=lambda t: (-masked[t], t))
    seen: set[tuple[int, ...]] = set()
    top: list[int] = []
    for token in ranked:
        sequence = int(store.sequence_of(np.asarray(token)))
        low = max(int(store.sequences[sequence]), token - 16)
        high = min(int(store.sequences[sequence + 1]), token + 16)
        window = tuple(store.ids[low:high].tolist())
        if window not in seen and len(top) < n_examples:
            seen.add(window)
            top.append(token)
    return top, ranked


def test_reference_median_leaves_first_positions_out(tmp_path: Path) -> None:
    lengths = [1, 0, 3, 2] + [2] * 100
    store = _store(tmp_path / "tokens", lengths, np.random.default_rng(0))
    norms = np.full(store.n_tokens, 5.0, dtype=np.float32)
    firsts = store.sequences[:-1][np.diff(store.sequences) > 0]
    norms[firsts] = 700.0
    norms[store.sequences[64] :] = 9.0  # beyond the reference sequences
    assert reference_median(store, norms) == 5.0


def test_sinks_and_special_tokens_are_not_counted() -> None:
    flags = np.array([SPECIAL, 0, 0, 0], dtype=np.uint8)
    norms = np.array([1, 10, 10.01, 1], dtype=np.float32)
    assert counted_positions(flags, norms, Masks(), 1.0).tolist() == [0, 1, 0, 1]
    assert counted_positions(flags, norms, Masks(sinks=False), 1.0).tolist() == [0, 1, 1, 1]
    assert counted_positions(flags, norms, Masks(special=False), 1.0).tolist() == [1, 1, 0, 1]
    assert counted_positions(flags, norms, Masks(sink_factor=11), 1.0).tolist() == [0, 1, 1, 1]
    # No reference (only one-token sequences): nothing can be called a sink.
    assert counted_positions(flags, norms, Masks(), 0.0).tolist() == [0, 1, 1, 1]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shards=st.integers(1, 40), fan_in=st.integers(2, 5))
@pytest.mark.slow
def test_merged_shards_hold_the_same_firings(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shards: int, fan_in: int
) -> None:
    generator = np.random.default_rng(seed)
    root = tmp_path_factory.mktemp("merge")
    dense = generator.integers(1, 5, (80, N_FEATURES)).astype(np.float32)
    dense[generator.random(dense.shape) < 0.7] = 0
    found = _pass(root / "pass", dense, sorted(generator.permutation(79)[: shards - 1] + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge_runs, "FAN_IN", fan_in)
        patch.setattr(merge_runs, "_BLOCK", 7)
        runs = merge_runs.few_runs(found, root / "merging", 80, lambda done, total: None)
    assert len(runs) <= fan_in
    for first in range(N_FEATURES):
        for last in range(first + 1, N_FEATURES + 1):
            ours = merge_runs.firings_of(runs, first, last)
            row, token = np.nonzero(dense[:, first:last].T)
            np.testing.assert_array_equal(ours.row, row + first)
            np.testing.assert_array_equal(ours.token, token)
            np.testing.assert_array_equal(ours.activation, dense[token, row + first])


def test_what_is_known_of_shards_is_let_go_once_they_are_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index of a shard is 8 bytes a feature: all of them at once would grow with both."""
    dense = np.ones((80, N_FEATURES), dtype=np.float32)
    found = _pass(tmp_path / "pass", dense, list(range(2, 80, 2)))
    known: list[int] = []
    merge = merge_runs._merge

    def watched(*arguments: Any) -> merge_runs.FileRun:
        made = merge(*arguments)
        runs = (o for o in gc.get_objects() if type(o) is merge_runs.ShardRun)
        known.append(sum("_indptr" in vars(run) for run in runs if run.found is found))
        return made

    monkeypatch.setattr(merge_runs, "FAN_IN", 4)
    monkeypatch.setattr(merge_runs, "_merge", watched)
    merge_runs.few_runs(found, tmp_path / "merging", 80, lambda done, total: None)
    assert len(known) > 10
    assert max(known) <= 4 + 1  # a group, and the last of the group before it


@pytest.mark.slow
def test_any_number_of_processes_and_shards_gives_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    store = _store(tmp_path / "tokens", [12] * 40, generator)
    dense = generator.integers(1, 5, (store.n_tokens, N_FEATURES)).astype(np.float32)
    dense[generator.random(dense.shape) < 0.7] = 0
    monkeypatch.setattr(summary, "FIRINGS_PER_BLOCK", 200)
    made = []
    for name, cuts, processes in (("a", [], 1), ("b", list(range(5, 475, 5)), 2), ("c", [7], 3)):
        found = _pass(tmp_path / name, dense, cuts)
        summary.summarise(store, found, int(store.counted.sum()), 4, silent, processes)
        assert not (found.folder / "merging").exists()
        made.append([(found.folder / f).read_bytes() for f in _FILES])
    assert made[0] == made[1] == made[2]


_FILES = ("features.parquet", "peaks.safetensors")
