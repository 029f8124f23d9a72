"""The hub: working downloads, and each way it can say no, against a real HTTP server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from autointerp_core.errors import BadInput, ModelSourceError, SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.model import (
    inspect_model,
    load_tokenizer,
    load_truncated,
    model_fingerprint,
)
from autointerp_core.sources.sae import inspect_sae, load_sae
from tests.core.fake_hub import COMMIT, FakeHub, fake_hub
from tests.core.tiny import tiny_llama, tiny_sparsify, tiny_topk_saelens

HOOK = "blocks.2.hook_resid_post"
NOWHERE = "http://127.0.0.1:9"


def point_at(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub() as server:
        point_at(monkeypatch, server.url, tmp_path / "cache")
        yield server


def test_a_model_is_downloaded_config_first(hub: FakeHub, tmp_path: Path) -> None:
    hub.repos["me/tiny"] = tiny_llama(tmp_path / "tiny")
    config = inspect_model("me/tiny")
    assert hub.downloads == ["config.json"]
    assert (config.name, config.path, config.is_local) == ("me/tiny", "me/tiny", False)
    assert (config.n_layers, config.d_model, config.revision) == (4, 32, COMMIT)
    assert model_fingerprint(config) == f"hub:{COMMIT}"
    local = inspect_model(str(tmp_path / "tiny"))
    hook = HookPoint(1, "resid_post")
    ids = torch.arange(20)[None]
    runs = [
        load_truncated(c, 2, torch.float32, torch.device("cpu")).run(ids, [hook])[hook]
        for c in (config, local)
    ]
    assert torch.equal(*runs)
    assert load_tokenizer(config).is_fast


@pytest.mark.parametrize("layout", ["saelens", "sparsify"])
def test_only_the_sae_asked_for_is_downloaded(hub: FakeHub, tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "saes"
    for layer in (1, 2):
        if layout == "sparsify":
            tiny_sparsify(folder, layer)
        else:
            tiny_topk_saelens(folder / f"l{layer}", hook=f"blocks.{layer}.hook_resid_post")
    hub.repos["me/saes"] = folder
    config = inspect_sae("me/saes", HOOK)
    assert config.hook.layer == 2
    assert not [name for name in hub.downloads if name.endswith(".safetensors")]
    loaded = load_sae("me/saes", HOOK)
    fetched = [name for name in hub.downloads if name.endswith(".safetensors")]
    assert len(fetched) == 1
    assert "2" in fetched[0]
    assert loaded.fingerprint == load_sae(str(folder), HOOK).fingerprint
    with pytest.raises(SAESourceError, match=r"holds no SAE of blocks\.7"):
        inspect_sae("me/saes", "blocks.7.hook_resid_post")


@pytest.mark.slow
def test_a_saelens_release(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sae_id = "blocks.8.hook_resid_pre"
    folder = tmp_path / "repo"
    tiny_topk_saelens(folder / sae_id, hook=sae_id, metadata={"model_name": "gpt2-small"})
    hub.repos["jbloom/GPT2-Small-SAEs-Reformatted"] = folder
    config = inspect_sae("gpt2-small-res-jb", sae_id)
    assert (config.layout, config.hook.name) == ("release", sae_id)
    assert config.center_input
    assert config.recorded_fvu is not None
    loaded = load_sae("gpt2-small-res-jb", sae_id)
    x = torch.randn(5, 32)
    plain = load_sae(str(folder / sae_id)).sae
    torch.testing.assert_close(loaded.sae.encode(x), plain.encode(x - x.mean(-1, keepdim=True)))


@pytest.mark.parametrize("which", ["gemma_scope", "qwen_scope", "goodfire", "circuit_tracer"])
@pytest.mark.slow
def test_a_repository_that_only_its_files_explain(hub: FakeHub, tmp_path: Path, which: str) -> None:
    from benchmarks import published_saes as published

    wanted = published.Wanted(2, 32, 32, "hook_resid_post")
    root = tmp_path / "files"
    if which == "gemma_scope":
        made = published.gemma_scope(root, wanted, "res")
        repo, sae_id = "gemma-scope-2b-pt-res", "layer_2/width_16k/average_l0_71"
        folder = root / repo
    elif which == "qwen_scope":
        made = published.qwen_scope(root, wanted)
        repo, sae_id = "SAE-Res-Qwen3-8B-Base-W64K-L0_8", "layer2.sae.pt"
        folder = root / repo
    elif which == "goodfire":
        made = published.goodfire(root, wanted)
        repo, sae_id, folder = "Llama-SAE", "Llama-3.1-8B-Instruct-SAE-l2", root
    else:
        made = published.transcoder_set(root, replace(wanted, reads="mlp.hook_in"))
        repo, sae_id, folder = "some-transcoders", "layer_2", root
    hub.repos[f"me/{repo}"] = folder
    loaded = load_sae(f"me/{repo}", sae_id)
    assert loaded.config.layout == which
    x = torch.randn(50, 32)
    torch.testing.assert_close(loaded.sae.encode(x), made.encode(x), rtol=1e-5, atol=1e-5)
    fetched = [name for name in hub.downloads if name.endswith((".npz", ".pt", ".pth", "rs"))]
    assert len(fetched) == 1
    assert load_sae(f"me/{repo}").fingerprint == loaded.fingerprint  # there is only one


@pytest.mark.slow
def test_another_file_of_such_a_repository_is_fetched_when_asked_for(
    hub: FakeHub, tmp_path: Path
) -> None:
    from benchmarks import published_saes as published

    for layer in (1, 2):
        wanted = published.Wanted(layer, 32, 32, "mlp.hook_in")
        published.transcoder_set(tmp_path / "files", wanted)
    hub.repos["me/set"] = tmp_path / "files"
    with pytest.raises(SAESourceError, match="several SAEs, say which by sae_id: layer_1"):
        load_sae("me/set")
    with pytest.raises(SAESourceError, match=r"holds no 'layer_9': layer_1\.safetensors"):
        load_sae("me/set", "layer_9")
    assert load_sae("me/set", "layer_1").config.hook.layer == 1
    assert load_sae("me/set", "layer_2").config.hook.layer == 2
    assert sum(name.endswith(".safetensors") for name in hub.downloads) == 2


Open = Callable[[str], object]
OPENERS: list[tuple[Open, type[BadInput]]] = [
    (inspect_model, ModelSourceError),
    (inspect_sae, SAESourceError),
]


def said(opener: Open, kind: type[BadInput], given: str) -> str:
    with pytest.raises(kind) as caught:
        opener(given)
    assert "\n" not in str(caught.value)
    assert given in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("opener", "kind"), OPENERS)
def test_gated_says_how_to_log_in(hub: FakeHub, opener: Open, kind: type[BadInput]) -> None:
    hub.gated.add("meta/gated")
    message = said(opener, kind, "meta/gated")
    assert "is gated" in message
    assert "`hf auth login`" in message
    assert "HF_TOKEN" in message


@pytest.mark.parametrize(("opener", "kind"), OPENERS)
def test_not_found(hub: FakeHub, opener: Open, kind: type[BadInput]) -> None:
    assert "neither on disk nor on the hub" in said(opener, kind, "me/absent")


@pytest.mark.parametrize(("opener", "kind"), OPENERS)
def test_a_hub_that_is_down(hub: FakeHub, opener: Open, kind: type[BadInput]) -> None:
    hub.broken.add("me/broken")
    assert "me/broken" in said(opener, kind, "me/broken")


@pytest.mark.parametrize(("opener", "kind"), OPENERS)
def test_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opener: Open, kind: type[BadInput]
) -> None:
    point_at(monkeypatch, NOWHERE, tmp_path)
    message = said(opener, kind, "me/model")
    assert f"out of reach (no answer from {NOWHERE})" in message


@pytest.mark.parametrize(("opener", "kind"), OPENERS)
def test_offline_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opener: Open, kind: type[BadInput]
) -> None:
    point_at(monkeypatch, NOWHERE, tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in said(opener, kind, "me/model")


@pytest.mark.slow
def test_what_is_in_the_cache_works_offline(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["me/saes"] = tiny_sparsify(tmp_path / "saes", 2)
    hub.repos["me/tiny"] = tiny_llama(tmp_path / "tiny")
    mark = load_sae("me/saes", HOOK).fingerprint
    load_tokenizer(inspect_model("me/tiny"))
    point_at(monkeypatch, NOWHERE, tmp_path / "cache")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_sae("me/saes", HOOK).fingerprint == mark
    assert load_tokenizer(inspect_model("me/tiny")).is_fast


def test_no_hub_id_at_all(hub: FakeHub) -> None:
    assert "no hub id" in said(inspect_model, ModelSourceError, "what is this")


def test_a_repository_without_a_config(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/readme.md").write_text("hello")
    hub.repos["me/empty"] = tmp_path / "repo"
    assert "config.json" in said(inspect_model, ModelSourceError, "me/empty")
    assert "cfg.json" in said(inspect_sae, SAESourceError, "me/empty")


def _dataset_error(tmp_path: Path, given: str, **environment: str) -> str:
    """Open a hub dataset in a fresh process: datasets reads the endpoint at import."""
    script = (
        "import sys\n"
        "from autointerp_core.errors import DatasetSourceError\n"
        "from autointerp_core.sources.dataset import open_dataset\n"
        "try:\n"
        f"    rows = open_dataset({given!r}, 'text', 3)\n"
        "    texts = [list(rows.iterate()) for _ in range(2)]\n"
        "    print(rows.n_rows, texts[0], texts[0] == texts[1])\n"
        "except DatasetSourceError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_datasets_on_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "train.jsonl").write_text(
        '{"text": "a"}\n{"text": null}\n{"text": "ü"}\n{"text": "x"}'
    )
    with fake_hub() as server:
        server.repos["me/texts"] = folder
        server.gated.add("me/gated")
        answers = {
            name: _dataset_error(tmp_path, name, HF_ENDPOINT=server.url)
            for name in ("me/texts", "me/gated", "me/absent")
        }
    assert answers["me/texts"] == "3 ['a', '', 'ü'] True"
    assert "`hf auth login`" in answers["me/gated"]
    assert "neither on disk nor on the hub" in answers["me/absent"]
    assert all("\n" not in answer for answer in answers.values())


@pytest.mark.slow
def test_datasets_out_of_reach(tmp_path: Path) -> None:
    assert "HF_HUB_OFFLINE is set" in _dataset_error(tmp_path, "me/texts", HF_HUB_OFFLINE="1")
    message = _dataset_error(tmp_path, "me/texts", HF_ENDPOINT=NOWHERE)
    assert f"no answer from {NOWHERE}" in message
    assert "\n" not in message
