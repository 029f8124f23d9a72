"""Several SAEs in one pass of the model: each study is the one it gets alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp_core.cli import main
from autointerp_core.errors import Cancelled, SAESourceError
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.run import extract
from autointerp_core.extraction.several import extract_several, sae_ids
from autointerp_core.progress import Progress
from autointerp_core.sources.model import TruncatedModel
from tests.core.extraction_fixtures import Tiny, data_files, make_tiny
from tests.core.tiny import tiny_saelens, tiny_sparsify, tiny_topk_saelens


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Its folder ``saelens`` holds an SAE of each of three layers."""
    found = make_tiny(tmp_path_factory.mktemp("tiny"), 30)
    several = found.model.parent / "several"
    for layer in (0, 2):
        hook = f"blocks.{layer}.hook_resid_post"
        tiny_topk_saelens(several / hook, hook=hook)
    tiny_saelens(
        several / "blocks.1.hook_resid_post", hook="blocks.1.hook_resid_post",
        architecture="jumprelu",
    )  # fmt: skip
    return replace(found, saelens=several)


def requests(tiny: Tiny, **changes: Any) -> list[ExtractionConfig]:
    ids = sae_ids(str(tiny.saelens), "all")
    assert ids == [f"blocks.{n}.hook_resid_post" for n in range(3)]
    return [tiny.request(sae_id=one, **changes) for one in ids]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of each run of the model from now on, padding included."""
    run, seen = TruncatedModel.run, []

    def counting(self: TruncatedModel, ids: torch.Tensor, hooks: Any) -> Any:
        seen.append(ids.numel())
        return run(self, ids, hooks)

    monkeypatch.setattr(TruncatedModel, "run", counting)
    return seen


@pytest.mark.slow
def test_each_study_is_the_one_it_gets_alone_and_the_model_runs_once(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch)
    alone = []
    costs = []
    for request in requests(tiny):
        seen.clear()
        alone.append(extract(request, tmp_path / "alone").study)
        costs.append(sum(seen))
    seen.clear()
    together = [done.study for done in extract_several(requests(tiny), tmp_path / "together")]
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.id == theirs.id
        assert data_files(ours.folder) == data_files(theirs.folder)
    # The shards once; only the health check is each study's own.
    shards = sum(len(study.tokens.ids) for study in alone[:1])
    assert sum(seen) < sum(costs) - shards


@pytest.mark.slow
def test_each_study_goes_on_where_it_stopped(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "extracting" and progress.done > 400:
            raise Cancelled("stopped")

    first, *others = requests(tiny)
    extract(first, tmp_path)
    with pytest.raises(Cancelled):
        extract_several(others, tmp_path, stop)
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("shards/0*")}
    done = extract_several([first, *others], tmp_path)
    assert [len(each.computed) for each in done] == [0, 64, 64]
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    whole = [extract(each, tmp_path / "whole").study for each in (first, *others)]
    for ours, theirs in zip(done, whole, strict=True):
        assert data_files(ours.study.folder) == data_files(theirs.folder)
    seen = counted(monkeypatch)
    assert not any(len(each.computed) for each in extract_several([first, *others], tmp_path))
    assert not seen


def test_a_sparsify_folder_has_a_study_a_layer(tiny: Tiny, tmp_path: Path) -> None:
    for layer in (0, 1, 10):
        tiny_sparsify(tmp_path / "sparse", layer)
    assert sae_ids(str(tmp_path / "sparse"), "all") == ["layers.0", "layers.1", "layers.10"]
    assert sae_ids(str(tmp_path / "sparse"), "layers.0") is None
    assert sae_ids(str(tmp_path / "sparse"), "layers.0, layers.1") == ["layers.0", "layers.1"]
    assert sae_ids(str(tmp_path / "sparse"), ("layers.1",)) == ["layers.1"]
    assert sae_ids("demo", "all") is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(SAESourceError, match="holds no SAE"):
        sae_ids(str(tmp_path / "empty"), "all")


def test_saes_of_different_models_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    for name in ("gpt2", "pythia"):
        tiny_topk_saelens(tmp_path / "saes" / name, metadata={"model_name": f"org/{name}"})
    configs = [
        tiny.request(sae_path=str(tmp_path / "saes"), sae_id=name) for name in ("gpt2", "pythia")
    ]
    with pytest.raises(SAESourceError, match=r"different models.*trained on gpt2.*on pythia"):
        extract_several(configs, tmp_path / "studies")
    assert not (tmp_path / "studies").exists()


@pytest.mark.slow
def test_from_the_command_line_each_has_a_folder(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path / "home"))
    status = main(
        ["label", "--feature-indices=1,2", f"--model-path={tiny.model}",
         f"--sae-path={tiny.saelens}", "--sae-id=all", f"--dataset-path={tiny.dataset}",
         "--context-size=24", "--n-samples=10", "--label-provider=none", "--device=cpu",
         f"--output-dir={tmp_path / 'out'}"]
    )  # fmt: skip
    assert status == 0
    for layer in range(3):
        written = tmp_path / "out" / f"blocks.{layer}.hook_resid_post" / "feature_labels.json"
        assert json.loads(written.read_bytes())["num_features"] == 2
    assert len(list((tmp_path / "home" / "studies").glob("tiny*/study.json"))) <= 3
    assert len(list((tmp_path / "home" / "studies").glob("*/study.json"))) == 3
