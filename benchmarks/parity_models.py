"""Values at a hook: ours, and as the whole model has them under TransformerBridge."""

from __future__ import annotations

import contextlib
import io
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autointerp_core.sources.hooks import HookPoint

LAYER = 1
SEQUENCES, LENGTH = 6, 48
DEMO_LAYER = 9


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


def model_of(family: str, folder: Path) -> ModelValues:
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
