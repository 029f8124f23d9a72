"""The reference engine against the native one: same tokens, same firings, same peaks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp_core.errors import AutointerpError, Cancelled, MissingDependency
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.run import Extraction, extract
from autointerp_core.extraction.sae_dashboard import engine
from autointerp_core.extraction.sae_dashboard.runner import load_bridge, run_sae_vis
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.study import Example, Study
from autointerp_core.store.study_record import Masks
from tests.core.tiny import TEXTS, tiny_llama, tiny_saelens, tiny_sparsify

TOLERANCE = 2e-4
"""DESIGN §3: of two activations, relative to the larger of |b| and 1 % of the feature's max."""
N_EXAMPLES = 20


@pytest.fixture(scope="module")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama, and texts from one character to three times the context."""
    root = tmp_path_factory.mktemp("world")
    tiny_llama(root / "model")
    texts = ["a", *TEXTS, " ".join(TEXTS), "x", TEXTS[0], TEXTS[0]]
    lines = [json.dumps({"text": text}) for text in texts]
    (root / "texts.jsonl").write_text("\n".join(lines))
    return root


def extract_with_dashboard(
    config: ExtractionConfig, studies: Path, progress: ProgressCallback = silent
) -> Extraction:
    return extract(dataclasses.replace(config, engine="sae-dashboard"), studies, progress)


def tiny_request(root: Path, sae: str = "topk", **changes: Any) -> ExtractionConfig:
    folder = root / sae
    if not folder.exists():
        more: dict[str, Any] = {"k": 8} if sae == "topk" else {}
        tiny_saelens(folder, architecture=sae, **more)
    request = ExtractionConfig(
        model_path=str(root / "model"),
        sae_path=str(folder),
        dataset_path=str(root / "texts.jsonl"),
        context_size=24,
        batch_sequences=3,
        block_features=24,
        n_examples=5,
        logits=False,
    )
    return dataclasses.replace(request, **changes)


def assert_same_peaks(ours: list[Example], theirs: list[Example], maximum: float) -> int:
    """Rank by rank the same activations, and the same positions unless two are a near tie.

    Returns the number of ranks where a near tie was decided otherwise.
    """
    assert len(ours) == len(theirs)
    swapped = 0
    values = np.asarray([example.activation for example in theirs])
    for rank, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        slack = TOLERANCE * max(b.activation, 0.01 * maximum)
        assert abs(a.activation - b.activation) <= slack
        at = (a.sequence_index, a.token_position), (b.sequence_index, b.token_position)
        if at[0] != at[1]:
            ties = np.abs(np.delete(values, rank) - b.activation) <= 2 * slack
            assert ties.any() or rank == len(theirs) - 1
            swapped += 1
    return swapped


def all_firings(study: Study) -> dict[tuple[int, int], float]:
    """Activation by (feature, token), masked positions included."""
    out: dict[tuple[int, int], float] = {}
    for part in study.passes:
        row, token, value = part.firings(0, len(part.features))
        at = zip(part.features[row].tolist(), token.tolist(), strict=True)
        out |= dict(zip(at, value.tolist(), strict=True))
    return out


@pytest.mark.slow
def test_agrees_with_native_on_the_demo(tmp_path: Path) -> None:
    from autointerp_core.sources.sae import inspect_sae

    features = np.random.default_rng(0).choice(inspect_sae("demo").d_sae, 100, replace=False)
    request = ExtractionConfig(
        model_path="demo",
        sae_path="demo",
        dataset_path="demo",
        features=tuple(int(feature) for feature in features),
        n_rows=100,
        context_size=64,
        batch_sequences=32,
        n_examples=N_EXAMPLES,
        logits=False,
    )
    native = extract(request, tmp_path).study
    reference = extract_with_dashboard(request, tmp_path).study
    assert reference.id == f"{native.id}-dashboard"
    for name in ("ids", "ends", "flags", "counted", "sequences", "text"):
        left, right = (study.folder / "tokens" / f"{name}.bin" for study in (native, reference))
        assert left.read_bytes() == right.read_bytes()
    assert reference.features.tolist() == sorted(request.features or ())
    compared = swapped = 0
    for feature in reference.features.tolist():
        ours, theirs = reference.examples(feature), native.examples(feature)
        swapped += assert_same_peaks(ours, theirs, native.stats(feature).max)
        compared += len(ours)
    assert compared > 500
    assert swapped <= 0.01 * compared
    np.testing.assert_allclose(reference.table["fired"], native.table["fired"], atol=1)


@pytest.mark.parametrize("sae", ["topk", "standard", "jumprelu", "gated"])
@pytest.mark.slow
def test_padding_bos_and_short_sequences(tiny_world: Path, tmp_path: Path, sae: str) -> None:
    """Sequences of 2 to 24 tokens in batches of three; a low bar makes some positions sinks."""
    request = tiny_request(tiny_world, sae, masks=Masks(sink_factor=1.15))
    native, reference = extract(request, tmp_path), extract_with_dashboard(request, tmp_path)
    left, right = native.study, reference.study
    counted = right.tokens.counted
    np.testing.assert_array_equal(left.tokens.counted, counted)
    special = right.tokens.flags & 1 > 0
    assert special.any()
    assert not counted[special].any()
    assert not counted[~special].all(), "no sink: the bar is too high for this test"
    lengths = np.diff(right.tokens.sequences)
    assert lengths.min() < 3
    assert lengths.max() == 24
    ours, theirs = all_firings(right), all_firings(left)
    assert ours.keys() == theirs.keys()
    scale = {f: right.stats(f).max for f in range(64)}
    for at, value in theirs.items():
        assert abs(ours[at] - value) <= TOLERANCE * max(value, 0.01 * scale[at[0]], 1e-3)
    for column in ("fired", "num_examples"):
        assert right.table[column].tolist() == left.table[column].tolist()
    for feature in range(64):
        assert_same_peaks(right.examples(feature), left.examples(feature), scale[feature])
    assert len(right.passes) == 3
    health = [study.info.health for study in (left, right)]
    assert health[1].fvu == pytest.approx(dict(health[0].fvu), rel=1e-3)


@pytest.mark.slow
def test_architecture_that_cannot_be_cut_by_columns(tiny_world: Path, tmp_path: Path) -> None:
    """sparsify's groupmax, which sae-dashboard has never heard of; no BOS, so peaks at 0."""
    tiny_sparsify(tiny_world / "groupmax", activation="groupmax")
    request = tiny_request(tiny_world, "groupmax", sae_id="blocks.2.hook_resid_post")
    native, reference = extract(request, tmp_path), extract_with_dashboard(request, tmp_path)
    ours, theirs = all_firings(reference.study), all_firings(native.study)
    assert ours.keys() == theirs.keys()
    first = set()
    for feature in range(64):
        mine, others = (run.study.examples(feature) for run in (reference, native))
        assert_same_peaks(mine, others, native.study.stats(feature).max)
        first |= {example.token_position for example in mine}
    assert 0 in first


@pytest.mark.parametrize("sae", ["topk", "standard"])
def test_sae_stays_as_it_was(tiny_world: Path, sae: str) -> None:
    """Decoder norms here are far from one, so folding would show in weights and values."""
    import torch

    from autointerp_core.sources.model import inspect_model, load_tokenizer
    from autointerp_core.sources.sae import load_sae

    request = tiny_request(tiny_world, sae)
    loaded = load_sae(request.sae_path).sae
    before = {name: t.numpy().tobytes() for name, t in loaded.state_dict().items()}
    modules, methods = dict(loaded.named_modules()), loaded.encode
    config = inspect_model(request.model_path)
    cpu = torch.device("cpu")
    bridge = load_bridge(config, load_tokenizer(config), torch.float32, cpu)
    tokens = torch.arange(60).reshape(5, 12)
    hook = "blocks.2.hook_resid_post"
    data = run_sae_vis(
        bridge, loaded, tokens, hook, range(10), minibatch_size_features=4, minibatch_size_tokens=2
    )
    assert {name: t.numpy().tobytes() for name, t in loaded.state_dict().items()} == before
    assert dict(loaded.named_modules()) == modules
    assert loaded.encode == methods
    assert list(data.feature_data_dict) == list(range(10))
    _, cache = bridge.run_with_cache(tokens, names_filter=[hook])
    acts = loaded.encode(cache[hook])
    assert data.feature_stats.max == pytest.approx(
        acts[..., :10].amax(dim=(0, 1)).tolist(), rel=1e-4
    )


@pytest.mark.slow
def test_stopped_run_goes_on_at_the_next_block(tiny_world: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "sae-dashboard" and progress.done >= 48:
            raise Cancelled("stop")

    request = tiny_request(tiny_world)
    with pytest.raises(Cancelled):
        extract_with_dashboard(request, tmp_path, stop)
    seen: list[Progress] = []
    resumed = extract_with_dashboard(request, tmp_path, seen.append)
    assert resumed.computed.tolist() == list(range(48, 64))
    assert [p.done for p in seen if p.stage == "sae-dashboard"][-1] == 16
    whole = extract_with_dashboard(request, tmp_path / "whole").study
    assert resumed.study.table.equals(whole.table)
    assert all_firings(resumed.study) == all_firings(whole)
    again = extract_with_dashboard(dataclasses.replace(request, features=(3, 5)), tmp_path)
    assert len(again.computed) == 0


@pytest.mark.slow
def test_out_of_memory_halves_the_batch(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    sizes: list[int] = []

    def scarce(*args: Any, **options: Any) -> Any:
        sizes.append(options["minibatch_size_tokens"])
        if sizes[-1] > 1:
            raise torch.cuda.OutOfMemoryError("injected")
        return run_sae_vis(*args, **options)

    request = tiny_request(tiny_world, batch_sequences=4)
    calm = extract_with_dashboard(request, tmp_path / "calm").study
    monkeypatch.setattr(engine, "run_sae_vis", scarce)
    study = extract_with_dashboard(request, tmp_path).study
    assert sizes == [4, 2, 1, 1, 1]
    assert all_firings(study).keys() == all_firings(calm).keys()


@pytest.mark.slow
def test_a_list_that_disagrees_is_refused(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*args: Any, **options: Any) -> Any:
        data = run_sae_vis(*args, **options)
        for feature in data.feature_data_dict.values():
            del feature.sequence_data.seq_group_data[0].seq_data[0]
        return data

    monkeypatch.setattr(engine, "run_sae_vis", wrong)
    with pytest.raises(AutointerpError, match="other top activations"):
        extract_with_dashboard(tiny_request(tiny_world), tmp_path)


def test_missing_package_says_how_to_install(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="pip install --no-deps"):
        extract_with_dashboard(tiny_request(tiny_world), tmp_path)
    assert not any(tmp_path.iterdir())
