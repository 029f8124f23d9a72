"""Steering against hooks written by hand on Hugging Face's own model, without a cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from autointerp_core.errors import (
    AutointerpError,
    BadInput,
    FeatureRequestError,
    HookError,
    ParameterError,
)
from autointerp_core.extraction.pair import PairRequest
from autointerp_core.live import open_pair
from autointerp_core.live.generate import Sampling
from autointerp_core.live.steering import Steerer, where
from autointerp_core.live.turns import SteerConfig, Steered, Turn
from tests.core.tiny import TEXTS, tiny_model, tiny_saelens, tiny_topk_saelens

PROMPT = TEXTS[1]
MOST = {3: 2.5, 9: 1.5}
Adder = Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("steer") / "model")


def _steerer(model: Path, sae: Path, hook: str | None = None) -> Steerer:
    asked = PairRequest(str(model), str(sae), hook, device="cpu", prepend_bos=True)
    return Steerer(open_pair(asked), MOST.get)


def _saved(model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(model).eval()


def _logits(model: Any, ids: list[int]) -> torch.Tensor:
    """Next-token logits of the plain model, hooks and all."""
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
    return found.float()


def _first(steerer: Steerer, turns: list[Turn], at: str = "all") -> torch.Tensor:
    config = SteerConfig(PROMPT, tokens=1, temperature=0.0, at=at)
    prompt = steerer.prompt(config)
    mask, generated = where(prompt, config)
    how = Sampling(1, 0.0, (0,))
    return steerer.draw(prompt, how, steerer.change(turns), mask, generated).first


def _on_output(module: Any, places: slice | list[int], vector: torch.Tensor) -> None:
    def hook(_: Any, __: Any, output: Any) -> Any:
        x = output[0] if isinstance(output, tuple) else output
        x = x.clone()
        x[:, places] += vector
        return (x, *output[1:]) if isinstance(output, tuple) else x

    module.register_forward_hook(hook)


def _on_input(module: Any, places: slice, vector: torch.Tensor) -> None:
    def hook(_: Any, args: tuple[torch.Tensor, ...]) -> Any:
        x = args[0].clone()
        x[:, places] += vector
        return (x, *args[1:])

    module.register_forward_pre_hook(hook)


TOKENS = slice(1, None)  # all but BOS
HAND: dict[str, tuple[int, Callable[[Any, torch.Tensor], None]]] = {
    "blocks.2.hook_resid_post": (32, lambda m, v: _on_output(m.model.layers[2], TOKENS, v)),
    "blocks.3.hook_resid_post": (32, lambda m, v: _on_output(m.model.layers[3], TOKENS, v)),
    "blocks.2.hook_resid_pre": (32, lambda m, v: _on_output(m.model.layers[1], TOKENS, v)),
    "blocks.0.hook_resid_pre": (32, lambda m, v: _on_output(m.model.embed_tokens, TOKENS, v)),
    # What is added to attention's output is added to the stream between attention and MLP.
    "blocks.1.hook_resid_mid": (
        32, lambda m, v: _on_output(m.model.layers[1].self_attn, TOKENS, v),
    ),
    "blocks.1.hook_attn_out": (
        32, lambda m, v: _on_output(m.model.layers[1].self_attn, TOKENS, v),
    ),
    "blocks.1.attn.hook_z": (
        32, lambda m, v: _on_input(m.model.layers[1].self_attn.o_proj, TOKENS, v),
    ),
    "blocks.1.mlp.hook_in": (
        32, lambda m, v: _on_output(m.model.layers[1].post_attention_layernorm, TOKENS, v),
    ),
    "blocks.1.mlp.hook_post": (
        64, lambda m, v: _on_input(m.model.layers[1].mlp.down_proj, TOKENS, v),
    ),
    "blocks.1.hook_mlp_out": (32, lambda m, v: _on_output(m.model.layers[1].mlp, TOKENS, v)),
    "hook_embed": (32, lambda m, v: _on_output(m.model.embed_tokens, TOKENS, v)),
}  # fmt: skip


@pytest.mark.parametrize("hook", HAND)
def test_every_hook_equals_one_written_by_hand(llama: Path, tmp_path: Path, hook: str) -> None:
    width, by_hand = HAND[hook]
    sae = tiny_topk_saelens(tmp_path / "sae", d_in=width, hook=hook)
    steerer = _steerer(llama, sae)
    weights = steerer.live.pair.sae.sae.W_dec.detach()
    found = _first(steerer, [Turn(3, strength=2.0), Turn(9, strength=-1.0)])
    model = _saved(llama)
    by_hand(model, 2.0 * MOST[3] * weights[3] - 1.0 * MOST[9] * weights[9])
    ids = steerer.prompt(SteerConfig(PROMPT)).ids.tolist()
    expected = _logits(model, ids)
    assert (expected - _logits(_saved(llama), ids)).abs().max() > 1e-2
    assert (found - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2", "qwen3"])
def test_other_families(tmp_path: Path, architecture: str) -> None:
    model = tiny_model(tmp_path / "model", architecture)
    steerer = _steerer(model, tiny_topk_saelens(tmp_path / "sae"))
    row = steerer.live.pair.sae.sae.W_dec[3].detach()
    saved = _saved(model)
    inner = {"gpt2": "transformer.h.2", "gpt_neox": "gpt_neox.layers.2"}
    block = saved.get_submodule(inner.get(architecture, "model.layers.2"))
    _on_output(block, TOKENS, MOST[3] * row)
    ids = steerer.prompt(SteerConfig(PROMPT)).ids.tolist()
    found = _first(steerer, [Turn(3, strength=1.0)])
    assert (found - _logits(saved, ids)).abs().max() <= 1e-5


def test_ablating_and_clamping_move_from_what_the_feature_is(llama: Path, tmp_path: Path) -> None:
    """By hand: the block's output with the activation taken out, or brought to the goal."""
    steerer = _steerer(llama, tiny_topk_saelens(tmp_path / "sae", k=24))
    sae = steerer.live.pair.sae.sae
    ids = steerer.prompt(SteerConfig(PROMPT)).ids.tolist()
    for how, goal in (("ablate", 0.0), ("clamp", 2.0 * MOST[3])):
        model = _saved(llama)
        fired: list[float] = []

        def hook(_: Any, __: Any, output: Any, goal: float = goal, seen: Any = fired) -> Any:
            x = (output[0] if isinstance(output, tuple) else output).clone()
            for place in range(1, x.shape[1]):
                act = sae.encode(x[0, place : place + 1])[0, 3]
                seen.append(float(act))
                x[0, place] += (goal - act) * sae.W_dec[3]
            return (x, *output[1:]) if isinstance(output, tuple) else x

        model.model.layers[2].register_forward_hook(hook)
        expected = _logits(model, ids)
        assert sum(act > 0 for act in fired) > 0
        found = _first(steerer, [Turn(3, how, 2.0)])
        assert (found - expected).abs().max() <= 1e-5


def test_adding_nothing_changes_nothing(llama: Path, tmp_path: Path) -> None:
    steerer = _steerer(llama, tiny_topk_saelens(tmp_path / "sae"))
    config = SteerConfig(PROMPT, tokens=20, seed=7, temperature=1.0, at="all")
    found = steerer.steer([Turn(3, strength=0.0)], config)
    assert found.changes == ()
    assert found.steered == found.unsteered
    assert len(found.steered.ids) == 20 or found.steered.ended
    prompt = steerer.prompt(config)
    mask, generated = where(prompt, config)
    how = Sampling(1, 0.0, (0,))
    plain = steerer.draw(prompt, how, None, mask, generated).first
    same = steerer.draw(prompt, how, steerer.change([Turn(3, strength=0.0)]), mask, generated)
    assert same.first.numpy().tobytes() == plain.numpy().tobytes()


def test_the_cache_changes_no_token(llama: Path, tmp_path: Path) -> None:
    """Twelve steered greedy tokens, against the whole text read again for each by hand."""
    steerer = _steerer(llama, tiny_topk_saelens(tmp_path / "sae"))
    config = SteerConfig(PROMPT, tokens=12, temperature=0.0)
    found = steerer.steer([Turn(3, strength=3.0)], config)
    ids = steerer.prompt(config).ids.tolist()
    places = len(ids) - 1  # from the prompt's last token on
    model = _saved(llama)
    row = steerer.live.pair.sae.sae.W_dec[3].detach()
    _on_output(model.model.layers[2], slice(places, None), 3.0 * MOST[3] * row)
    grown = list(ids)
    for token in found.steered.ids:
        assert int(_logits(model, grown).argmax()) == token
        grown.append(token)
    assert "".join(found.steered.pieces) == found.steered.text
    assert Steered.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_chosen_places_and_seeds(llama: Path, tmp_path: Path) -> None:
    steerer = _steerer(llama, tiny_topk_saelens(tmp_path / "sae"))
    row = steerer.live.pair.sae.sae.W_dec[3].detach()
    model = _saved(llama)
    _on_output(model.model.layers[2], [2, 5, 6], 4.0 * MOST[3] * row)
    ids = steerer.prompt(SteerConfig(PROMPT)).ids.tolist()
    found = _first(steerer, [Turn(3)], at="2,5-6")
    assert (found - _logits(model, ids)).abs().max() <= 1e-5
    one, again, other = (
        steerer.steer([Turn(3)], SteerConfig(PROMPT, tokens=15, seed=seed, temperature=1.0))
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one.unsteered.ids != other.unsteered.ids


def test_directions_are_what_decoding_gives(llama: Path, tmp_path: Path) -> None:
    """Whatever the SAE does to vectors beside its weights: by its own encode and decode."""
    x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    ways: dict[str, dict[str, Any]] = {
        "layer_norm": {"normalize_activations": "layer_norm"},
        "rescale": {"normalize_activations": "constant_norm_rescale"},
        "rows": {"rescale_acts_by_decoder_norm": True},
    }
    for name, options in ways.items():
        steerer = _steerer(llama, tiny_topk_saelens(tmp_path / name, **options))
        sae = steerer.live.pair.sae.sae
        acts = sae.encode(x)
        before = sae.decode(acts.clone())
        acts[:, 3] += 2.0
        sae.encode(x)
        after = sae.decode(acts)
        change = steerer.change([Turn(3, strength=2.0, units="activation")])
        torch.testing.assert_close(change(x), after - before, atol=2e-5, rtol=1e-4)


def test_a_transcoder_is_read_where_it_reads_and_written_where_it_writes(
    llama: Path, tmp_path: Path
) -> None:
    about = {"hook_name_out": "blocks.1.hook_mlp_out"}
    sae_path = tiny_saelens(
        tmp_path / "sae", hook="blocks.1.mlp.hook_in", architecture="transcoder",
        metadata=about, d_out=32, apply_b_dec_to_input=False,
    )  # fmt: skip
    steerer = _steerer(llama, sae_path)
    sae = steerer.live.pair.sae.sae
    ids = steerer.prompt(SteerConfig(PROMPT)).ids.tolist()
    model = _saved(llama)
    seen: dict[str, torch.Tensor] = {}
    block = model.model.layers[1]
    block.post_attention_layernorm.register_forward_hook(
        lambda _, __, output: seen.update(x=output.clone())
    )

    def take_out(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        acts = sae.encode(seen["x"])[..., 9]
        acts[:, 0] = 0  # BOS is left alone
        less: torch.Tensor = output - acts[..., None] * sae.W_dec[9]
        return less

    block.mlp.register_forward_hook(take_out)
    expected = _logits(model, ids)
    assert (expected - _logits(_saved(llama), ids)).abs().max() > 1e-4
    assert (_first(steerer, [Turn(9, "ablate")]) - expected).abs().max() <= 1e-5
    told = steerer.steer([Turn(9)], SteerConfig(PROMPT, tokens=1)).notes
    assert "blocks.1.hook_mlp_out" in told[0]


def test_what_cannot_be_written_says_so(llama: Path, tmp_path: Path) -> None:
    hook = "blocks.1.ln2.hook_normalized"
    with pytest.raises(HookError, match="can be read but not written"):
        _steerer(llama, tiny_topk_saelens(tmp_path / "sae", hook=hook))


def test_bad_input_is_told_in_words(llama: Path, tmp_path: Path) -> None:
    steerer = _steerer(llama, tiny_topk_saelens(tmp_path / "sae"))
    plain = SteerConfig(PROMPT, tokens=2)
    cases: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (AutointerpError, "give a smaller one", lambda: steerer.steer(
            [Turn(3, strength=1e39)], plain)),
        (ParameterError, "never fires in this study", lambda: steerer.steer([Turn(4)], plain)),
        (FeatureRequestError, "0 to 63", lambda: steerer.steer([Turn(64)], plain)),
        (ParameterError, "turned twice", lambda: steerer.steer([Turn(3), Turn(3)], plain)),
        (ParameterError, "no feature", lambda: steerer.steer([], plain)),
        (ParameterError, "has 37 tokens|has \\d+ tokens", lambda: steerer.steer(
            [Turn(3)], SteerConfig(PROMPT, at="3,900"))),
        (BadInput, "reads 256 at most|shorter one", lambda: steerer.steer(
            [Turn(3)], SteerConfig(PROMPT, tokens=250))),
        (ParameterError, "empty", lambda: SteerConfig("  \n")),
        (ParameterError, "such as 3,5-8", lambda: SteerConfig("a", at="last")),
        (ParameterError, "from 1 to", lambda: SteerConfig("a", tokens=0)),
        (ParameterError, "temperature", lambda: SteerConfig("a", temperature=float("nan"))),
        (ParameterError, "strength", lambda: Turn(1, strength=float("nan"))),
        (ParameterError, "add, ablate, clamp", lambda: Turn(1, "turn")),
    ]  # fmt: skip
    for kind, told, act in cases:
        with pytest.raises(kind, match=told):
            act()
    # What went wrong leaves no hook behind.
    before = steerer.steer([Turn(3)], plain).unsteered
    assert before == _steerer(llama, tmp_path / "sae").steer([Turn(3)], plain).unsteered
    assert np.isfinite([c.steered for c in steerer.steer([Turn(3)], plain).changes]).all()
