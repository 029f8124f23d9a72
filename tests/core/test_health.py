"""The health check: intervals that hold, rules that speak only where they may, controls."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp_core.extraction.fit import CHUNK_TOKENS, Fit, measure_fit
from autointerp_core.extraction.health import Reading, measure_health
from autointerp_core.extraction.health_rules import Findings, judge
from autointerp_core.extraction.health_sample import take_sample
from autointerp_core.extraction.run import extract
from autointerp_core.extraction.tokens import Tokenisation, write_tokens
from autointerp_core.progress import silent
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.model import inspect_model, load_tokenizer, load_truncated
from autointerp_core.sources.sae import LoadedSAE, inspect_sae, load_sae
from autointerp_core.store.study_record import Masks
from autointerp_core.store.tokenstore import TokenStore
from tests.core.extraction_fixtures import Tiny, make_tiny, tiny_texts
from tests.core.tiny import tiny_topk_saelens

CPU = torch.device("cpu")
OWN = HookPoint(2, "resid_post")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    torch.set_num_threads(1)
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def made_up(share: float, n: int = 600, seed: int = 0, l0: float = 10.0) -> Fit:
    """A fit that leaves ``share`` unexplained; tokens of a chunk are alike."""
    draws = np.random.default_rng(seed)
    chunks = np.arange(n) // CHUNK_TOKENS
    variance = (
        np.exp(draws.normal(0, 0.3, n)) * np.exp(draws.normal(0, 0.3, chunks.max() + 1))[chunks]
    )
    noise = np.exp(draws.normal(0, 0.2, n) - 0.02)
    return Fit(chunks, share * variance * noise, variance, np.full(n, l0))


def config(tiny: Tiny, **changes: Any) -> Any:
    return replace(inspect_sae(str(tiny.saelens)), **changes)


def findings(tiny: Tiny, own: Fit, sae: dict[str, Any] | None = None, **more: Any) -> Findings:
    """A right load, but for what is given."""
    return Findings(
        **{
            "hook": HookPoint(6, "resid_post"),
            "own": own,
            "neighbours": {},
            "config": config(tiny, **(sae or {})),
            "model_name": "tiny",
            "decoder_norms": np.ones(64, np.float32),
            **more,
        }
    )


def codes(found: Findings) -> list[str]:
    warnings = judge(found)
    assert all("\n" not in text for _, text in warnings)
    return [code for code, _ in warnings]


# --- the measure --------------------------------------------------------------------------------


def test_fvu_is_the_share_of_variance_unexplained(tiny: Tiny) -> None:
    """Against the formula, with loops; chunks and blocks change nothing."""
    sae = load_sae(str(tiny.saelens))
    torch.manual_seed(0)
    x = torch.randn(100, 32)
    fit = measure_fit(sae, x, None, np.arange(100) // CHUNK_TOKENS)
    made = sae.sae.decode(sae.sae.encode(x))
    mean = x.mean(0)
    unexplained = sum(float((a - b).square().sum()) for a, b in zip(x, made, strict=True))
    variance = sum(float((a - mean).square().sum()) for a in x)
    assert fit.fvu.value == pytest.approx(unexplained / variance, rel=1e-5)
    assert fit.mean_l0.value == pytest.approx(float((sae.sae.encode(x) != 0).sum(1).float().mean()))


def test_an_interval_holds_the_truth() -> None:
    """Samples of a population whose FVU is known: 99.7 % of intervals hold it, 96 % must."""
    inside = 0
    truth = made_up(0.3, n=400_000, seed=99).fvu.value
    for seed in range(200):
        sample = made_up(0.3, n=640, seed=seed).fvu
        inside += sample.low <= truth <= sample.high
    assert inside >= 192


def test_two_fits_of_the_same_tokens_are_told_apart_where_they_differ() -> None:
    one, other = made_up(0.30), made_up(0.33, seed=0)
    ratio = one.against(other)
    # The tokens are the same, so the difference is exact however few there are.
    assert ratio.value == pytest.approx(0.30 / 0.33)
    assert ratio.high < 1
    unlike = one.against(made_up(0.30, seed=5))
    assert unlike.low < 1 < unlike.high


def test_a_few_chunks_tell_nothing() -> None:
    one, other = made_up(0.2, n=100), made_up(0.9, n=100, seed=1)
    assert other.against(one).low < 1
    assert one.fvu.low == 0


# --- rules --------------------------------------------------------------------------------------


def test_a_right_load_is_silent(tiny: Tiny) -> None:
    own = made_up(0.2)
    found = findings(
        tiny,
        own,
        {"prepend_bos": False, "recorded_fvu": 0.19},
        neighbours={"below": made_up(0.25), "above": made_up(0.32)},
        here=own,
        kinds={"blocks.6.hook_mlp_out": made_up(1.1)},
        scaled={0.5: made_up(0.25), 2.0: made_up(0.21)},
        other_ids=made_up(0.5, seed=1),
        other_order=made_up(0.3, seed=1),
        other_bos=made_up(0.2),
    )
    assert codes(found) == []


@pytest.mark.parametrize(
    ("code", "own", "sae", "more"),
    [
        ("neighbour", 0.3, {}, {"neighbours": {"blocks.5.hook_resid_post": 0.2}}),
        ("hook_kind", 0.6, {}, {"kinds": {"blocks.6.hook_mlp_out": 0.2}}),
        ("fvu", 1.3, {}, {}),
        ("recorded_fvu", 0.5, {"recorded_fvu": 0.2}, {}),
        ("scale", 0.4, {}, {"scaled": {0.25: 0.2}}),
        ("token_ids", 0.5, {}, {"other_ids": 0.5}),
        ("token_order", 0.3, {}, {"other_ids": 0.6, "other_order": 0.3}),
        ("bos", 0.3, {}, {"other_bos": 0.2}),
        ("bos", 0.2, {"prepend_bos": True}, {"other_bos": 0.2}),
    ],
)
def test_each_mistake_has_its_warning(
    tiny: Tiny, code: str, own: float, sae: dict[str, Any], more: dict[str, Any]
) -> None:
    def fit(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fit(each) for name, each in value.items()}
        return made_up(value)

    found = findings(
        tiny,
        made_up(own),
        {"prepend_bos": False, **sae},
        here=made_up(own),
        **{name: fit(value) for name, value in more.items()},
    )
    assert codes(found) == [code]


def test_few_tokens_raise_no_alarm(tiny: Tiny) -> None:
    """The same shares, where chance may have made them."""
    few = [made_up(share, n=180, seed=seed) for seed, share in enumerate((0.30, 0.29, 0.33))]
    found = findings(
        tiny,
        few[0],
        {"prepend_bos": False, "recorded_fvu": 0.19},
        neighbours={"below": few[1]},
        here=few[0],
        other_ids=few[2],
        other_bos=few[1],
    )
    assert codes(found) == []


def test_the_model_it_was_trained_on_is_named(tiny: Tiny) -> None:
    found = findings(tiny, made_up(1.4), {"model_name": "org/Other-1B", "prepend_bos": False})
    text = dict(judge(found))["fvu"]
    assert "trained on org/Other-1B, this is tiny" in text


def test_fewer_or_more_latents_than_declared(tiny: Tiny) -> None:
    sae = {"recorded_l0": 40.0, "k": None, "prepend_bos": False}
    for l0, told in ((12.0, ["l0"]), (110.0, ["l0"]), (25.0, []), (70.0, [])):
        assert codes(findings(tiny, made_up(0.2, l0=l0), sae)) == told
    fixed = {**sae, "k": 8}
    assert codes(findings(tiny, made_up(0.2, l0=8.0), fixed)) == []


def test_noise_on_unit_rows_is_seen_and_other_lengths_are_not(tiny: Tiny) -> None:
    draws = np.random.default_rng(0)
    rows = draws.normal(size=(4_000, 32))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def told(weights: Any) -> list[str]:
        norms = np.linalg.norm(weights, axis=1).astype(np.float32)
        own = made_up(0.2)
        return codes(findings(tiny, own, {"prepend_bos": False}, decoder_norms=norms))

    assert told(rows) == []
    assert told(rows.astype(np.float16).astype(np.float32)) == []
    assert told(rows * draws.uniform(0.9, 1.2, (4_000, 1))) == []
    assert told(rows + 0.1 / 32**0.5 * draws.normal(size=rows.shape)) == ["weights"]


def test_more_latents_explain_more_and_prove_nothing(tiny: Tiny) -> None:
    """Longer vectors pass a threshold more often; only a fixed k makes that comparable."""
    found = findings(
        tiny,
        made_up(0.4),
        {"k": None, "prepend_bos": False},
        here=made_up(0.4),
        scaled={4.0: made_up(0.2)},
    )
    assert codes(found) == []
    assert codes(replace(found, scaled={0.25: made_up(0.2)})) == ["scale"]


# --- the sample and its controls ----------------------------------------------------------------


def tokens_of(tiny: Tiny, folder: Path, prepend_bos: bool = False) -> TokenStore:
    tokenizer = load_tokenizer(inspect_model(str(tiny.model)))
    texts = tiny_texts()
    how = Tokenisation.of(tokenizer, 24, prepend_bos)
    write_tokens(folder, texts, len(texts), tokenizer, how, silent)
    return TokenStore(folder)


def test_vectors_of_the_sample_are_the_models(tiny: Tiny, tmp_path: Path) -> None:
    """Batched and padded, against one sequence at a time; specials and the limit left out."""
    store = tokens_of(tiny, tmp_path / "tokens", prepend_bos=True)
    model = load_truncated(inspect_model(str(tiny.model)), 3, torch.float32, CPU)
    sample, vectors = take_sample(model, [OWN], store, Masks(sinks=False), 0.0, 150)
    assert sample.n_tokens == len(vectors[OWN]) == 150
    expected = []
    for sequence in range(store.n_sequences):
        low, high = (int(x) for x in store.sequences[sequence : sequence + 2])
        if high > low:
            ids = torch.from_numpy(np.asarray(store.ids[low:high]).astype(np.int64))[None]
            expected.append(model.run(ids, [OWN])[OWN][0, 1:])
    torch.testing.assert_close(vectors[OWN], torch.cat(expected)[:150], rtol=1e-4, atol=1e-4)
    again = sample.vectors(model, [OWN])[OWN]
    torch.testing.assert_close(again, vectors[OWN], rtol=1e-4, atol=1e-4)
    fewer = sample.first(60)
    assert fewer.n_tokens == 60
    torch.testing.assert_close(
        fewer.vectors(model, [OWN])[OWN], vectors[OWN][:60], rtol=1e-4, atol=1e-4
    )


def _without_first(ids: Any) -> Any:
    return ids[1:]


def _with_bos(ids: Any) -> Any:
    return np.concatenate([[0], ids])


def test_with_bos_and_without_are_the_same_text_tokens(tiny: Tiny, tmp_path: Path) -> None:
    model = load_truncated(inspect_model(str(tiny.model)), 3, torch.float32, CPU)
    found = {}
    for bos in (True, False):
        store = tokens_of(tiny, tmp_path / f"tokens{bos}", prepend_bos=bos)
        sample, vectors = take_sample(model, [OWN], store, Masks(sinks=False), 0.0, 100)
        changed = sample.changed(_without_first if bos else _with_bos, -1 if bos else 1)
        found[bos] = (vectors[OWN], changed.vectors(model, [OWN])[OWN])
    # The first sequences fit the context either way: the one's change is the other as it is.
    for one, other in ((True, False), (False, True)):
        torch.testing.assert_close(found[one][1][:20], found[other][0][:20], rtol=1e-4, atol=1e-4)


def test_a_transcoder_is_compared_with_its_output(tiny: Tiny, tmp_path: Path) -> None:
    """FVU by hand: what the SAE predicts from the input against the output."""
    import sparsify
    from sparsify.config import SparseCoderConfig

    torch.manual_seed(0)
    coder = sparsify.SparseCoder(
        32, SparseCoderConfig(num_latents=64, k=8, transcode=True, skip_connection=True)
    )
    with torch.no_grad():
        for parameter in coder.parameters():
            parameter.copy_(0.1 * torch.randn_like(parameter))
    coder.save_to_disk(tmp_path / "sae" / "layers.2.mlp")
    sae = load_sae(str(tmp_path / "sae"))
    read, written = HookPoint(2, "mlp.hook_in"), HookPoint(2, "module", "mlp.output")
    assert (sae.config.hook, sae.hook_out) == (read, written)
    store = tokens_of(tiny, tmp_path / "tokens")
    model = load_truncated(inspect_model(str(tiny.model)), 4, torch.float32, CPU)
    health = measure_health(model, sae, read, read.neighbours(4), store, Masks(sinks=False), 0.0)
    _, vectors = take_sample(model, [read, written], store, Masks(sinks=False), 0.0, 2_000)
    x, y = vectors[read], vectors[written]
    with torch.no_grad():
        made = coder(x.float()).sae_out
    expected = float((y - made).square().sum() / (y - y.mean(0)).square().sum())
    assert health.fvu[read.name] == pytest.approx(expected, rel=1e-4)
    assert set(health.fvu) == {f"blocks.{layer}.mlp.hook_in" for layer in (1, 2, 3)}


def test_a_neighbour_that_the_model_lacks_is_left_out(tiny: Tiny, tmp_path: Path) -> None:
    model = load_truncated(inspect_model(str(tiny.model)), 3, torch.float32, CPU)
    store = tokens_of(tiny, tmp_path / "tokens")
    sae = load_sae(str(tiny.saelens))
    health = measure_health(model, sae, OWN, OWN.neighbours(4), store, Masks(), 0.0)
    assert set(health.fvu) == {f"blocks.{layer}.hook_resid_post" for layer in (1, 2)}


def test_the_study_keeps_every_figure(tiny: Tiny, tmp_path: Path) -> None:
    study = extract(tiny.request(), tmp_path).study
    health = json.loads((study.folder / "study.json").read_text())["health"]
    names = {measure["name"] for measure in health["measures"]}
    assert {"fvu", "l0", "unexplained with other token ids over here"} <= names
    assert all(m["low"] <= m["value"] <= m["high"] for m in health["measures"])


def test_an_sae_of_a_wide_hook_needs_no_other_kind(tiny: Tiny, tmp_path: Path) -> None:
    """``mlp.hook_post`` is wider than any other hook: nothing to compare it with."""
    tiny_topk_saelens(tmp_path / "sae", d_in=64, hook="blocks.2.mlp.hook_post")
    request = tiny.request(sae_path=str(tmp_path / "sae"), sae_id=None, logits=False)
    study = extract(request, tmp_path / "studies").study
    assert study.info.hook == "blocks.2.mlp.hook_post"
    assert len(study.info.health.fvu) == 3


def test_reading_leaves_out_what_it_cannot_change(tiny: Tiny, tmp_path: Path) -> None:
    """A tokenizer with neither BOS nor EOS."""
    model = load_truncated(inspect_model(str(tiny.model)), 4, torch.float32, CPU)
    store = tokens_of(tiny, tmp_path / "tokens")
    sae: LoadedSAE = load_sae(str(tiny.saelens))
    reading = Reading("tiny", 400, bos_id=None, prepends_bos=False)
    health = measure_health(model, sae, OWN, OWN.neighbours(4), store, Masks(), 0.0, reading)
    assert not [measure for measure in health.measures if "BOS" in measure["name"]]
