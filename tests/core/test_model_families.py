"""Every family of models: our truncated run, heads and hooks against the whole model.

The oracle for values is Hugging Face's untruncated model with hooks of our own; for what a hook
means it is TransformerBridge's cache, a table written by hand, and the sums that must hold on a
residual stream.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp_core.errors import HookError
from autointerp_core.sources import model_load
from autointerp_core.sources.hooks import HOOK_KINDS, HookPoint
from autointerp_core.sources.model import (
    find_hook,
    inspect_model,
    load_head,
    load_tokenizer,
    load_truncated,
)
from tests.core.model_families import (
    FAMILIES,
    VOCABULARY,
    families_table,
    save_family,
    untruncated,
)
from tests.core.tiny import tiny_tokenizer

CPU = torch.device("cpu")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "model_families.md"
FAST_LOOP = (
    "llama", "qwen3", "mixtral", "gemma2", "gemma4_text", "gpt2", "gpt_neox", "gpt_oss", "opt",
    "granite", "phi", "mistral3",
)  # fmt: skip
"""The others are like one of these in most of what can go wrong, and are slow by their number."""
# What TransformerBridge computes differs from Hugging Face's model from the first block on.
BRIDGE_DIFFERS = ("cohere", "cohere2", "hunyuan_v1_dense")
# TransformerBridge lists these by another name (of which our table says so), or has none.
NO_BRIDGE = (
    "ministral", "helium", "diffllama", "persimmon", "phimoe", "gemma3n_text", "biogpt",
)  # fmt: skip
# TransformerBridge does not get through their forward pass (linear attention, Mamba layers).
BRIDGE_FAILS = ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "granitemoehybrid")
# Blocks that add more than attention and MLP (Mamba beside attention, inputs by layer, several
# streams), or norm the sum itself.
ADDS_MORE = ("falcon_h1", "gemma4_text", "gemma3n_text", "openai-gpt", "opt with projection")
# TransformerBridge installs torchvision by pip for these, replacing torch; the sums stand for it.
MULTIMODAL = tuple(name for name, family in FAMILIES.items() if family.nested)
# The streams are joined by learned weights after the last block; a direction has one stream.
JOINED = ("gemma3n_text",)


def of(*without: str) -> list[Any]:
    return [
        pytest.param(name, marks=[] if name in FAST_LOOP else [pytest.mark.slow])
        for name in FAMILIES
        if name not in without
    ]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the models made so far."""
    return {}


@pytest.fixture
def folder(family: str, saved: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    if family not in saved:
        path = tmp_path_factory.mktemp("family")
        saved[family] = save_family(path, family)
        tiny_tokenizer(path, VOCABULARY)
    return saved[family]


@pytest.fixture
def ids() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randint(0, VOCABULARY, (2, 40))


def close(given: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal to float32 rounding, on the scale of what stands there."""
    assert given.shape == expected.shape
    scale = float(expected.abs().max())
    assert scale > 0
    assert float((given - expected).abs().max()) <= 1e-4 * scale


# --- the residual stream and logits -------------------------------------------------------------


@pytest.mark.parametrize("family", of())
@pytest.mark.slow
def test_truncated_blocks_equal_the_whole_model(
    family: str, folder: Path, ids: torch.Tensor
) -> None:
    config = inspect_model(str(folder))
    after, _ = untruncated(folder, family).outputs(ids)
    assert len(after) == config.n_layers
    for n in sorted({1, 2, config.n_layers - 1, config.n_layers}):
        hook = HookPoint(n - 1, "resid_post")
        model = load_truncated(config, n, torch.float32, CPU)
        assert model.n_blocks == n
        close(model.run(ids, [hook])[hook], after[n - 1])
        names = [name for name, _ in model._model.named_parameters()]
        assert not [name for name in names if re.search(rf"(layers|h|blocks)\.{n}\.", name)]
        assert not [name for name in names if "vision" in name or "visual" in name]


@pytest.mark.parametrize("family", of(*JOINED))
def test_the_head_ranks_tokens_as_the_model_does(
    family: str, folder: Path, ids: torch.Tensor
) -> None:
    after, logits = untruncated(folder, family).outputs(ids)
    width = after[-1].shape[-1]
    given = load_head(inspect_model(str(folder)), CPU)(after[-1].reshape(-1, width))
    expected = logits.reshape(-1, logits.shape[-1])
    assert given.shape == expected.shape
    # Soft caps and scales are monotonous: the order is what counts.
    same = given.argsort(-1)[:, -5:] == expected.argsort(-1)[:, -5:]
    assert float(same.float().mean()) > 0.995


# --- hooks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", of(*NO_BRIDGE, *BRIDGE_DIFFERS, *BRIDGE_FAILS, *MULTIMODAL))
def test_hooks_mean_what_transformer_lens_means(
    family: str, folder: Path, ids: torch.Tensor
) -> None:
    """Every hook that TransformerBridge has, except in a mixture of experts ``hook_post``.

    There it is an alias of the MLP's output; we refuse it.
    """
    cache = bridge_values(folder, family, ids)
    config = inspect_model(str(folder))
    model = load_truncated(config, 3, torch.float32, CPU)
    compared = set()
    for name, expected in cache.items():
        hook = HookPoint.parse(name)
        if model.has(hook):
            close(model.run(ids, [hook])[hook], expected.reshape(*ids.shape, -1))
            compared.add(hook.kind)
        else:
            assert hook.kind == "mlp.hook_post"
            torch.testing.assert_close(expected, cache[name.replace("hook_post", "hook_out")])
    assert {"resid_pre", "embed"} <= compared
    print(f"{family}: {len(compared)} kinds of hook equal TransformerBridge's")


def bridge_values(folder: Path, family: str, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """TransformerBridge's value at each of our hooks that it has, in blocks 1 and 2."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(
        str(folder),
        hf_model=untruncated(folder, family).model,
        tokenizer=load_tokenizer(inspect_model(str(folder))),
    )
    bridge.set_use_hook_mlp_in(True)
    wanted = ["hook_embed"]
    wanted += [f"blocks.{layer}.{name}" for layer in (1, 2) for name in HOOK_KINDS.values()]
    seen: dict[str, torch.Tensor] = {}

    def keep(value: torch.Tensor, hook: object, name: str) -> None:
        seen.setdefault(name, value.clone())

    hooks = [(name, partial(keep, name=name)) for name in wanted if name in bridge.hook_dict]
    with torch.no_grad():
        bridge.run_with_hooks(ids, fwd_hooks=hooks, use_cache=False)
    return seen


@pytest.mark.parametrize("family", of(*ADDS_MORE))
def test_what_attention_and_mlp_add_is_what_the_stream_gains(
    family: str, folder: Path, ids: torch.Tensor
) -> None:
    config = inspect_model(str(folder))
    model = load_truncated(config, config.n_layers, torch.float32, CPU)
    whole = 0
    for layer in range(1, config.n_layers):
        kinds = [k for k in HOOK_KINDS if model.has(HookPoint(layer, k))]
        values = {k: model.run(ids, [HookPoint(layer, k)])[HookPoint(layer, k)] for k in kinds}
        before, after = values["resid_pre"], values["resid_post"]
        if {"attn_out", "mlp_out"} <= values.keys():
            close(before + values["attn_out"] + values["mlp_out"], after)
            whole += 1
        if {"attn_out", "resid_mid"} <= values.keys():
            close(before + values["attn_out"], values["resid_mid"])
        if {"mlp_out", "resid_mid"} <= values.keys():
            close(values["resid_mid"] + values["mlp_out"], after)
        if {"mlp_in", "resid_mid"} <= values.keys():
            assert torch.equal(values["mlp_in"], values["resid_mid"])
        elif "mlp_in" in values:  # attention and MLP side by side
            assert torch.equal(values["mlp_in"], before)
    print(f"{family}: {whole} of {config.n_layers - 1} blocks add up")


# By hand, from the published code of each family (DESIGN §7 has it as a table).
BY_HAND = {
    "llama": {
        "resid_mid": "post_attention_layernorm input",
        "attn_out": "self_attn output",
        "attn.z": "self_attn.o_proj input",
        "mlp_in": "post_attention_layernorm input",
        "mlp.hook_in": "post_attention_layernorm output",
        "mlp.hook_post": "mlp.down_proj input",
        "mlp_out": "mlp output",
    },
    "gemma2": {
        "resid_mid": "pre_feedforward_layernorm input",
        "attn_out": "post_attention_layernorm output",
        "attn.z": "self_attn.o_proj input",
        "attn.hook_out": "self_attn output",
        "mlp_in": "pre_feedforward_layernorm input",
        "mlp.hook_in": "pre_feedforward_layernorm output",
        "mlp.hook_post": "mlp.down_proj input",
        "mlp.hook_out": "mlp output",
        "mlp_out": "post_feedforward_layernorm output",
    },
    "gpt2": {
        "resid_mid": "ln_2 input",
        "attn_out": "attn output",
        "attn.z": "attn.c_proj input",
        "mlp.hook_in": "ln_2 output",
        "mlp.hook_post": "mlp.c_proj input",
        "mlp_out": "mlp output",
    },
    "gpt_neox": {
        "attn_out": "attention output",
        "attn.z": "attention.dense input",
        "mlp_in": " input",
        "mlp.hook_in": "post_attention_layernorm output",
        "mlp.hook_post": "mlp.dense_4h_to_h input",
        "mlp_out": "mlp output",
    },
    "olmo2": {
        "resid_mid": "mlp input",
        "attn_out": "post_attention_layernorm output",
        "mlp.hook_in": "mlp input",
        "mlp_out": "post_feedforward_layernorm output",
    },
    "phimoe": {
        "resid_mid": "post_attention_layernorm input",
        "attn_out": "self_attn output",
        "mlp_out": "mlp output",
    },
    "gemma3n_text": {
        "attn.z": "self_attn.o_proj input",
        "mlp.hook_post": "mlp.down_proj input",
    },
}  # fmt: skip
BY_HAND["qwen3"] = BY_HAND["mistral"] = BY_HAND["ministral"] = BY_HAND["llama"]
BY_HAND["helium"] = BY_HAND["diffllama"] = BY_HAND["cohere"] = {
    "attn_out": "self_attn output",
    "attn.z": "self_attn.o_proj input",
    "mlp.hook_post": "mlp.down_proj input",
    "mlp_out": "mlp output",
}
BY_HAND["gemma3_text"] = BY_HAND["gemma3"] = BY_HAND["gemma2"]
BY_HAND["persimmon"] = {
    "resid_mid": "post_attention_layernorm input",
    "attn_out": "self_attn output",
    "mlp_out": "mlp output",
}


@pytest.mark.parametrize("family", [p for p in of() if p.values[0] in BY_HAND])
def test_hooks_are_where_the_published_code_has_them(
    family: str, folder: Path, ids: torch.Tensor
) -> None:
    model = load_truncated(inspect_model(str(folder)), 3, torch.float32, CPU)
    whole = untruncated(folder, family)
    for kind, place in BY_HAND[family].items():
        path, _, side = place.rpartition(" ")
        hook = HookPoint(2, kind)
        expected = whole.at(ids, 2, path, side)
        close(model.run(ids, [hook])[hook], expected)
        if path:  # the same place under its module's name
            module = HookPoint.parse(f"model.layers.2.{path}.{side}")
            close(model.run(ids, [module])[module], expected)


def test_a_norm_before_its_weight(tmp_path: Path, ids: torch.Tensor) -> None:
    """By hand: RMSNorm of Llama, LayerNorm of GPT-2."""
    for family, norm in (("llama", "post_attention_layernorm"), ("gpt2", "ln_2")):
        path = save_family(tmp_path / family, family)
        whole = untruncated(path, family)
        x = whole.at(ids, 1, norm, "input")
        if family == "gpt2":
            expected = torch.nn.functional.layer_norm(x, x.shape[-1:], eps=1e-5)
        else:
            expected = x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
        hook = HookPoint(1, "ln2.normalized")
        close(
            load_truncated(inspect_model(str(path)), 2, torch.float32, CPU).run(ids, [hook])[hook],
            expected,
        )


def test_a_hook_that_this_model_lacks(tmp_path: Path) -> None:
    path = save_family(tmp_path / "m", "gpt_neox")
    model = load_truncated(inspect_model(str(path)), 2, torch.float32, CPU)
    hook = HookPoint(1, "resid_mid")
    assert not model.has(hook)
    with pytest.raises(HookError, match="hook_resid_mid does not exist in GPTNeoX") as caught:
        model.run(torch.arange(5)[None], [hook])
    assert "hook_mlp_out" in str(caught.value)
    with pytest.raises(HookError, match=r"has no self_attn; it has .*attention"):
        model.run(torch.arange(5)[None], [HookPoint.parse("layers.1.self_attn")])
    assert "\n" not in str(caught.value)


def test_an_architecture_unknown_to_transformer_lens_keeps_its_modules(tmp_path: Path) -> None:
    path = save_family(tmp_path / "m", "biogpt")
    model = load_truncated(inspect_model(str(path)), 2, torch.float32, CPU)
    with pytest.raises(HookError, match=r"TransformerLens does not know .*biogpt"):
        model.run(torch.arange(5)[None], [HookPoint(1, "mlp_out")])
    module = HookPoint.parse("layers.1.fc2")
    assert model.run(torch.arange(5)[None], [module])[module].shape == (1, 5, 32)


def test_several_hooks_in_one_pass_and_nothing_after_the_last(tmp_path: Path) -> None:
    path = save_family(tmp_path / "m", "llama")
    model = load_truncated(inspect_model(str(path)), 4, torch.float32, CPU)
    ran: list[str] = []
    for name, module in model._model.named_modules():
        module.register_forward_pre_hook(lambda _m, _a, name=name: ran.append(name))
    ids = torch.arange(6)[None]
    hooks = [HookPoint(1, "attn.z"), HookPoint(1, "resid_mid"), HookPoint(0, "mlp_out")]
    together = model.run(ids, hooks)
    assert "layers.1.self_attn.o_proj" in ran
    assert not [name for name in ran if name.startswith(("layers.1.mlp", "layers.2"))]
    for hook in hooks:
        assert torch.equal(together[hook], model.run(ids, [hook])[hook])
    ran.clear()
    model.run(ids, [HookPoint(1, "attn.z")])
    assert ran[-1] == "layers.1.self_attn.o_proj"
    ran.clear()
    embedded = model.run(ids, [HookPoint(None, "embed")])[HookPoint(None, "embed")]
    assert embedded.shape == (1, 6, 32)
    assert ran == ["", "embed_tokens"]


@pytest.mark.slow
def test_the_docs_list_what_is_tested(tmp_path: Path) -> None:
    """Made by ``python -m tests.core.model_families``."""
    made = {name: save_family(tmp_path / str(i), name) for i, name in enumerate(FAMILIES)}
    assert DOCS.read_text(encoding="utf-8") == families_table(made)


@pytest.mark.parametrize("model_type", ["gemma3n", "gemma4", "gemma3"])
def test_the_text_model_inside_a_wrapper_needs_no_vision_library(
    tmp_path: Path, ids: torch.Tensor, model_type: str
) -> None:
    """As published: text weights under ``model.language_model``, towers that need timm beside."""
    from safetensors.torch import load_file, save_file

    path = save_family(tmp_path / "m", f"{model_type}_text")
    after, _ = untruncated(path, f"{model_type}_text").outputs(ids)
    weights = load_file(path / "model.safetensors")
    inside = {name.replace("model.", "model.language_model.", 1): w for name, w in weights.items()}
    inside["model.vision_tower.timm_model.conv_stem.weight"] = torch.zeros(3, 3)
    save_file(inside, path / "model.safetensors", metadata={"format": "pt"})
    text = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({"model_type": model_type, "text_config": text}))
    config = inspect_model(str(path))
    hook = HookPoint(1, "resid_post")
    close(load_truncated(config, 2, torch.float32, CPU).run(ids, [hook])[hook], after[1])
    place = HookPoint(1, "mlp_out")
    assert find_hook(config, place) == config.d_model


def test_blocks_that_cannot_be_built_short_are_cut_after_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What transformers refuses to build from a shortened config is read whole, then cut."""
    path = save_family(tmp_path / "m", "llama")
    whole = untruncated(path, "llama")
    torch.manual_seed(1)
    ids = torch.randint(0, VOCABULARY, (2, 20))
    after, _ = whole.outputs(ids)
    really = model_load._from_pretrained

    def refuses_short_ones(*args: Any) -> Any:
        if args[3] is not None:
            raise ValueError("layers do not fit each other")
        return really(*args)

    monkeypatch.setattr(model_load, "_from_pretrained", refuses_short_ones)
    model = load_truncated(inspect_model(str(path)), 2, torch.float32, CPU)
    hook = HookPoint(1, "resid_post")
    assert model.n_blocks == 2
    close(model.run(ids, [hook])[hook], after[1])


# --- logits of hooks that are not the residual stream ---------------------------------------------


@pytest.mark.parametrize(
    ("family", "kind", "module"),
    [
        ("llama", "attn.z", "self_attn.o_proj"),
        ("llama", "mlp.hook_post", "mlp.down_proj"),
        ("gpt2", "attn.z", "attn.c_proj"),
        ("gpt2", "mlp.hook_post", "mlp.c_proj"),
    ],
)
def test_directions_inside_a_block_go_through_its_projection(
    tmp_path: Path, family: str, kind: str, module: str
) -> None:
    """By hand: decoder row × the projection's weight, then norm and unembedding."""
    from autointerp_core.extraction.logits import load_direction_head

    path = save_family(tmp_path / "m", family)
    torch.manual_seed(2)
    whole = untruncated(path, family)
    weight = whole.blocks[1].get_submodule(module).weight
    weight = (weight if family == "gpt2" else weight.T).detach()
    rows = torch.randn(7, len(weight))
    given = load_direction_head(inspect_model(str(path)), HookPoint(1, kind), CPU)(rows)
    inner = whole.model.base_model
    norm = inner.ln_f if family == "gpt2" else inner.norm
    with torch.no_grad():
        close(given, whole.model.lm_head(norm(rows @ weight)))


def test_directions_that_reach_no_token_are_refused(tmp_path: Path) -> None:
    from autointerp_core.extraction.logits import load_direction_head

    config = inspect_model(str(save_family(tmp_path / "m", "llama")))
    with pytest.raises(HookError, match="not added to the residual stream"):
        load_direction_head(config, HookPoint(1, "ln2.normalized"), CPU)


# --- before any weight is read ------------------------------------------------------------------


@pytest.mark.parametrize("family", of(*JOINED))
@pytest.mark.slow
def test_a_hook_is_found_and_measured_without_weights(family: str, folder: Path) -> None:
    config = inspect_model(str(folder))
    model = load_truncated(config, config.n_layers, torch.float32, CPU)
    ids = torch.arange(4)[None]
    for kind in HOOK_KINDS:
        hook = HookPoint(2, kind)
        if not model.has(hook):
            with pytest.raises(HookError):
                find_hook(config, hook)
            continue
        width = find_hook(config, hook)
        assert width in (None, model.run(ids, [hook])[hook].shape[-1]), kind
