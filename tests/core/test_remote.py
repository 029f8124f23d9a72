"""Datasets and results in a storage: S3 on loopback, web pages, a storage that refuses."""

from __future__ import annotations

import gzip
import http.server
import json
import sys
import threading
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from autointerp_core.errors import DatasetSourceError, MissingDependency, OutputError
from autointerp_core.export.output import Output
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.resolve import resolve
from autointerp_core.remote import RemotePath, is_remote
from autointerp_core.sources.dataset import open_dataset, preview_rows

TEXTS = [f"document {n} of several, some longer {'than others ' * (n % 5)}" for n in range(40)]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 server of moto's on loopback, with a bucket; the environment that leads there."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "for-tests",
            "AWS_SECRET_ACCESS_KEY": "for-tests",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="texts")
        yield "s3://texts"
    server.stop()


@pytest.fixture(autouse=True)
def _fresh_listings() -> None:
    """fsspec remembers what folders hold."""
    import fsspec
    import s3fs

    fsspec.filesystem("http").clear_instance_cache()
    s3fs.S3FileSystem.clear_instance_cache()


def write(folder: Path) -> dict[str, Path]:
    """The same documents in every form."""
    table = pa.table({"text": TEXTS, "other": [n * 1000 for n in range(len(TEXTS))]})
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
    pq.write_table(table, folder / "docs.parquet", row_group_size=8)
    (folder / "docs.jsonl").write_bytes(lines)
    (folder / "docs.jsonl.gz").write_bytes(gzip.compress(lines))
    (folder / "docs.jsonl.zst").write_bytes(zstandard.compress(lines))
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def stored(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import boto3

    folder = tmp_path_factory.mktemp("texts")
    files = write(folder)
    client = boto3.client("s3")
    for name, path in files.items():
        client.upload_file(str(path), "texts", name)
    for number in range(3):  # sharded
        part = pa.table({"text": TEXTS[number * 10 : number * 10 + 10]})
        path = folder / "part.parquet"
        pq.write_table(part, path)
        client.upload_file(str(path), "texts", f"many/train-{number}.parquet")
    return files


def test_what_is_a_place_elsewhere() -> None:
    assert [is_remote(x) for x in ("s3://b/x", "https://h/x", "hf://datasets/o/n/x")] == [True] * 3
    assert not any(is_remote(x) for x in ("file:///x", "/a/b", "owner/name", "demo", "C:/x"))


@pytest.mark.slow
def test_s3_is_read_as_a_local_file_is(bucket: str, stored: dict[str, Path]) -> None:
    for name, path in stored.items():
        there = open_dataset(f"{bucket}/{name}", n_rows=30)
        here = open_dataset(str(path), n_rows=30)
        assert list(there.iterate()) == list(here.iterate()) == TEXTS[:30]
        assert (there.fingerprint, there.n_rows) == (here.fingerprint, here.n_rows)
    for given in (f"{bucket}/many", f"{bucket}/many/train-*.parquet"):
        assert list(open_dataset(given, n_rows=25).iterate()) == TEXTS[:25]
    columns, rows = preview_rows(f"{bucket}/docs.parquet", 2)
    assert columns == ["text", "other"]
    assert rows[1]["other"] == 1000


@pytest.mark.slow
def test_only_what_is_used_of_parquet_is_fetched(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3
    import s3fs

    path = tmp_path / "large.parquet"
    rows = [f"{n} " + "word " * 2000 for n in range(2000)]
    table = pa.table({"text": rows, "heavy": [row[::-1] for row in rows]})
    pq.write_table(table, path, row_group_size=100, compression="none", use_dictionary=False)
    boto3.client("s3").upload_file(str(path), "texts", "large.parquet")
    fetched: list[int] = []
    original = s3fs.core.S3File._fetch_range

    def counted(self: Any, start: int, end: int) -> bytes:
        data: bytes = original(self, start, end)
        fetched.append(len(data))
        return data

    monkeypatch.setattr(s3fs.core.S3File, "_fetch_range", counted)
    assert list(open_dataset(f"{bucket}/large.parquet", n_rows=50).iterate()) == rows[:50]
    assert sum(fetched) < path.stat().st_size / 2


@pytest.mark.slow
def test_the_study_is_the_same_as_from_the_local_copy(
    bucket: str, stored: dict[str, Path], tmp_path: Path
) -> None:
    from tests.core.extraction_fixtures import make_tiny

    tiny = make_tiny(tmp_path / "tiny", 4)
    ids = [
        resolve(tiny.request(dataset_path=path)).study_id
        for path in (f"{bucket}/docs.parquet", str(stored["docs.parquet"]))
    ]
    assert ids[0] == ids[1]


@pytest.mark.slow
def test_results_go_to_s3_whole(bucket: str) -> None:
    import boto3

    output = Output.of(f"{bucket}/results/one")
    with output.folder() as folder:
        (folder / "a.json").write_text("{}")

    def stopped() -> None:
        with output.folder() as folder:
            (folder / "b.json").write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        stopped()
    listed = boto3.client("s3").list_objects_v2(Bucket="texts", Prefix="results")
    assert [entry["Key"] for entry in listed["Contents"]] == ["results/one/a.json"]
    assert output.place("a.json") == f"{bucket}/results/one/a.json"


@pytest.mark.slow
def test_what_s3_has_not_and_where_nobody_answers(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for given in (f"{bucket}/absent.parquet", "s3://no-such-bucket/x.parquet"):
        with pytest.raises(DatasetSourceError, match=f"{given} was not found"):
            open_dataset(given)
    with pytest.raises(DatasetSourceError, match="matches no file"):
        open_dataset(f"{bucket}/none-*.parquet")
    with pytest.raises(OutputError, match=r"s3://no-such-bucket/out (was not found|cannot be)"):
        Output.of("s3://no-such-bucket/out")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(DatasetSourceError, match="cannot be reached or read"):
        open_dataset("s3://elsewhere/docs.parquet")


def test_a_package_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = import_module("fsspec.registry")._registry  # it remembers what it imported once
    monkeypatch.delitem(known, "s3", raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingDependency, match=r'pip install "s3fs==2026\.9\.0"$'):
        open_dataset("s3://texts/docs.parquet")
    with pytest.raises(MissingDependency, match=r'pip install "s3fs==2026\.9\.0"$'):
        Output.of("s3://texts/results")


def test_no_such_protocol() -> None:
    with pytest.raises(DatasetSourceError, match="floppy:// is no protocol"):
        open_dataset("floppy://disk/docs.jsonl")


class _Refusing(http.server.SimpleHTTPRequestHandler):
    def send_head(self) -> Any:
        if self.path.startswith("/secret"):
            self.send_error(403)
            return None
        return super().send_head()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""


@pytest.mark.slow
def test_the_web_is_read_too(tmp_path: Path) -> None:
    write(tmp_path)
    handler = partial(_Refusing, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_address[1]}"
        for name in ("docs.jsonl", "docs.jsonl.gz"):
            assert list(open_dataset(f"{place}/{name}").iterate()) == TEXTS
        with pytest.raises(DatasetSourceError, match="was not found"):
            open_dataset(f"{place}/absent.jsonl")
        with pytest.raises(DatasetSourceError, match=r"access to .* was refused .*403"):
            open_dataset(f"{place}/secret.jsonl")
        server.shutdown()


def test_a_request_elsewhere_is_asked_again(tmp_path: Path) -> None:
    from autointerp_core.extraction.served import request_key

    config = ExtractionConfig("demo", "demo", "s3://texts/docs.parquet")
    assert request_key(config) is None
    assert RemotePath("s3://texts/a/docs.jsonl.gz?x=1", None).suffixes == [".jsonl", ".gz"]
