"""delphi: its files, its own loader, constructor, sampler and detection scorer, and back in."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import orjson
import pytest
from safetensors.numpy import load_file

from autointerp_core.errors import BadInput
from autointerp_core.exchange.formats.delphi import ROW
from autointerp_core.exchange.imports import import_path
from autointerp_core.exchange.readers.delphi import same_place
from autointerp_core.exchange.run import export_features
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from benchmarks.synthetic import write_study
from tests.core.exchange_fixtures import SAE, awkward_study

HOOK = "blocks.9.hook_resid_post"
_NEVER_CALLED = (
    "vllm",
    "vllm.distributed",
    "vllm.distributed.parallel_state",
    "vllm.inputs",
    "faiss",
    "sentence_transformers",
    "blobfile",
    "tiktoken",
)


@pytest.fixture
def awkward(own_home: Path) -> Iterator[tuple[Study, LabelHistory]]:
    with awkward_study(own_home) as found:
        yield found


def test_the_cache_holds_every_counted_firing_where_it_was(
    awkward: tuple[Study, LabelHistory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, history = awkward
    monkeypatch.setattr("autointerp_core.exchange.formats.delphi.LATENTS_A_FILE", 5)
    export_features(study, history, "delphi", [1, 3, 11], tmp_path)
    folder = tmp_path / "latents" / HOOK
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [
        "0_4.safetensors", "10_11.safetensors", "5_9.safetensors",
    ]  # fmt: skip
    found = load_file(folder / "0_4.safetensors")
    assert found["locations"].dtype == np.uint16
    assert found["activations"].dtype == np.float16
    ids = found["tokens"].ravel()
    assert ids[: study.tokens.n_tokens].tolist() == study.tokens.ids.tolist()
    assert found["tokens"].shape[1] == ROW
    for feature in (1, 3):
        mine = found["locations"][:, 2] == feature
        token = found["locations"][mine, 0].astype(int) * ROW + found["locations"][mine, 1]
        _, fired, activation = study.firings(feature)
        counted = study.tokens.counted[fired] > 0
        assert token.tolist() == fired[counted].tolist()
        assert found["activations"][mine] == pytest.approx(activation[counted], rel=1e-3)
    assert len(load_file(folder / "5_9.safetensors")["activations"]) == 0
    text = (tmp_path / "explanations" / f"{HOOK}_latent3.txt").read_bytes()
    assert orjson.loads(text) == history.state(SAE, 3, study.id).label


def _delphis_folder(path: Path, truth: str, module: str = "layers.9") -> Path:
    """A results folder as delphi writes it."""
    for feature, text in {2: 'rivers, "quoted"\nand 日本', 4: "one " * 12}.items():
        for part, content in (
            ("explanations", text),
            ("scores/detection", [_judged(truth, i, feature) for i in range(8)]),
            ("scores/fuzz", [_judged(truth, i, 0) for i in range(4)]),
        ):
            file = path / part / f"{module}_latent{feature}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(orjson.dumps(content))
    return path


def _judged(truth: str, number: int, seed: int) -> dict[str, Any]:
    true = number % 2 == 0
    said = None if number == 7 else (true if number < 4 + seed else not true)
    return {"str_tokens": ["a"], "activations": [1.0], "distance": 1, truth: true,
            "prediction": said, "probability": None, "correct": said == true}  # fmt: skip


@pytest.mark.parametrize("truth", ["activating", "ground_truth"])
def test_explanations_and_scores_come_in_and_twice_adds_nothing(
    truth: str, awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    folder = _delphis_folder(tmp_path / "results", truth)
    report = import_path(study, history, folder, "delphi", author="Ana")
    assert (report.labels, report.scores, len(report.refused)) == (1, 2, 1)
    again = import_path(study, history, folder, "delphi", author="Ana")
    assert (again.labels, again.scores) == (0, 0)
    state = history.state(SAE, 2, study.id)
    (proposal,) = [p for p in state.proposals if p.source == "import:delphi"]
    assert proposal.text == 'rivers, "quoted" and 日本'
    # By hand: of 4 firing windows 3 are judged right, of 3 silent ones that were judged, 3.
    assert proposal.scores["delphi detection"]["value"] == pytest.approx((3 / 4 + 3 / 3) / 2)
    assert proposal.scores["delphi detection"]["n_missing"] == 1
    assert proposal.scores["delphi fuzz"]["value"] == 1.0
    assert state.status == "unreviewed"


def test_what_is_not_delphis_or_not_this_sae_is_said(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    cases: list[tuple[Path, str]] = [(tmp_path, "neither explanations/ nor scores/")]
    other = _delphis_folder(tmp_path / "other", "activating", "layers.5")
    cases.append((other, "is about layers.5; this study's hook point is"))
    for name, content, says in (
        ("text", b"plain words", "is not JSON"),
        ("list", b"[1]", "expected one JSON string"),
    ):
        folder = tmp_path / name
        (folder / "explanations").mkdir(parents=True)
        (folder / "explanations" / f"{HOOK}_latent1.txt").write_bytes(content)
        cases.append((folder, says))
    wide = tmp_path / "wide"
    (wide / "explanations").mkdir(parents=True)
    (wide / "explanations" / "layers.9_latent4096.txt").write_bytes(b'"x"')
    cases.append((wide, "feature 4,096; this study's SAE has 12 features"))
    blind = _delphis_folder(tmp_path / "blind", "truth")
    cases.append((blind, "neither activating nor ground_truth"))
    for folder, says in cases:
        with pytest.raises(BadInput, match=says):
            import_path(study, history, folder, "delphi", author="Ana")


@pytest.mark.parametrize(
    ("module", "hook", "same"),
    [
        (HOOK, HOOK, True),
        ("layers.9", HOOK, True),
        ("model.layers.9", HOOK, True),
        ("layers.9.mlp", "blocks.9.hook_mlp_out", True),
        ("layers.9.mlp", HOOK, False),
        ("layers.19", HOOK, False),
    ],
)
def test_modules_are_known_as_hook_points(module: str, hook: str, same: bool) -> None:
    assert same_place(module, hook) is same


@pytest.fixture
def only_delphi(monkeypatch: pytest.MonkeyPatch) -> None:
    """What delphi imports and never calls here (vLLM, FAISS …) stands in as nothing."""
    for name in _NEVER_CALLED:
        nothing = MagicMock()
        nothing.__spec__ = ModuleSpec(name, None)  # others ask whether it is installed
        monkeypatch.setitem(sys.modules, name, nothing)


@pytest.mark.slow
def test_delphis_own_loader_and_detection_scorer_run_on_our_export(
    only_delphi: None, own_home: Path, tmp_path: Path
) -> None:
    """Loader, constructor, sampler, detection scorer with a scripted model; scores come back."""
    from delphi.clients.client import Response
    from delphi.config import ConstructorConfig, SamplerConfig
    from delphi.latents import LatentDataset
    from delphi.scorers.classifier.detection import DetectionScorer

    write_study(own_home / "studies" / "made", 6, 40, fingerprint=SAE)
    study = Study(own_home / "studies" / "made")
    with LabelHistory.open() as history:
        history.record(SAE, 2, "generated", "about words", source="search", study=study.id)
        export_features(study, history, "delphi", range(6), tmp_path)
        vocabulary = study.tokens.vocab

        class Words:
            """A tokenizer that only decodes, which is all that is asked of it."""

            pad_token_id = 0

            def batch_decode(self, ids: Any, **_: Any) -> list[str]:
                return [vocabulary[int(i)] for i in np.ravel(np.asarray(ids))]

            def decode(self, ids: Any, **_: Any) -> str:
                return "".join(self.batch_decode(ids))

        import torch

        dataset = LatentDataset(
            raw_dir=tmp_path / "latents",
            sampler_cfg=SamplerConfig(n_examples_train=5, n_examples_test=8, n_quantiles=2),
            constructor_cfg=ConstructorConfig(
                example_ctx_len=32, min_examples=10, n_non_activating=8
            ),
            tokenizer=Words(),
            modules=[HOOK],
            latents={HOOK: torch.tensor([2])},
        )
        (record,) = list(dataset)
        assert record.latent.latent_index == 2
        strongest = max(example.max_activation for example in record.examples)
        assert strongest == pytest.approx(study.stats(2).max, rel=1e-3)
        shown = record.train[0]
        # The window delphi cut is the study's own text, with our activations on it.
        top = int(shown.activations.argmax())
        assert shown.str_tokens[top] in {e.tokens[e.peak_index] for e in study.examples(2)}

        class Scripted:
            async def generate(self, prompt: Any, **_: Any) -> Response:
                return Response(text="[1]")

        record.explanation = orjson.loads(
            (tmp_path / "explanations" / f"{HOOK}_latent2.txt").read_bytes()
        )
        scorer = DetectionScorer(Scripted(), n_examples_shown=1)
        result = asyncio.run(scorer(record))
        folder = tmp_path / "scores" / "detection"
        folder.mkdir(parents=True)
        (folder / f"{record.latent}.txt").write_bytes(orjson.dumps(result.score))
        (tmp_path / "latents" / HOOK / "config.json").unlink()  # as if delphi had cached it itself
        report = import_path(study, history, tmp_path, "delphi", author="Ana")
        assert (report.labels, report.scores) == (1, 1)
        state = history.state(SAE, 2, study.id)
        score = next(p for p in state.proposals if p.scores).scores["delphi detection"]
        # Always yes: all firing windows right, all silent ones wrong.
        assert score["value"] == pytest.approx(0.5)
        assert score["n"] == len(result.score)
        assert json.dumps(dict(score))
