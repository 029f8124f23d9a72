"""The rows of parity to be: an architecture in a layout at a hook of a model family."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autointerp_core.sources.hooks import HookPoint
from benchmarks import published_saes as published
from benchmarks import sae_directory
from benchmarks.directory_files import local_hub, write_entry
from benchmarks.parity_models import DEMO_LAYER, LAYER
from benchmarks.published_saes import Published, Wanted

FAMILIES = ("llama", "qwen3", "gemma2", "gemma3_text", "gpt2", "gpt_neox")
HOOKS = (
    "hook_resid_pre",
    "hook_resid_mid",
    "hook_resid_post",
    "hook_attn_out",
    "attn.hook_z",
    "ln2.hook_normalized",
    "mlp.hook_in",
    "mlp.hook_post",
    "hook_mlp_out",
    "hook_embed",
)
# NeoX with parallel residuals has no residual between attention and MLP.
WITHOUT = {("gpt_neox", "hook_resid_mid")}
MODULES = {
    "llama": "layers.{}.self_attn",
    "qwen3": "layers.{}.self_attn",
    "gemma2": "layers.{}.self_attn",
    "gemma3_text": "layers.{}.self_attn",
    "gpt2": "h.{}.attn",
    "gpt_neox": "layers.{}.attention",
}
# Where Gemma Scope 2's files say that a value is taken.
GEMMA_SCOPE_2 = {
    "hook_resid_post": "layers.{}.output",
    "attn.hook_z": "layers.{}.self_attn.o_proj.input",
    "hook_mlp_out": "layers.{}.post_feedforward_layernorm.output",
    "mlp.hook_in": "layers.{}.pre_feedforward_layernorm.output",
}


@dataclass(frozen=True)
class Case:
    """One row to be."""

    name: str
    family: str
    hook: HookPoint
    write: Callable[[Path, Wanted], Published]
    load: Callable[[Path, Wanted], contextlib.AbstractContextManager[None]]
    """What must hold while our loader runs."""
    module: str | None = None
    """Take the reference's value at this Hugging Face module, ``….input`` or ``….output``."""
    predicts: HookPoint | None = None
    """Whose width a transcoder's output has."""


@contextlib.contextmanager
def _nothing(_: Path, __: Wanted) -> Iterator[None]:
    yield


def _case(
    architecture: str,
    layout: str,
    hook: str,
    family: str,
    write: Callable[[Path, Wanted], Published],
    *,
    module: str | None = None,
    predicts: str | None = None,
    layer: int = LAYER,
) -> Case:
    """A row named as others' checks read it: architecture / layout / hook / family."""
    place = HookPoint.parse(hook if hook.startswith(("layers.", "h.")) else _named(hook, layer))
    shown = hook.replace(f".{layer}.", ".N.") if hook.startswith(("layers.", "h.")) else hook
    return Case(
        f"{architecture} / {layout} / {shown} / {family}",
        family,
        place,
        write,
        _nothing,
        module,
        HookPoint.parse(_named(predicts, layer)) if predicts else None,
    )


def _writer(
    write: Callable[..., Published], *arguments: Any, **options: Any
) -> Callable[[Path, Wanted], Published]:
    """A writer of ``published_saes`` with everything given but where to and what for."""
    return lambda folder, wanted: write(folder, wanted, *arguments, **options)


def _named(hook: str, layer: int) -> str:
    return hook if hook == "hook_embed" else f"blocks.{layer}.{hook}"


def all_cases() -> list[Case]:
    """Every row on tiny random models."""
    return [*saelens_cases(), *layout_cases(), *directory_cases()]


def saelens_cases() -> Iterator[Case]:
    """SAELens' architectures at every hook of six families."""

    for family in FAMILIES:
        for hook in HOOKS:
            if (family, hook) in WITHOUT:
                continue
            for architecture in published.SAELENS_ARCHITECTURES:
                transcoder = architecture.endswith("transcoder")
                heads = hook == "attn.hook_z" and not transcoder
                options = {"reshape_activations": "hook_z"} if heads else {}
                yield _case(
                    architecture, "saelens", hook, family,
                    _writer(published.saelens, architecture, **options),
                    predicts="hook_mlp_out" if transcoder else None,
                )  # fmt: skip
        for architecture in ("standard", "topk", "jumprelu", "gated", "abstopk"):
            for normalize in ("layer_norm", "constant_norm_rescale"):
                yield _case(
                    f"{architecture} ({normalize})",
                    "saelens",
                    "hook_resid_post",
                    family,
                    _writer(published.saelens, architecture, normalize_activations=normalize),
                )


def layout_cases() -> Iterator[Case]:
    """The other layouts, at the hooks that they can name, of the families they are made for."""
    for family in FAMILIES:
        attention = MODULES[family].format(LAYER)
        block = attention.rpartition(".")[0]
        for architecture in published.SPARSIFY_ARCHITECTURES:
            side = ".input" if architecture.endswith("transcoder") else ".output"
            for module in (block, f"{block}.mlp", attention):
                yield _case(
                    architecture, "sparsify", module + side, family,
                    _writer(published.sparsify, architecture, module),
                    module=module + side,
                )  # fmt: skip
    for family in ("llama", "gemma2", "gpt_neox"):
        for kind in published.DICTIONARY_CLASSES:
            yield _case(
                kind, "dictionary_learning", "hook_resid_post", family,
                _writer(published.dictionary_learning, kind),
            )  # fmt: skip
    for site, hook in (
        ("res", "hook_resid_post"),
        ("mlp", "hook_mlp_out"),
        ("att", "attn.hook_z"),
        ("transcoders", "ln2.hook_normalized"),
        ("embedding", "hook_embed"),
    ):
        yield _case(
            f"jumprelu ({site})", "gemma_scope", hook, "gemma2",
            _writer(published.gemma_scope, site),
            predicts="hook_mlp_out" if site == "transcoders" else None,
        )  # fmt: skip
    for site, hook, affine, cross in (
        ("resid_post", "hook_resid_post", False, False),
        ("attn_out", "attn.hook_z", False, False),
        ("mlp_out", "hook_mlp_out", False, False),
        ("transcoder", "mlp.hook_in", False, False),
        ("transcoder", "mlp.hook_in", True, False),
        ("transcoder", "mlp.hook_in", False, True),
    ):
        kind = site + (", affine" if affine else "") + (", cross-layer" if cross else "")
        yield _case(
            f"jumprelu ({kind})", "gemma_scope_2", hook, "gemma3_text",
            _writer(published.gemma_scope_2, site, affine=affine, cross_layer=cross),
            module=GEMMA_SCOPE_2[hook].format(LAYER),
            predicts="hook_mlp_out" if site == "transcoder" else None,
        )  # fmt: skip
    for activation in ("relu", "jumprelu", "topk"):
        for norm in ("dataset-wise", "token-wise", "inference"):
            yield _case(
                f"{activation} ({norm})", "openmoss", "hook_resid_post", "llama",
                _writer(published.llamascopium, activation, norm=norm),
            )  # fmt: skip
        yield _case(
            f"{activation} transcoder", "openmoss", "mlp.hook_in", "llama",
            _writer(published.llamascopium, activation, transcoder=True),
            predicts="hook_mlp_out",
        )  # fmt: skip
    for r1 in (False, True):
        for hook in ("hook_resid_post", "hook_mlp_out", "hook_attn_out"):
            yield _case(
                f"jumprelu (Llama Scope{' R1' if r1 else ''})", "openmoss", hook, "llama",
                _writer(published.llama_scope, r1=r1),
            )  # fmt: skip
    yield _case("standard", "goodfire", "hook_resid_post", "llama", published.goodfire)
    for family in ("qwen3", "qwen3_moe", "qwen3_5_text"):
        yield _case("topk", "qwen_scope", "hook_resid_post", family, published.qwen_scope)
    for family in ("qwen3", "gemma2", "llama"):
        for jump in (False, True):
            for skip in (False, True):
                yield _case(
                    ("jumprelu_" if jump else "") + ("skip_" if skip else "") + "transcoder",
                    "circuit_tracer", "mlp.hook_in", family,
                    _writer(published.transcoder_set, jump=jump, skip=skip),
                    predicts="hook_mlp_out",
                )  # fmt: skip
            yield _case(
                ("jumprelu_" if jump else "") + "transcoder (cross-layer)",
                "circuit_tracer", "hook_resid_mid", family,
                _writer(published.cross_layer, jump=jump),
                predicts="hook_mlp_out",
            )  # fmt: skip


def directory_cases() -> Iterator[Case]:
    """One row for every kind of SAE in SAELens' directory, loaded by its release's name."""
    for kind, entry in sae_directory.kinds().items():
        assert entry.config is not None
        hook = entry.config.hook
        hook = hook.at(LAYER) if hook.layer is not None else hook
        module = None
        if entry.loader == "gemma_3":
            module = GEMMA_SCOPE_2[hook.name.removeprefix(f"blocks.{LAYER}.")].format(LAYER)

        def write(folder: Path, wanted: Wanted, entry: sae_directory.Entry = entry) -> Published:
            assert entry.config is not None
            return write_entry(folder, entry, replace(wanted, layer=entry.config.hook.layer or 0))

        yield Case(
            kind.name,
            kind.family,
            hook,
            write,
            lambda folder, wanted: local_hub(folder, wanted.d_in, wanted.d_out),
            module,
            HookPoint.parse(f"blocks.{LAYER}.hook_mlp_out")
            if entry.config.predicts_output
            else None,
        )


def demo_cases() -> Iterator[Case]:
    """Rows on the bundled model, which is no toy: 576 wide, with attention sinks."""

    def own(folder: Path, wanted: Wanted) -> Published:
        from sae_lens import SAE

        from autointerp_core.sources.demo import demo_sae_path

        place = next(Path(demo_sae_path()).rglob("cfg.json")).parent
        reference: Any = SAE.load_from_disk(place, dtype="float32")
        return Published("demo", None, lambda x: reference.encode(x).detach(), reference)

    yield _case("topk (the demo SAE)", "saelens", "hook_resid_post", "demo", own, layer=DEMO_LAYER)
    # At each hook an architecture that is published there.
    plain = {
        "hook_resid_pre": "standard",
        "hook_resid_mid": "topk",
        "hook_attn_out": "topk",
        "attn.hook_z": "jumprelu",
        "ln2.hook_normalized": "jumprelu_transcoder",
        "mlp.hook_post": "topk",
        "hook_mlp_out": "jumprelu",
        "hook_embed": "abstopk",
    }
    for hook, architecture in plain.items():
        yield _case(
            architecture, "saelens", hook, "demo",
            _writer(published.saelens, architecture),
            predicts="hook_mlp_out" if architecture.endswith("transcoder") else None,
            layer=DEMO_LAYER,
        )  # fmt: skip
    for jump, skip in ((False, False), (True, False), (True, True)):
        yield _case(
            ("jumprelu_" if jump else "") + ("skip_" if skip else "") + "transcoder",
            "circuit_tracer", "mlp.hook_in", "demo",
            _writer(published.transcoder_set, jump=jump, skip=skip),
            predicts="hook_mlp_out", layer=DEMO_LAYER,
        )  # fmt: skip
    module = f"layers.{DEMO_LAYER}.mlp"
    yield _case(
        "topk_skip_transcoder", "sparsify", f"{module}.input", "demo",
        _writer(published.sparsify, "topk_skip_transcoder", module),
        module=f"{module}.input", layer=DEMO_LAYER,
    )  # fmt: skip
