"""Ray on this machine: the native engine's bytes, whatever happens to workers on the way."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from autointerp_core.cli.terminal import describe
from autointerp_core.errors import AutointerpError, Cancelled, MissingDependency, ParameterError
from autointerp_core.extraction.engines import load_engine
from autointerp_core.extraction.ray_engine import cluster as clusters
from autointerp_core.extraction.ray_engine import probe
from autointerp_core.extraction.ray_engine.cluster import Cluster, check_versions, connected
from autointerp_core.extraction.run import extract
from autointerp_core.progress import Progress
from autointerp_core.store.study import Study, TokenStore
from tests.core.extraction_fixtures import Tiny, data_files, make_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def native(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """With one thread, as each of two workers on two CPUs has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return extract(tiny.request(), tmp_path_factory.mktemp("native")).study
    finally:
        torch.set_num_threads(threads)


# ------------------------------------------------------------------ what needs no cluster


def test_without_ray_the_command_to_install_it_is_told(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r'pip install "ray==2\.60\.0"$'):
        extract(tiny.request(engine="ray"), tmp_path / "studies")
    assert not (tmp_path / "studies").exists()


def test_the_command_is_what_this_was_tested_with() -> None:
    pinned = (Path(__file__).parents[2] / "requirements-dev.txt").read_text()
    assert clusters.INSTALL.split('"')[1] in pinned


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_is(tiny: Tiny, tmp_path: Path, scheme: str) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ParameterError, match=f"no Ray cluster answers.*{address}"):
            extract(tiny.request(engine="ray", ray_address=address), tmp_path / "studies")
    assert not (tmp_path / "studies").exists()


@pytest.mark.parametrize("address", ["nowhere", "host:port", "1.2.3.4:99999"])
def test_an_address_that_is_none(tiny: Tiny, tmp_path: Path, address: str) -> None:
    with pytest.raises(ParameterError, match="ray_address"):
        extract(tiny.request(engine="ray", ray_address=address), tmp_path)


def test_a_node_with_other_versions_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    here = probe.describe(("torch", "numpy"))
    there = here | {"host": "b", "torch": "1.0", "numpy": ""}
    told = clusters._differences(here, there)
    assert told.startswith("torch (1.0 there, ")
    assert "numpy (not installed there, " in told
    assert clusters._differences(here, here | {"host": "b"}) == ""


def test_the_engine_is_one_of_those_there_are() -> None:
    assert load_engine("ray").name == "ray"


def test_who_works_is_told_beside_how_far_it_is() -> None:
    report = Progress("extracting", 5, 10, "tokens", 3.0, 2.0, "2 of 2 workers")
    told = "extracting: 5/10 tokens (50 %) 3 tokens/s 0:02 left · 2 of 2 workers"
    assert describe(report) == told


# ------------------------------------------------------------------ a cluster of this machine


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two CPUs; runs below take it as it stands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        with connected("local") as found:
            yield found


@pytest.mark.slow
def test_two_workers_give_the_native_bytes_though_one_is_killed(
    tiny: Tiny, native: Study, tmp_path: Path, cluster: Cluster
) -> None:
    check_versions(cluster)  # one node: itself
    told: list[Progress] = []
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        told.append(progress)
        if progress.stage == "extracting" and progress.done > 500 and not killed:
            killed.append(_workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    config = tiny.request(engine="ray", workers=2)
    study = extract(config, tmp_path, kill_one).study
    assert killed
    assert data_files(study.folder) == data_files(native.folder)
    assert extract(config, tmp_path).computed.tolist() == []


def _workers() -> list[int]:
    """Process ids of the workers that this process' Ray runs."""
    found = []
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # gone since
            if "".join(each.cmdline()[:1]).startswith("ray::Worker"):
                found.append(each.pid)
    return found


@pytest.mark.slow
def test_cancelled_and_run_again_by_either_engine(
    tiny: Tiny, native: Study, tmp_path: Path, cluster: Cluster
) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "extracting" and progress.done > 600:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        extract(tiny.request(engine="ray", workers=1), tmp_path, stop)
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("shards/0*")}
    assert kept
    study = extract(tiny.request(), tmp_path).study
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert study.id == native.id


@pytest.mark.slow
def test_what_a_worker_cannot_do_is_told_in_its_words(
    tiny: Tiny, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ParameterError, match=r"9 workers .*need as many CPUs.*has 2"):
        extract(tiny.request(engine="ray", workers=9), tmp_path / "a")
    with pytest.raises(ParameterError, match="asks for a GPU, but no machine"):
        extract(tiny.request(engine="ray", device="cuda"), tmp_path / "b")
    tokens, made = TokenStore.part, []

    def beyond(self: Any, first: int, last: int) -> Any:
        found = tokens(self, first, last)
        made.append(found)
        return type(found)(found.ids + 100_000, found.flags, found.sequences)

    monkeypatch.setattr(TokenStore, "part", beyond)
    with pytest.raises(AutointerpError, match="a Ray worker failed: IndexError"):
        extract(tiny.request(engine="ray", workers=1), tmp_path / "c")
    assert made
