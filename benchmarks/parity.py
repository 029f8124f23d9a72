"""``make parity``: what we compute for an SAE against what its publisher computes.

A row is an architecture in a layout at a hook of a model family. Ours: the model cut behind the
hook, the SAE as our loaders read it, the latents as extraction encodes them. The reference: the
whole model under TransformerLens' ``TransformerBridge`` (or, where the SAE's files name a
Hugging Face module, that module's own input or output), and the publisher's class or formula on
the same files (``published_saes``). The value is the largest difference between two activations
by the project's tolerance, |a - b| / max(|b|, 0.01 x the feature's largest), over firings of
both; firings of only one of them may be 1e-5 of all.

Models and SAEs are tiny and random, but for the rows named ``demo``: the bundled model.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils.logging import disable_progress_bar

from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.hub import one_line
from benchmarks import published_saes as published
from benchmarks import sae_directory
from benchmarks.directory_files import local_hub, write_entry
from benchmarks.published_saes import Published, Wanted
from benchmarks.report import Row, publish

TOLERANCE = 2e-4
ONE_SIDED = 1e-5
DIRECTORY_LIMIT = 0.99
LAYER = 1
SEQUENCES, LENGTH = 6, 48
DEMO_LAYER = 9
DOCUMENT = Path(__file__).parent.parent / "docs" / "parity.md"

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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--document", action="store_true", help="write docs/parity.md, too")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--no-demo", action="store_true", help="leave out the demo model's rows")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    disable_progress_bar()
    rows = list(measure(given.only, demo=not given.no_demo))
    ok = {row.name for row in rows if row.ok}
    counted = sae_directory.count(ok)
    for reason, n in sorted(counted.reasons.items(), key=lambda item: -item[1]):
        print(f"  directory: {n:,} not usable: {reason}", file=sys.stderr)
    rows.append(
        Row(
            "directory_usable_share",
            counted.share,
            DIRECTORY_LIMIT,
            ">=",
            note=f"{counted.usable:,} of {counted.total:,}",
        )
    )
    status = publish("parity", rows)
    if given.document:
        from benchmarks.parity_document import write_document

        write_document(DOCUMENT, rows, counted)
        print(DOCUMENT)
    return status


def measure(only: str = "", *, demo: bool = True) -> Iterator[Row]:
    """Rows of all cases whose name contains ``only``, a family's together."""
    cases = [case for case in all_cases() if only in case.name]
    if demo:
        cases += [case for case in demo_cases() if only in case.name]
    with tempfile.TemporaryDirectory() as folder:
        for family in dict.fromkeys(case.family for case in cases):
            model = _model(family, Path(folder) / "models" / family)
            for case in (c for c in cases if c.family == family):
                try:
                    yield _row(case, model, Path(folder) / "saes")
                # Whatever goes wrong in one of two libraries is that row's result.
                except Exception as error:
                    said = f"{type(error).__name__}: {one_line(error)}"
                    yield Row(case.name, 1.0, TOLERANCE, note=f"failed: {said}")


# --- one row -----------------------------------------------------------------------------------


def _row(case: Case, model: ModelValues, folder: Path) -> Row:
    from autointerp_core.sources.sae import load_sae

    ours_x = model.ours(case.hook)
    d_out = model.ours(case.predicts).shape[-1] if case.predicts else ours_x.shape[-1]
    theirs_x, taken = model.reference(case.hook, case.module)
    with tempfile.TemporaryDirectory(dir=_made(folder)) as place:
        wanted = Wanted(
            case.hook.layer or 0,
            ours_x.shape[-1],
            d_out,
            case.hook.name.removeprefix(f"blocks.{case.hook.layer}."),
            scale=float(theirs_x.square().mean().sqrt()),
        )
        with contextlib.redirect_stdout(io.StringIO()):
            sae = case.write(Path(place), wanted)
            with case.load(Path(place), wanted):
                loaded = load_sae(sae.path, sae.sae_id)
        with torch.inference_mode():
            ours = loaded.encoder()(ours_x)
        value, note = difference(ours, sae.encode(theirs_x))
    notes = "; ".join(filter(None, (taken, note)))
    return Row(case.name, value, TOLERANCE, n_tokens=len(ours_x), note=notes)


def difference(ours: Tensor, theirs: Tensor) -> tuple[float, str]:
    """The largest difference by the project's tolerance; 1 where too many fire on one side."""
    both, one = (ours != 0) & (theirs != 0), (ours != 0) != (theirs != 0)
    fired, lone = int(both.sum()), int(one.sum())
    if not fired:
        return 1.0, "nothing fires"
    largest = 0.01 * theirs.abs().amax(dim=0, keepdim=True)
    relative = (ours - theirs).abs() / torch.maximum(theirs.abs(), largest).clamp(min=1e-30)
    value = float(relative[both].max())
    if lone > ONE_SIDED * fired:
        return max(value, 1.0), f"{lone} firings of {fired:,} in only one of them"
    return value, f"{lone} one-sided" if lone else ""


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# --- values at hooks ---------------------------------------------------------------------------


class ModelValues:
    """A model's values at hooks: by our truncated forward, and by the whole model."""

    def __init__(self, source: str, ids: Tensor, n_blocks: int, tokenizer: Any):
        from autointerp_core.sources.model import inspect_model

        self._config = inspect_model(source)
        self._ids, self._n_blocks, self._tokenizer = ids, n_blocks, tokenizer
        self._ours: dict[HookPoint, Tensor] = {}
        self._theirs: dict[str, Tensor] = {}

    def ours(self, hook: HookPoint) -> Tensor:
        """[n, width] as extraction gets it."""
        if hook not in self._ours:
            self._ours[hook] = _flat(self._truncated.run(self._ids, [hook])[hook])
        return self._ours[hook]

    def reference(self, hook: HookPoint, module: str | None) -> tuple[Tensor, str]:
        """[n, width] of the whole model, and where it was taken."""
        module = module or (hook.name if hook.kind == "module" else None)
        if module is None:
            if hook.name not in self._theirs:
                self._theirs[hook.name] = self._from_bridge(hook.name)
            return self._theirs[hook.name], "bridge"
        if module not in self._theirs:
            self._theirs[module] = self._from_module(module)
        return self._theirs[module], f"module {module}"

    @cached_property
    def _truncated(self) -> Any:
        from autointerp_core.sources.model import load_truncated

        return load_truncated(self._config, self._n_blocks, torch.float32, torch.device("cpu"))

    def _load(self) -> Any:
        from autointerp_core.sources.model import load_chat_model

        return load_chat_model(self._config, torch.device("cpu"), torch.float32)

    @cached_property
    def _whole(self) -> Any:
        return self._load()

    @cached_property
    def _bridge(self) -> Any:
        from transformer_lens.model_bridge import TransformerBridge

        # What it prints while it wraps a model is not a row of the table.
        with contextlib.redirect_stdout(io.StringIO()):
            return TransformerBridge.boot_transformers(
                self._config.name,
                hf_model=self._load(),  # one of its own: the bridge takes it to pieces
                tokenizer=self._tokenizer,
                device="cpu",
                dtype=torch.float32,
            )

    def _from_bridge(self, name: str) -> Tensor:
        with torch.no_grad():
            _, cache = self._bridge.run_with_cache(self._ids, names_filter=lambda n: n == name)
        return _flat(cache[name])

    def _from_module(self, place: str) -> Tensor:
        """The first value that goes into, or comes out of, the module of that name."""
        path, _, side = place.rpartition(".")
        found = [m for name, m in self._whole.named_modules() if name.endswith(f".{path}")]
        assert len(found) == 1, f"{len(found)} modules are called {path}"
        kept: list[Tensor] = []

        def keep(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any], out: Any) -> None:
            value = (given or tuple(named.values()))[0] if side == "input" else out
            kept.append((value[0] if isinstance(value, tuple) else value).clone())

        handle = found[0].register_forward_hook(keep, with_kwargs=True)
        try:
            with torch.no_grad():
                self._whole(input_ids=self._ids, use_cache=False)
        finally:
            handle.remove()
        return _flat(kept[0])


def _flat(value: Tensor) -> Tensor:
    """[b, s, …] → [b x s, width], heads side by side."""
    return value.float().reshape(value.shape[0] * value.shape[1], -1)


def _model(family: str, folder: Path) -> ModelValues:
    from autointerp_core.sources.model import inspect_model, load_tokenizer
    from tests.core.model_families import VOCABULARY, save_family
    from tests.core.tiny import tiny_tokenizer

    if family == "demo":
        return _demo_model()
    save_family(folder, family)
    tiny_tokenizer(folder, 300)
    tokenizer = load_tokenizer(inspect_model(str(folder)))
    ids = torch.randint(0, VOCABULARY, (SEQUENCES, LENGTH), generator=torch.Generator())
    return ModelValues(str(folder), ids, LAYER + 1, tokenizer)


def _demo_model() -> ModelValues:
    from autointerp_core.sources.dataset import open_dataset
    from autointerp_core.sources.model import inspect_model, load_tokenizer

    tokenizer = load_tokenizer(inspect_model("demo"))
    texts = list(open_dataset("demo", "text", SEQUENCES).iterate())
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    kept = torch.tensor([line[:LENGTH] for line in ids if len(line) >= LENGTH])
    return ModelValues("demo", kept, DEMO_LAYER + 1, tokenizer)


# --- the cases ---------------------------------------------------------------------------------


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


if __name__ == "__main__":
    sys.exit(main())
