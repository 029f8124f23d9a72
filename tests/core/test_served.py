"""A request carried out before is known again without torch; anything that changed is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autointerp_core.errors import FeatureRequestError
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.resolve import ResolvedExtraction, resolve
from autointerp_core.extraction.run import extract
from autointerp_core.extraction.served import request_key
from autointerp_core.progress import ProgressCallback
from autointerp_core.store.study_record import Masks
from tests.core.extraction_fixtures import HOOK, Tiny, data_files, make_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"), 8)


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[ExtractionConfig]:
    """What had to be resolved."""
    found: list[ExtractionConfig] = []

    def counting(
        config: ExtractionConfig, progress: ProgressCallback, *more: Any
    ) -> ResolvedExtraction:
        found.append(config)
        return resolve(config, progress, *more)

    monkeypatch.setattr("autointerp_core.extraction.run.resolve", counting)
    return found


@pytest.mark.slow
def test_a_rerun_resolves_nothing_and_writes_nothing(
    tiny: Tiny, tmp_path: Path, resolved: list[ExtractionConfig]
) -> None:
    first = extract(tiny.request(), tmp_path).study
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    for config in (
        tiny.request(),
        tiny.request(features=(3, 60)),
        tiny.request(batch_sequences=2, n_examples=3, logits=False),
    ):
        again = extract(config, tmp_path)
        assert again.study.id == first.id
        assert again.computed.tolist() == []
    assert len(resolved) == 1
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.slow
def test_what_a_study_lacks_is_resolved(
    tiny: Tiny, tmp_path: Path, resolved: list[ExtractionConfig]
) -> None:
    few = tiny.request(features=(3, 7), n_examples=4, logits=False, keep="asked")
    study = extract(few, tmp_path).study
    for config in (
        replace(few, features=(3, 8)),
        replace(few, n_examples=5),
        replace(few, logits=True),
    ):
        resolved.clear()
        assert extract(config, tmp_path).study.id == study.id
        assert resolved == [config]
        extract(config, tmp_path)
        assert resolved == [config]
    with pytest.raises(FeatureRequestError, match="64"):
        extract(replace(few, features=(64,)), tmp_path)
    with pytest.raises(FeatureRequestError, match="empty"):
        extract(replace(few, features=()), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: replace(c, n_rows=5),
        lambda c: replace(c, context_size=12),
        lambda c: replace(c, masks=Masks(sink_factor=2.0)),
        lambda c: replace(c, dtype="float32"),
        lambda c: replace(c, prepend_bos=True),
        lambda c: replace(c, engine="sae-dashboard"),
    ],
)
def test_parameters_that_may_mean_another_study_make_another_request(
    tiny: Tiny, change: Callable[[ExtractionConfig], ExtractionConfig]
) -> None:
    assert request_key(change(tiny.request())) != request_key(tiny.request())


def test_a_changed_file_makes_another_request(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "tiny", 8)
    config = tiny.request()
    keys = [request_key(config)]
    assert request_key(config) == keys[0]
    for path in (
        tiny.dataset,
        next(tiny.saelens.rglob("cfg.json")),
        next(tiny.saelens.rglob("*.safetensors")),
        tiny.model / "tokenizer.json",
        tiny.model / "model.safetensors",
    ):
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        keys.append(request_key(config))
    assert None not in keys
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "change",
    [{"model_path": "org/model"}, {"sae_path": "org/sae"}, {"dataset_path": "org/texts"}],
    ids=str,
)
def test_what_is_on_the_hub_is_asked_again(tiny: Tiny, change: dict[str, str]) -> None:
    assert request_key(tiny.request(**change)) is None


@pytest.mark.slow
def test_a_rerun_imports_no_model_library(tiny: Tiny, tmp_path: Path) -> None:
    study = extract(tiny.request(), tmp_path / "studies").study
    script = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from autointerp_core.extraction.config import ExtractionConfig\n"
        "from autointerp_core.extraction.run import extract\n"
        "params = json.loads(sys.argv[1])\n"
        "done = extract(ExtractionConfig.from_params(params), Path(sys.argv[2]))\n"
        "heavy = [m for m in ('torch', 'transformers', 'sae_lens') if m in sys.modules]\n"
        "print(done.study.id, heavy)"
    )
    params = {
        "model_path": str(tiny.model),
        "sae_path": str(tiny.saelens),
        "sae_id": HOOK,
        "dataset_path": str(tiny.dataset),
        "device": "cpu",
        "context_size": 24,
        "prepend_bos": False,
        "feature_indices": "3,5",
    }
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(params), str(tmp_path / "studies")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.split(maxsplit=1) == [study.id, "[]\n"]


def test_a_damaged_log_of_runs_only_costs_time(
    tiny: Tiny, tmp_path: Path, resolved: list[ExtractionConfig]
) -> None:
    study = extract(tiny.request(), tmp_path).study
    whole = data_files(study.folder)
    (study.folder / "run.json").write_text('{"runs": [], "requests": 3}')
    extract(tiny.request(), tmp_path)
    assert len(resolved) == 2
    assert data_files(study.folder) == whole
