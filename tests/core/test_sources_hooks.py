"""Hook names: ours, TransformerLens', Hugging Face's; and those that are refused."""

from __future__ import annotations

import pytest

from autointerp_core.errors import HookError
from autointerp_core.sources.hooks import HookPoint


@pytest.mark.parametrize("kind", ["resid_pre", "resid_post"])
@pytest.mark.parametrize("layer", [0, 9, 79])
def test_a_name_reads_back_as_itself(layer: int, kind: str) -> None:
    hook = HookPoint(layer, kind)
    assert hook.name == f"blocks.{layer}.hook_{kind}"
    assert HookPoint.parse(hook.name) == hook
    assert HookPoint.parse(f"  {hook.name} ") == hook


@pytest.mark.parametrize(
    ("text", "hook"),
    [
        ("layers.9", HookPoint(9, "resid_post")),
        ("model.layers.9", HookPoint(9, "resid_post")),
        ("model.layers.9.output", HookPoint(9, "resid_post")),
        ("gpt_neox.layers.3", HookPoint(3, "resid_post")),
        ("transformer.h.11", HookPoint(11, "resid_post")),
        ("h.0", HookPoint(0, "resid_post")),
        ("blocks.4.hook_out", HookPoint(4, "resid_post")),
        ("blocks.4.hook_in", HookPoint(4, "resid_pre")),
    ],
)
def test_other_libraries_names(text: str, hook: HookPoint) -> None:
    assert HookPoint.parse(text) == hook


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("blocks.9.hook_resid_mid", "resid_mid"),
        ("blocks.9.hook_mlp_in", "mlp_in"),
        ("blocks.9.mlp.hook_in", "mlp.hook_in"),
        ("blocks.9.ln2.hook_normalized", "ln2.normalized"),
        ("blocks.9.hook_mlp_out", "mlp_out"),
        ("blocks.9.hook_attn_out", "attn_out"),
        ("blocks.9.attn.hook_z", "attn.z"),
        ("blocks.9.mlp.hook_post", "mlp.hook_post"),
        ("model.layers.9.self_attn.o_proj.input", "attn.z"),
        ("model.language_model.layers.9.self_attn.o_proj.input", "attn.z"),
        ("model.layers.9.pre_feedforward_layernorm.output", "mlp.hook_in"),
        ("model.layers.9.post_feedforward_layernorm.output", "mlp_out"),
        ("layers.9.mlp.input", "mlp.hook_in"),
        ("model.layers.9.input", "resid_pre"),
    ],
)
def test_places_inside_a_block(text: str, kind: str) -> None:
    hook = HookPoint.parse(text)
    assert hook == HookPoint(9, kind)
    assert HookPoint.parse(hook.name) == hook


@pytest.mark.parametrize(
    ("text", "module", "name"),
    [
        ("layers.9.mlp", "mlp.output", "layers.9.mlp.output"),
        ("model.layers.9.mlp.output", "mlp.output", "layers.9.mlp.output"),
        ("gpt_neox.layers.9.attention", "attention.output", "layers.9.attention.output"),
        ("h.9.attn", "attn.output", "layers.9.attn.output"),
        ("layers.9.mlp.gate.input", "mlp.gate.input", "layers.9.mlp.gate.input"),
    ],
)
def test_modules_that_mean_something_else_by_family_stay_modules(
    text: str, module: str, name: str
) -> None:
    hook = HookPoint.parse(text)
    assert hook == HookPoint(9, "module", module)
    assert hook.name == name
    assert HookPoint.parse(name) == hook


@pytest.mark.parametrize(
    "text", ["hook_embed", "embed_tokens", "model.embed_tokens.output", "transformer.wte"]
)
def test_the_embedding(text: str) -> None:
    hook = HookPoint.parse(text)
    assert hook == HookPoint(None, "embed")
    assert (hook.name, hook.slug, hook.blocks_needed) == ("hook_embed", "embed", 0)
    assert hook.neighbours(30) == []


def test_a_configs_module_is_trusted_over_its_hook_name() -> None:
    hook = HookPoint.parse(
        "blocks.9.hook_mlp_in", "model.layers.9.pre_feedforward_layernorm.output"
    )
    assert hook == HookPoint(9, "mlp.hook_in")
    assert HookPoint.parse("blocks.9.hook_mlp_in") == HookPoint(9, "mlp_in")
    # No module's name at all decides nothing.
    assert HookPoint.parse("blocks.9.hook_mlp_in", "somewhere") == HookPoint(9, "mlp_in")


@pytest.mark.parametrize(
    ("hook", "slug"),
    [
        (HookPoint(9, "resid_post"), "l9-resid-post"),
        (HookPoint(9, "attn.z"), "l9-attn-z"),
        (HookPoint(9, "module", "mlp.output"), "l9-mlp-output"),
    ],
)
def test_slugs(hook: HookPoint, slug: str) -> None:
    assert hook.slug == slug


@pytest.mark.parametrize("text", ["blocks.9.attn.hook_q", "blocks.9.hook_resid", "blocks.3.mlp"])
def test_unknown_hooks_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(HookError, match="hook_resid_mid") as caught:
        HookPoint.parse(text)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "layer 9", "blocks", "blocks.x.hook_resid_post", "9", "-1"])
def test_what_is_no_hook_gets_an_example(text: str) -> None:
    with pytest.raises(HookError, match=r"blocks\.19\.hook_resid_post"):
        HookPoint.parse(text)


def test_an_absurd_layer_is_no_layer() -> None:
    with pytest.raises(HookError, match="no hook point"):
        HookPoint.parse("blocks.99999999.hook_resid_post")


def test_a_hook_cannot_be_built_wrong() -> None:
    with pytest.raises(HookError, match="resid_middle"):
        HookPoint(1, "resid_middle")
    with pytest.raises(HookError, match="mlp_out"):
        HookPoint(None, "mlp_out")
    with pytest.raises(HookError, match="module"):
        HookPoint(1, "module", "mlp")
    with pytest.raises(HookError, match="-1"):
        HookPoint(-1, "resid_post")


def test_neighbours_stay_inside_the_model() -> None:
    def layers(layer: int) -> list[int | None]:
        return [hook.layer for hook in HookPoint(layer, "resid_post").neighbours(30)]

    assert layers(9) == [8, 10]
    assert layers(0) == [1]
    assert layers(29) == [28]
    assert HookPoint(0, "resid_pre").neighbours(1) == []
    assert {hook.kind for hook in HookPoint(3, "resid_pre").neighbours(30)} == {"resid_pre"}


def test_blocks_needed() -> None:
    assert HookPoint(9, "resid_post").blocks_needed == 10
    assert HookPoint(9, "resid_pre").blocks_needed == 9
    assert HookPoint(0, "resid_pre").blocks_needed == 0
