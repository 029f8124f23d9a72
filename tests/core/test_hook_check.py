"""A hook the model does not have is refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import GPTNeoXConfig, GPTNeoXModel, LlamaConfig, LlamaModel

from autointerp_core.errors import HookError
from autointerp_core.sources.hook_check import check_hook
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.model import inspect_model

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 64,
}


def test_a_hook_that_the_architecture_lacks_is_refused(tmp_path: Path) -> None:
    GPTNeoXModel(GPTNeoXConfig(**SIZES)).save_pretrained(tmp_path / "neox")
    LlamaModel(LlamaConfig(**SIZES)).save_pretrained(tmp_path / "llama")
    # Attention and MLP are parallel in GPT-NeoX: nothing stands between them.
    mid = HookPoint.parse("blocks.1.hook_resid_mid")
    with pytest.raises(HookError, match="hook_resid_mid does not exist in GPTNeoX"):
        check_hook(mid, inspect_model(str(tmp_path / "neox")))
    check_hook(mid, inspect_model(str(tmp_path / "llama")))
    for name in ("blocks.1.hook_mlp_out", "blocks.0.hook_resid_post"):
        check_hook(HookPoint.parse(name), inspect_model(str(tmp_path / "neox")))
