"""SAELens' directory as a table: known offline, and honest about what can be used here."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from autointerp_core.sources import sae_directory
from autointerp_core.sources.sae_directory import SCHEMA, directory, list_digest, why_not
from benchmarks.sae_directory_index import gigabytes, model_of, row, width_of
from ui.studies.browse import found, searchable


@pytest.mark.slow
def test_the_table_is_of_the_installed_list_and_needs_no_torch() -> None:
    table = directory()
    assert len(table) >= 13_857
    assert table.schema.equals(SCHEMA)
    about = pq.read_schema(sae_directory.INDEX).metadata
    assert about[b"list"].decode() == list_digest(), (
        "SAELens' list changed: run  python -m benchmarks.sae_directory_index"
    )
    code = (
        "import sys, ui.studies.browse as b; b.directory();"
        "assert not {'torch', 'sae_lens', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_widths_and_sizes_are_what_publishers_say() -> None:
    known = {
        ("gemma-scope-2b-pt-res", "layer_12/width_65k/average_l0_72"): 65_536,
        ("gemma-scope-2b-pt-res", "layer_12/width_1m/average_l0_107"): 1 << 20,
        ("llama_scope_lxr_8x", "l3r_8x"): 32_768,
        ("llama_scope_r1_distill", "l0r_800m_slimpajama"): 32_768,
        ("gpt2-small-res-jb", "blocks.8.hook_resid_pre"): 24_576,
        ("gpt2-small-resid-post-v5-128k", "blocks.8.hook_resid_post"): 131_072,
        ("pythia-70m-deduped-res-sm", "blocks.3.hook_resid_post"): 32_768,
        ("sae_bench_gemma-2-2b_topk_width-2pow14_date-1109", "x"): 16_384,
        ("qwen-scope-3-8b-base-w64k-l50", "layer0"): 65_536,
        ("mwhanna-qwen3-4b-transcoders", "layer_0"): None,
    }
    for (release, sae_id), width in known.items():
        model = model_of("meta-llama/Llama-3.1-8B" if "llama" in release else "gpt2-small")
        assert width_of(release, sae_id, sae_id, model) == width, (release, sae_id)
    # Gemma 2 2B up to layer 12 of 26, and two matrices of 2,304 × 16,384.
    assert gigabytes(model_of("gemma-2-2b"), 12, 16_384) == pytest.approx(5.2 + 0.302, abs=0.01)
    assert gigabytes(None, 3, 100) is None


def test_what_stands_in_the_way_is_told() -> None:
    rows: list[dict[str, Any]] = [
        {"release": "a", "model": "pythia-70m-deduped", "gigabytes": 0.5, "reason": None},
        {"release": "b", "model": "Qwen/Qwen3.5-27B", "gigabytes": 108.0, "reason": None},
        {"release": "c", "model": "gemma-2-2b", "gigabytes": 5.0, "reason": None},
        {"release": "d", "model": "gemma-2-2b", "gigabytes": 5.0, "reason": "a temporal SAE"},
        {"release": "e", "model": "new", "gigabytes": None, "reason": None},
    ]
    table = pa.Table.from_pylist([dict.fromkeys(SCHEMA.names) | r for r in rows], schema=SCHEMA)
    said = why_not(table, 24.0, signed_in=False)
    assert [text.split(":")[0] for text in said] == [
        "",
        "memory",
        "gated model",
        "a temporal SAE",
        "",
    ]
    assert "108 GB, this computer has 24" in said[1]
    assert list(why_not(table, 240.0, signed_in=True)) == ["", "", "", "a temporal SAE", ""]


def test_entries_are_found_by_all_words() -> None:
    table, words, hindrance = searchable(signed=True)
    assert len(words) == len(hindrance) == len(table)
    for asked, holds in (("gemma-scope-2b LAYER 3 16k", ("layer_3/", "16k")), ("hook_z gpt2", ())):
        rows = np.flatnonzero(found(words, asked))
        assert len(rows)
        for sae_id in table["id"].take(rows).to_pylist():
            assert all(part in sae_id for part in holds)
    layers = set(table["layer"].take(np.flatnonzero(found(words, "layer 3"))).to_pylist())
    assert layers == {3}
    assert not found(words, "no such thing at all").any()


def test_a_newer_list_keeps_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "gpt2-small-res-jb"
    known = directory().filter(pc.equal(directory()["release"], name))
    monkeypatch.setattr(sae_directory, "release_names", lambda: [name, "mistral-7b-res-wg"])
    merged = sae_directory._merged(known)
    assert len(merged) == len(known) + 3
    assert merged.slice(0, len(known)).equals(known)
    new = merged.slice(len(known)).to_pylist()
    assert {entry["hook"] for entry in new} == {None}
    assert all(entry["l0"] for entry in new)


@pytest.mark.slow
def test_rows_are_what_saelens_makes_of_them() -> None:
    from benchmarks.sae_directory import entries_of

    table = directory().to_pylist()
    for release in (
        "gpt2-small-res-jb",
        "gemma-scope-2b-pt-res-canonical",
        "temporal-sae-gemma-2-2b",
    ):
        for entry in entries_of(release):
            (kept,) = (r for r in table if (r["release"], r["id"]) == (release, entry.sae_id))
            made = pa.Table.from_pylist([row(entry)], schema=SCHEMA).to_pylist()[0]
            assert kept == made
