"""Extraction that is stopped, killed, or out of memory: what is done stays, and it goes on."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sae_lens.saes.topk_sae import TopKSAE

from autointerp_core.errors import (
    AutointerpError,
    Cancelled,
    DiskFull,
)
from autointerp_core.extraction import native
from autointerp_core.extraction.firings import Shard, begin_together
from autointerp_core.extraction.pass_folder import OpenPass
from autointerp_core.extraction.run import extract
from autointerp_core.progress import Progress
from autointerp_core.sources.model import TruncatedModel
from autointerp_core.store.feature_shards import ShardFirings
from autointerp_core.store.study import Study
from tests.core.extraction_fixtures import (
    D_SAE,
    Tiny,
    assert_same,
    data_files,
    make_tiny,
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Matrices this small are slower on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def plain(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """All features, extracted without interruption."""
    studies = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOINTERP_HOME", str(studies / "home"))
        return extract(tiny.request(), studies).study


def test_a_shard_that_cannot_be_written_in_a_thread_is_told(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_apart", lambda _device: True)
    put = OpenPass.put

    def full(self: OpenPass, shard: Shard, firings: ShardFirings) -> None:
        if shard.index == 2:
            raise DiskFull("no space")
        put(self, shard, firings)

    monkeypatch.setattr(OpenPass, "put", full)
    with pytest.raises(DiskFull, match="no space"):
        extract(tiny.request(), tmp_path)
    assert {path.stem for path in tmp_path.rglob("shards/0*")} == {"00000", "00001"}


@pytest.mark.slow
def test_out_of_memory_halves_the_batch(
    tiny: Tiny, plain: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, sizes = TruncatedModel.run, []

    def small_device(self: TruncatedModel, ids: torch.Tensor, hooks: Any) -> Any:
        if len(ids) > 2:
            raise torch.cuda.OutOfMemoryError("injected")
        sizes.append(len(ids))
        return run(self, ids, hooks)

    monkeypatch.setattr(TruncatedModel, "run", small_device)
    other = extract(tiny.request(batch_sequences=16), tmp_path).study
    assert 2 in sizes
    assert_same(plain, other)


def test_out_of_memory_with_one_sequence_says_so(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(self: TruncatedModel, ids: torch.Tensor, hooks: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("injected")

    monkeypatch.setattr(TruncatedModel, "run", no_memory)
    with pytest.raises(AutointerpError, match="lower context_size"):
        extract(tiny.request(), tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("injected"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 9 bytes. Error code 12 (Cannot allocate memory)"
        ),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.slow
def test_out_of_memory_in_encode_halves_the_block(
    tiny: Tiny, plain: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    encode, sizes = TopKSAE.process_sae_in, []

    def small_device(self: Any, x: torch.Tensor) -> torch.Tensor:
        if 100 < len(x) < 2000:  # the health check's 2,000 tokens are not meant
            raise error
        sizes.append(len(x))
        read: torch.Tensor = encode(self, x)
        return read

    monkeypatch.setattr(TopKSAE, "process_sae_in", small_device)
    other = extract(tiny.request(), tmp_path).study
    assert max(size for size in sizes if size < 2000) > 10
    assert_same(plain, other)


@pytest.mark.parametrize("where", ["encode", "health", "logits"])
def test_out_of_memory_for_good_is_one_clear_line(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def no_memory(*_: Any, **__: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    place = {
        "encode": "sae_lens.saes.topk_sae.TopKSAE.process_sae_in",
        "health": "sae_lens.saes.topk_sae.TopKSAE.decode",
        "logits": "autointerp_core.extraction.logits.write_logits",
    }[where]
    monkeypatch.setattr(place, no_memory)
    with pytest.raises(AutointerpError, match=r"^out of memory on cpu.*(lower|free memory)"):
        extract(tiny.request(), tmp_path)


def test_other_errors_of_the_library_stay_what_they_are(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(TopKSAE, "process_sae_in", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        extract(tiny.request(), tmp_path)


@pytest.mark.slow
def test_killed_ten_times_ends_byte_identical(tiny: Tiny, plain: Study, tmp_path: Path) -> None:
    """kill -9 at random moments, in processes forked from one that has imported everything."""
    script = tmp_path / "killed.py"
    script.write_text(
        textwrap.dedent("""
        import os, random, signal, sys, time
        from pathlib import Path
        import torch, transformers, sae_lens, datasets  # imported once, then forked
        torch.set_num_threads(int(sys.argv[3]))
        from autointerp_core.extraction.run import extract
        from tests.core.extraction_fixtures import Tiny
        root, studies = Path(sys.argv[1]), Path(sys.argv[2])
        tiny = Tiny(root / "model", root / "saelens", root / "sparsify", root / "data.jsonl")
        generator = random.Random(int(sys.argv[4]))

        def shards():
            return {p: p.stat().st_mtime_ns for p in studies.glob("*/passes/*/shards/0*")}

        def child(slow):
            # A forked extraction; with ``slow``, killed at a random moment of it.
            ready, started = os.pipe()
            pid = os.fork()
            if pid == 0:
                def report(progress):
                    if progress.stage == "extracting":
                        os.write(started, b".")
                if slow:
                    # Slow enough that kills fall between, and within, shards.
                    from autointerp_core.sources.model import TruncatedModel
                    run = TruncatedModel.run
                    def slowly(self, ids, hooks):
                        time.sleep(0.2)
                        return run(self, ids, hooks)
                    TruncatedModel.run = slowly
                extract(tiny.request(), studies, report)
                os._exit(0)
            os.close(started)
            if slow:
                # Now and then before the first shard, while tokens are written, say.
                if generator.random() < 0.8:
                    os.read(ready, 1)
                time.sleep(generator.uniform(0.0, 0.8))
                os.kill(pid, signal.SIGKILL)
            os.close(ready)
            return os.waitpid(pid, 0)[1]

        killed, most, before = 0, 0, {}
        for _ in range(10):
            killed += os.WIFSIGNALED(child(slow=True))
            now = shards()
            assert all(now.get(path) == time for path, time in before.items()), "a shard was redone"
            before, most = now, max(most, len(now))
        assert child(slow=False) == 0
        final = shards()
        assert all(final[path] == time for path, time in before.items()), "a shard was redone"
        print(killed, most, len(final))
        """)
    )
    done = subprocess.run(
        [
            sys.executable,
            str(script),
            str(tiny.model.parent),
            str(tmp_path / "studies"),
            str(torch.get_num_threads()),
            str(random.randrange(1_000_000)),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    killed, most, final = map(int, done.stdout.split())
    # Ten, unless the work was done before the tenth: a finished run cannot be killed.
    assert killed >= 3
    assert 1 <= most <= final
    assert final > 5
    assert data_files(tmp_path / "studies" / plain.id) == data_files(plain.folder)


@pytest.mark.slow
def test_cancel_keeps_finished_shards_and_goes_on(
    tiny: Tiny, plain: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "extracting" and progress.done > 600:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        extract(tiny.request(), tmp_path, stop)
    done = _computed(monkeypatch)
    study = extract(tiny.request(), tmp_path).study
    assert 0 not in done
    assert data_files(study.folder) == data_files(plain.folder)


@pytest.mark.slow
def test_shards_of_a_stopped_run_outlive_other_requests(
    tiny: Tiny, plain: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ``all`` run stopped, a few features asked for, then ``all``: no shard is run twice."""
    with pytest.raises(Cancelled):
        extract(tiny.request(), tmp_path, _stop_after(600))
    folder = tmp_path / plain.id / "passes"
    (stopped,) = folder.iterdir()
    kept = [int(path.stem) for path in sorted(stopped.glob("shards/0*"))]
    n_shards = plain.info.passes[0].n_shards or 0
    assert 0 < len(kept) < n_shards
    done = _computed(monkeypatch)
    few = extract(tiny.request(features=(3, 7, 40), keep="asked"), tmp_path)
    rest = [index for index in range(n_shards) if index not in kept]
    assert done == rest
    assert few.computed.tolist() == [3, 7, 40]
    assert sorted(stopped.glob("shards/0*"))[-1].stem == f"{kept[-1]:05d}"
    done.clear()
    whole = extract(tiny.request(), tmp_path)
    assert done == rest
    assert len(whole.computed) == D_SAE - 3
    assert not stopped.exists(), "nothing in it that finished passes lack"
    assert sorted(folder.iterdir()) == sorted(p.folder for p in whole.study.passes)
    for feature in range(D_SAE):
        assert whole.study.stats(feature) == plain.stats(feature)
        assert whole.study.examples(feature) == plain.examples(feature)
        ours, others = whole.study.firings(feature), plain.firings(feature)
        np.testing.assert_array_equal(ours.token, others.token)
        np.testing.assert_array_equal(ours.activation, others.activation)


@pytest.mark.slow
def test_a_stopped_run_finished_by_itself_leaves_nothing_behind(
    tiny: Tiny, plain: Study, tmp_path: Path
) -> None:
    for limit in (300, 900):
        with pytest.raises(Cancelled):
            extract(tiny.request(), tmp_path, _stop_after(limit))
    with pytest.raises(Cancelled):
        extract(tiny.request(features=(1, 2)), tmp_path, _stop_after(1500))
    study = extract(tiny.request(), tmp_path).study
    assert data_files(study.folder) == data_files(plain.folder)


def _computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Shards that the model is run for from now on."""
    done: list[int] = []
    original = begin_together

    def counting(extractors: Any, tokens: Any, shard: Shard) -> Any:
        done.append(shard.index)
        return original(extractors, tokens, shard)

    monkeypatch.setattr(native, "begin_together", counting)
    return done


def _stop_after(tokens: int) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.stage == "extracting" and progress.done >= tokens:
            raise Cancelled("stopped")

    return stop
