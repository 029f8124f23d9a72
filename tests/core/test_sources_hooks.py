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
    "text",
    [
        "blocks.9.hook_resid_mid",
        "blocks.9.hook_mlp_out",
        "blocks.9.attn.hook_z",
        "blocks.9.hook_attn_out",
        "layers.9.mlp",
        "h.3.attn",
    ],
)
def test_other_hooks_are_refused_by_name(text: str) -> None:
    with pytest.raises(HookError, match="only the residual stream") as caught:
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
    with pytest.raises(HookError, match="resid_mid"):
        HookPoint(1, "resid_mid")
    with pytest.raises(HookError, match="-1"):
        HookPoint(-1, "resid_post")


def test_neighbours_stay_inside_the_model() -> None:
    def layers(layer: int) -> list[int]:
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
