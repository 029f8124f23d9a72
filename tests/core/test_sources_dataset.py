"""Datasets: every format gives the same texts, and every way they can be wrong."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import json
import lzma
import random
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from datasets import Dataset, DatasetDict
from datasets.utils.logging import disable_progress_bar
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp_core.errors import (
    AutointerpError,
    DatasetSourceError,
    MissingDependency,
    ParameterError,
)
from autointerp_core.sources.dataset import open_dataset, preview_rows

TEXTS = [
    "The net loss widened.",
    "",
    'Said "no", then\nleft; naïve café 🙂\u2028still the same text',
    "tab\tand, comma",
    " x" * 100_000,
    "nul \x00 inside",
]
disable_progress_bar()


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(path, rows)


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_saved(path: Path, rows: list[dict[str, Any]]) -> None:
    Dataset.from_list(rows).save_to_disk(path)


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], None]] = {
    "texts.jsonl": write_jsonl,
    "texts.json": write_json,
    "lines.json": write_json_lines,
    "texts.csv": write_csv,
    "texts.parquet": write_parquet,
    "saved": write_saved,
}


@pytest.fixture(params=WRITERS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[list[Any]], Path]:
    """Writes texts, with a second column beside them, in each format in turn."""

    def write(texts: list[Any]) -> Path:
        path: Path = tmp_path / request.param
        WRITERS[request.param](path, [{"id": i, "text": t} for i, t in enumerate(texts)])
        return path

    return write


def fails(path: Path | str, column: str = "text", n_rows: int | None = None) -> str:
    with pytest.raises(DatasetSourceError) as caught:
        open_dataset(str(path), column, n_rows)
    assert isinstance(caught.value, AutointerpError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def expected_fingerprint(texts: list[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(struct.pack("<Q", len(data)) + data)
    return f"sha256:{digest.hexdigest()}"


def test_every_format_gives_the_same(written: Callable[[list[Any]], Path]) -> None:
    path = written(TEXTS)
    rows = open_dataset(str(path))
    assert list(rows.iterate()) == TEXTS
    assert list(rows.iterate()) == TEXTS
    assert (rows.name, rows.column, rows.n_rows) == (str(path), "text", len(TEXTS))
    assert rows.fingerprint == expected_fingerprint(TEXTS)


def test_the_first_rows_only(written: Callable[[list[Any]], Path]) -> None:
    path = str(written(TEXTS))
    rows = open_dataset(path, "text", 3)
    assert rows.n_rows == 3
    assert list(rows.iterate()) == TEXTS[:3]
    assert rows.fingerprint == expected_fingerprint(TEXTS[:3])
    assert open_dataset(path, "text", 10**6).n_rows == len(TEXTS)
    assert open_dataset(path, "text", 10**6) == open_dataset(path)


def test_an_empty_cell_keeps_its_row(written: Callable[[list[Any]], Path]) -> None:
    rows = open_dataset(str(written(["a", None, "b"])))
    assert list(rows.iterate()) == ["a", "", "b"]


def test_an_unknown_column_lists_the_columns(written: Callable[[list[Any]], Path]) -> None:
    message = fails(written(["a"]), "body")
    assert "no column 'body'" in message
    assert "id, text" in message


def test_no_text_at_all(written: Callable[[list[Any]], Path]) -> None:
    path = written([" ", "", "x"])
    assert "holds no text in its first 2 rows" in fails(path, n_rows=2)


def test_preview(written: Callable[[list[Any]], Path]) -> None:
    columns, rows = preview_rows(str(written(["a", "b", "c"])), 2)
    assert columns == ["id", "text"]
    assert [row["text"] for row in rows] == ["a", "b"]


@pytest.mark.parametrize("name", ["texts.jsonl", "texts.json", "texts.parquet", "saved"])
def test_cells_that_are_no_text(tmp_path: Path, name: str) -> None:
    rows = [{"text": ["a"]}, {"text": ["b"]}]
    WRITERS[name](tmp_path / name, rows)
    message = fails(tmp_path / name)
    assert "row 0" in message
    assert "list" in message


def test_a_number_among_the_texts(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": "a"}, {"text": 3}])
    assert "row 1" in fails(tmp_path / "a.jsonl")
    assert open_dataset(str(tmp_path / "a.jsonl"), n_rows=1).n_rows == 1


def test_plain_text_is_a_document_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\n\ntwo \u2028 still\x0c two".encode())
    assert list(open_dataset(str(path)).iterate()) == ["one", "", "two \u2028 still\x0c two"]
    assert "its columns are text" in fails(path, "body")


def test_a_byte_order_mark(tmp_path: Path) -> None:
    for name in ("texts.jsonl", "texts.json", "texts.csv"):
        path = tmp_path / name
        WRITERS[name](path, [{"text": "a"}])
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert list(open_dataset(str(path)).iterate()) == ["a"]


def test_half_surrogate_pairs_are_replaced_and_whole_ones_joined(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"text": "a\\ud83d b"}\n{"text": "\\ud83d\\ude42"}\n{"text": "c\xed\xa0\xbd"}\n'
    )
    assert list(open_dataset(str(path)).iterate()) == ["a\ufffd b", "🙂", "c\ufffd"]


def test_keys_may_be_missing_in_some_rows(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"id": 1}, {"text": "b"}])
    assert list(open_dataset(str(tmp_path / "a.jsonl")).iterate()) == ["", "b"]


def test_a_bad_json_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n\n{"text": \n')
    assert "line 3" in fails(path)
    path.write_text('{"text": "a"}\n["b"]\n')
    message = fails(path)
    assert "line 2" in message
    assert "list" in message


@pytest.mark.parametrize("text", ['[{"text": "a"},\n{"text" "b"}]', '[{"text": "a"},\n{"text": "b'])
def test_a_bad_json_list(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert "near line 2" in fails(path)


def test_a_json_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n "data": [{"text": "a"}]\n}')
    assert "expected one object a line" in fails(path)
    path.write_text("[1, 2]")
    assert "expected an object" in fails(path)


def test_a_broken_json_list_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"text" "b"},' + '{"text": "b"},' * 500_000)
    tracemalloc.start()
    fails(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=30), st.integers(1, 40))
def test_a_json_list_is_read_the_same_in_chunks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], chunk: int
) -> None:
    from autointerp_core.sources import text_files

    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps([{"text": text} for text in texts], indent=2), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "_CHUNK", chunk)
        assert [row["text"] for row in text_files.read_rows(path)] == texts


def test_csv_rows_that_do_not_fit_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,hello, world\n")
    message = fails(path)
    assert "line 2" in message
    assert "quoted" in message
    path.write_text("id,text\n1\n\n2,b\n")
    assert list(open_dataset(str(path)).iterate()) == ["", "b"]


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "not found" in fails(tmp_path / "absent.jsonl")
    assert "not found" in fails("absent.csv")
    assert "not found" in fails(tmp_path / ("x" * 5000))
    assert "not found" in fails("./some/folder")
    assert "no dataset given" in fails(" ")


def test_unsupported_files_list_what_is_supported(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(b"PK")
    message = fails(path)
    assert "'.docx'" in message
    assert ".gz" in message
    assert ".parquet" in message


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt"])
def test_text_in_another_encoding(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes("text\nGrüße".encode("latin-1"))
    if name != "a.jsonl" and name != "a.json":
        assert "not UTF-8" in fails(tmp_path / name)
    else:
        fails(tmp_path / name)


def test_empty_files(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.json", "a.csv", "a.txt"):
        (tmp_path / name).write_text("")
        assert "empty" in fails(tmp_path / name)
    (tmp_path / "b.json").write_text("[]")
    assert "empty" in fails(tmp_path / "b.json")


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, [{"text": "a"}])
    path.write_bytes(path.read_bytes()[:-20])
    assert "Parquet" in fails(path)


def test_a_folder_that_was_not_saved(tmp_path: Path) -> None:
    (tmp_path / "texts.docx").write_text("{}")
    message = fails(tmp_path)
    assert "save_to_disk" in message
    assert "texts.docx" in message


def test_a_saved_folder_that_is_damaged(tmp_path: Path) -> None:
    write_saved(tmp_path / "a", [{"text": "a"}])
    for path in (tmp_path / "a").glob("*.arrow"):
        path.unlink()
    assert "cannot load" in fails(tmp_path / "a")


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("name", ["texts.jsonl", "texts.json", "texts.csv", "texts.txt"])
def test_compressed_files(tmp_path: Path, name: str, suffix: str) -> None:
    texts = ["one", "naïve 🙂", "x" * 200_000]
    plain = tmp_path / name
    if name == "texts.txt":
        plain.write_text("\n".join(texts), encoding="utf-8")
    else:
        WRITERS[name](plain, [{"text": text} for text in texts])
    packed = tmp_path / (name + suffix)
    # Two members, or frames, one after the other are one file, as `cat a.gz b.gz` makes them.
    half = len(plain.read_bytes()) // 2
    data = plain.read_bytes()
    packed.write_bytes(COMPRESS[suffix](data[:half]) + COMPRESS[suffix](data[half:]))
    assert list(open_dataset(str(packed)).iterate()) == texts
    columns, rows = preview_rows(str(packed))
    assert columns == ["text"]
    assert rows[0]["text"] == "one"


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files_that_are_damaged(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    data = COMPRESS[suffix](b'{"text": "%s"}' % random.Random(0).randbytes(5000).hex().encode())
    path.write_bytes(data[: len(data) // 2])
    message = fails(path)
    assert f"no whole {suffix} file" in message
    path.write_bytes(b"no such thing at all")
    assert f"no whole {suffix} file" in fails(path)


def test_zst_without_the_package_that_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"x")
    with pytest.raises(MissingDependency, match=r"pip install zstandard$"):
        open_dataset(str(path))


def test_a_parquet_file_is_not_compressed_from_outside(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet.gz"
    path.write_bytes(gzip.compress(b"PAR1"))
    assert "'.parquet.gz'" in fails(path)


@pytest.mark.parametrize("inside", ["", "data"])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".jsonl.gz"])
def test_a_folder_of_shards_is_read_in_their_order(
    tmp_path: Path, suffix: str, inside: str
) -> None:
    folder = tmp_path / "shards" / inside
    folder.mkdir(parents=True)
    for number in (0, 1, 2, 10):
        path = folder / f"part-{number}{suffix}"
        if suffix == ".parquet":
            write_parquet(path, [{"text": f"shard {number}"}])
        else:
            data = json.dumps({"text": f"shard {number}"}).encode()
            path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    (folder / "README.txt").write_text("what this is")
    (folder / "dataset_infos.json").write_text("{}")
    rows = open_dataset(str(tmp_path / "shards"))
    assert list(rows.iterate()) == [f"shard {number}" for number in (0, 1, 2, 10)]
    assert list(open_dataset(str(tmp_path / "shards"), "text", 2).iterate()) == [
        "shard 0",
        "shard 1",
    ]


def test_a_folder_of_shards_with_splits(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        write_parquet(tmp_path / f"{name}.parquet", [{"text": name}])
    assert list(open_dataset(str(tmp_path)).iterate()) == [
        "train-00000-of-00002",
        "train-00001-of-00002",
    ]
    for path in tmp_path.glob("train*"):
        path.rename(path.with_name(path.name.replace("train", "dev")))
    assert "dev" in fails(tmp_path)
    assert "test" in fails(tmp_path)


@pytest.mark.parametrize("inside", ["", "data"])
def test_a_folder_with_a_folder_a_split(tmp_path: Path, inside: str) -> None:
    for name in ("train", "test"):
        (tmp_path / inside / name).mkdir(parents=True)
        for shard in (9, 10):
            write_jsonl(tmp_path / inside / name / f"{shard}.jsonl", [{"text": f"{name} {shard}"}])
    assert list(open_dataset(str(tmp_path)).iterate()) == ["train 9", "train 10"]
    (tmp_path / inside / "train").rename(tmp_path / inside / "other")
    assert list(open_dataset(str(tmp_path)).iterate()) == ["test 9", "test 10"]


def test_a_folder_of_several_kinds(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": "a"}])
    write_csv(tmp_path / "b.csv", [{"text": "a"}])
    message = fails(tmp_path)
    assert "a.jsonl" in message
    assert "b.csv" in message
    assert "several kinds" in message


def test_a_column_that_appears_late(tmp_path: Path) -> None:
    """Case 33 (datasets 8069): the column is first in row 151."""
    rows = [{"id": i} for i in range(150)] + [
        {"id": i, "text": f"row {i}"} for i in range(150, 200)
    ]
    for name in ("a.jsonl", "a.json"):
        WRITERS["texts.jsonl" if name == "a.jsonl" else "texts.json"](tmp_path / name, rows)
        found = list(open_dataset(str(tmp_path / name)).iterate())
        assert found[:150] == [""] * 150
        assert found[150] == "row 150"
    message = fails(tmp_path / "a.jsonl", n_rows=120)
    assert "no column 'text' in the 120 rows used" in message
    assert "--column-name" in message


def test_a_csv_with_two_columns_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,id,text\none,1,two\n")
    message = fails(path)
    assert "'text' more than once (columns 1, 3)" in message
    assert list(open_dataset(str(path), "id").iterate()) == ["1"]


def test_deeply_nested_json(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    assert "line 2" in fails(path)
    path = tmp_path / "a.json"
    path.write_text('[{"text": ' + "[" * 100_000 + "]" * 100_000 + "}]")
    assert "not valid JSON" in fails(path)


def test_splits(tmp_path: Path) -> None:
    one = Dataset.from_dict({"text": ["one"]})
    two = Dataset.from_dict({"text": ["two"]})
    DatasetDict({"train": one, "test": two}).save_to_disk(tmp_path / "a")
    assert list(open_dataset(str(tmp_path / "a")).iterate()) == ["one"]
    DatasetDict({"test": two}).save_to_disk(tmp_path / "b")
    assert list(open_dataset(str(tmp_path / "b")).iterate()) == ["two"]
    DatasetDict({"dev": one, "test": two}).save_to_disk(tmp_path / "c")
    assert "dev, test" in fails(tmp_path / "c")


def test_a_number_of_rows_below_one(tmp_path: Path) -> None:
    with pytest.raises(ParameterError):
        open_dataset(str(tmp_path), n_rows=0)


def test_the_demo_corpus() -> None:
    rows = open_dataset("demo", "text", 50)
    assert rows.n_rows == 50
    assert all(rows.iterate())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(n: int) -> int:
        path = tmp_path / f"{n}.jsonl"
        with path.open("w") as handle:
            for i in range(n):
                handle.write(json.dumps({"text": f"{i} " + "word " * 200}) + "\n")
        tracemalloc.start()
        rows = open_dataset(str(path))
        assert sum(1 for _ in rows.iterate()) == n
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(10)
    assert peak(8000) < peak(2000) + 100_000


def _imported(script: str) -> str:
    head = "import sys\nfrom autointerp_core.sources.dataset import open_dataset, preview_rows\n"
    tail = "\nprint(sorted({'torch', 'transformers', 'sae_lens'} & sys.modules.keys()))"
    return subprocess.run(
        [sys.executable, "-c", head + script + tail], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.slow
def test_nothing_here_imports_torch(tmp_path: Path) -> None:
    paths = []
    for name, write in WRITERS.items():
        write(tmp_path / name, [{"text": "a"}])
        paths.append(str(tmp_path / name))
    script = f"for path in {paths!r}:\n    preview_rows(path); open_dataset(path, 'text', 5)"
    assert _imported(script) == "[]"
