"""``inspect-sae``: one JSON object that says what an SAE is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autointerp_core.sources.sae_describe import describe_sae
from benchmarks import published_saes as published
from benchmarks.published_saes import Published, Wanted
from tests.core.tiny import tiny_sparsify

KEYS = {
    "layout",
    "architecture",
    "d_in",
    "d_sae",
    "k",
    "hook",
    "hook_out",
    "model",
    "dtype",
    "normalisation",
    "context_size",
}


def wanted(reads: str = "hook_resid_post") -> Wanted:
    return Wanted(1, 32, 32, reads)


def made(folder: Path, which: str) -> Published:
    writers: dict[str, Any] = {
        "saelens": lambda: published.saelens(
            folder, wanted(), "topk", normalize_activations="layer_norm"
        ),
        "sparsify": lambda: published.sparsify(
            folder, wanted(), "topk_skip_transcoder", "layers.1.mlp"
        ),
        "dictionary_learning": lambda: published.dictionary_learning(
            folder, wanted(), "BatchTopKSAE"
        ),
        "gemma_scope": lambda: published.gemma_scope(folder, wanted(), "att"),
        "gemma_scope_2": lambda: published.gemma_scope_2(
            folder, wanted(), "transcoder", affine=True
        ),
        "openmoss": lambda: published.llamascopium(folder, wanted(), "jumprelu"),
        "goodfire": lambda: published.goodfire(folder, wanted()),
        "qwen_scope": lambda: published.qwen_scope(folder, wanted()),
        "circuit_tracer": lambda: published.transcoder_set(folder, wanted("mlp.hook_in")),
    }
    result: Published = writers[which]()
    return result


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("saelens", ("topk", 8, "blocks.1.hook_resid_post", None, "layer_norm")),
        (
            "sparsify",
            ("topk_skip_transcoder", 8, "blocks.1.mlp.hook_in", "layers.1.mlp.output", "none"),
        ),
        ("dictionary_learning", ("jumprelu", None, "blocks.1.hook_resid_post", None, "none")),
        ("gemma_scope", ("jumprelu", None, "blocks.1.attn.hook_z", None, "none")),
        (
            "gemma_scope_2",
            (
                "jumprelu_skip_transcoder",
                None,
                "blocks.1.mlp.hook_in",
                "blocks.1.hook_mlp_out",
                "none",
            ),
        ),
        ("openmoss", ("jumprelu", None, "blocks.1.hook_resid_post", None, "dataset-wise")),
        ("goodfire", ("standard", None, "blocks.1.hook_resid_post", None, "none")),
        ("qwen_scope", ("topk", 8, "blocks.1.hook_resid_post", None, "none")),
        (
            "circuit_tracer",
            ("transcoder", None, "blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out", "none"),
        ),
    ],
)
def test_every_layout_is_described(tmp_path: Path, which: str, expected: tuple[Any, ...]) -> None:
    sae = made(tmp_path / "sae", which)
    found = describe_sae(sae.path, sae.sae_id).to_json()
    assert found.keys() >= KEYS
    assert (
        found["architecture"],
        found["k"],
        found["hook"],
        found["hook_out"],
        found["normalisation"],
    ) == expected
    assert (found["layout"], found["d_in"], found["d_sae"]) == (which, 32, 64)
    assert found["dtype"] == "float32"
    json.dumps(found, allow_nan=False)


def test_what_is_unusual_is_said(tmp_path: Path) -> None:
    made(tmp_path / "a", "sparsify")
    assert any("skip connection" in note for note in describe_sae(str(tmp_path / "a")).unusual)
    tiny_sparsify(tmp_path / "b", 2)
    assert describe_sae(str(tmp_path / "b")).unusual == ()


@pytest.mark.slow
def test_the_command_prints_one_json_object(tmp_path: Path) -> None:
    made(tmp_path, "saelens")
    command = [sys.executable, "-m", "autointerp_core", "inspect-sae"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["hook"] == "blocks.1.hook_resid_post"
    failed = subprocess.run(
        [*command, str(tmp_path / "absent")], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert "not found" in failed.stderr.splitlines()[-1]
