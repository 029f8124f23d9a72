"""Every family of models: our truncated run, heads and hooks against the whole model.

The oracle for values is Hugging Face's untruncated model with hooks of our own; for what a hook
means it is TransformerBridge's cache, and the sums that must hold on a residual stream.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.model import inspect_model, load_head, load_truncated
from tests.core.model_families import (
    FAMILIES,
    VOCABULARY,
    save_family,
    untruncated,
)
from tests.core.tiny import tiny_tokenizer

CPU = torch.device("cpu")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "model_families.md"
EVERY_CHECK = (
    "llama", "qwen3", "mixtral", "gemma2", "gemma4_text", "gpt2", "gpt_neox", "gpt_oss", "opt",
    "granite", "phi", "mistral3",
)  # fmt: skip
"""Families of the fast loop; the others are one of these in most of what can go wrong."""
# What TransformerBridge gives differs from Hugging Face's model from the first block on.
BRIDGE_DIFFERS = ("cohere", "cohere2", "hunyuan_v1_dense")
# Blocks that add more than attention and MLP: Mamba beside attention, inputs by layer, several
# streams, a norm around the sum.
ADDS_MORE = ("falcon_h1", "gemma4_text", "gemma3n_text", "openai-gpt", "opt with projection")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(
    params=[
        pytest.param(name, marks=[] if name in EVERY_CHECK else [pytest.mark.slow])
        for name in FAMILIES
    ]
)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models saved so far, each once."""
    return {}


@pytest.fixture
def folder(family: str, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    if family not in folders:
        path = tmp_path_factory.mktemp("family")
        folders[family] = save_family(path, family)
        tiny_tokenizer(path, VOCABULARY)
    return folders[family]


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


# --- the residual stream and logits --------------------------------------------------------------


def test_truncated_blocks_equal_the_whole_model(
    family: str, folder: Path, ids: torch.Tensor
) -> None:
    config = inspect_model(str(folder))
    whole = untruncated(folder, family)
    after, logits = whole.outputs(ids)
    assert len(after) == config.n_layers
    for n in sorted({1, 2, config.n_layers - 1, config.n_layers}):
        hook = HookPoint(n - 1, "resid_post")
        model = load_truncated(config, n, torch.float32, CPU)
        assert model.n_blocks == n
        close(model.run(ids, [hook])[hook], after[n - 1])
        if n < config.n_layers:
            names = [name for name, _ in model._model.named_parameters()]
            assert not [name for name in names if re.search(rf"(layers|h|blocks)\.{n}\.", name)]


def test_the_head_ranks_tokens_as_the_model_does(
    family: str, folder: Path, ids: torch.Tensor
) -> None:
    if family == "gemma3n_text":
        pytest.skip  # noqa
    after, logits = untruncated(folder, family).outputs(ids)
    width = after[-1].shape[-1]
    given = load_head(inspect_model(str(folder)), CPU)(after[-1].reshape(-1, width))
    expected = logits.reshape(-1, logits.shape[-1])
    assert given.shape == expected.shape
    # Soft caps and scales are monotonous: the order is what counts.
    same = (given.argsort(-1)[:, -5:] == expected.argsort(-1)[:, -5:]).float().mean()
    assert float(same) > 0.999
