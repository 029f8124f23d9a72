"""On a GPU nothing meets a tensor of the CPU: model, encode, health, logits, local labelling.

No GPU is needed: see :mod:`tests.core.fake_cuda`. The last tests mix devices up on purpose, so
that this file is known to be able to fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from autointerp_core.extraction import firings
from autointerp_core.extraction.firings import Batching, Extractor, begin_together, plan_shards
from autointerp_core.extraction.health import Reading, measure_health
from autointerp_core.extraction.logits import write_logits
from autointerp_core.extraction.neighbours import write_neighbours
from autointerp_core.labels.providers.base import ChatPrompt, Message, Settings
from autointerp_core.labels.providers.local import LocalProvider
from autointerp_core.progress import silent
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.model import TruncatedModel, inspect_model, load_head
from autointerp_core.sources.model_load import load_truncated
from autointerp_core.sources.sae import LoadedSAE, load_sae
from autointerp_core.store.study_record import Masks
from autointerp_core.store.tokenstore import TokenStore
from tests.core.extraction_fixtures import HOOK, Tiny, make_tiny
from tests.core.fake_cuda import CUDA, fake_cuda, move
from tests.core.tiny import tiny_saelens

MIXED = "two different devices|at least two devices|FakeTensor Device"
CPU = torch.device("cpu")
OWN = HookPoint(2, "resid_post")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"), 30)


@pytest.fixture(scope="module")
def tokens(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    from autointerp_core.extraction.run import extract

    return extract(tiny.request(features=(1,)), tmp_path_factory.mktemp("studies")).study.tokens


@pytest.fixture
def mode() -> Iterator[FakeTensorMode]:
    with fake_cuda() as found:
        yield found


def loaded(tiny: Tiny, mode: FakeTensorMode, n_blocks: int = 4) -> TruncatedModel:
    """The tiny model on the GPU."""
    with torch.utils._python_dispatch._disable_current_modes():
        model = load_truncated(inspect_model(str(tiny.model)), n_blocks, torch.float32, CPU)
    move(model._model, mode)
    model.device = CUDA
    return model


def sae_of(folder: Path, mode: FakeTensorMode) -> LoadedSAE:
    with torch.utils._python_dispatch._disable_current_modes():
        found = load_sae(str(folder), None)
    move(found.sae, mode)
    return found


@pytest.fixture(scope="module")
def saes(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("saes")
    return {
        "topk": tiny.saelens,
        "sparsify": tiny.sparsify / "layers.2",
        "wide": tiny_saelens(folder / "wide", 32, 20_000, HOOK, architecture="topk", k=8),
        "jumprelu": tiny_saelens(folder / "jumprelu", hook=HOOK, architecture="jumprelu"),
    }


KINDS = ("topk", "sparsify", "wide", "jumprelu")


def extracted(
    tiny: Tiny, folder: Path, tokens: TokenStore, mode: FakeTensorMode, some: bool
) -> None:
    sae = sae_of(folder, mode)
    features = np.arange(5 if some else sae.config.d_sae, dtype=np.int32)
    extractor = Extractor(loaded(tiny, mode), sae, OWN, features, Batching(8, 4096))
    for shard in plan_shards(np.asarray(tokens.sequences), 200)[:2]:
        made = extractor.extract(tokens, shard)
        assert len(made.indptr) == len(features) + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("some", [False, True], ids=["all", "some"])
@pytest.mark.slow
def test_model_and_encode(
    tiny: Tiny, saes: dict[str, Path], tokens: TokenStore, mode: FakeTensorMode, kind: str,
    some: bool,
) -> None:  # fmt: skip
    extracted(tiny, saes[kind], tokens, mode, some)


WAITS = ("cpu", "item", "tolist", "numpy", "nonzero", "__bool__", "__float__", "__int__")


@pytest.mark.parametrize("kind", ["topk", "sparsify"])
def test_nothing_waits_for_the_gpu_before_a_shard_is_ended(
    tiny: Tiny, saes: dict[str, Path], tokens: TokenStore, mode: FakeTensorMode, kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Batch after batch is begun; what they found is asked for at the end."""

    def refusing(name: str) -> Callable[..., Any]:
        method = getattr(torch.Tensor, name)

        def asked(self: torch.Tensor, *given: Any, **named: Any) -> Any:
            assert self.device.type != "cuda", f"{name} waits for the GPU"
            return method(self, *given, **named)

        return asked

    sae = sae_of(saes[kind], mode)
    features = np.arange(sae.config.d_sae, dtype=np.int32)
    extractor = Extractor(loaded(tiny, mode), sae, OWN, features, Batching(2, 4096))
    extractor.encoding.size = 8
    shard = plan_shards(np.asarray(tokens.sequences), 200)[0]
    with monkeypatch.context() as patch:
        patch.setattr(firings, "on_its_way", lambda tensor: tensor)
        for name in WAITS:
            patch.setattr(torch.Tensor, name, refusing(name))
        (made,) = begin_together([extractor], tokens, shard)
    assert len(made.norms) > 3
    assert len(made.parts) > len(made.norms)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wide", "jumprelu"])
def test_health_check(
    tiny: Tiny, saes: dict[str, Path], tokens: TokenStore, mode: FakeTensorMode, kind: str
) -> None:
    health = measure_health(
        loaded(tiny, mode),
        sae_of(saes[kind], mode),
        OWN,
        [HookPoint(1, "resid_post"), HookPoint(3, "resid_post")],
        tokens,
        Masks(),
        1.0,
        Reading("tiny", 400, 0, False),
    )
    assert health.n_tokens > 100
    assert len(health.measures) > 8


def test_logits_and_neighbours(
    tiny: Tiny, saes: dict[str, Path], mode: FakeTensorMode, tmp_path: Path
) -> None:
    sae = sae_of(saes["topk"], mode)
    head = moved_head(tiny, mode)
    features = np.arange(64, dtype=np.int32)
    decoder = sae.sae.W_dec.detach()
    write_logits(tmp_path / "logits.safetensors", decoder, head, features, 16, silent)
    write_neighbours(tmp_path, decoder, features, silent)
    assert {path.name for path in tmp_path.iterdir()} == {
        "logits.safetensors",
        "neighbours.safetensors",
    }


def moved_head(tiny: Tiny, mode: FakeTensorMode) -> Callable[[torch.Tensor], torch.Tensor]:
    """Norm and unembedding, moved to the GPU by ``load_head`` itself."""
    torch.__future__.set_swap_module_params_on_conversion(False)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        return load_head(inspect_model(str(tiny.model)), CUDA)
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


@pytest.fixture
def provider(tiny: Tiny, mode: FakeTensorMode) -> LocalProvider:
    found = LocalProvider(str(tiny.model), device="cpu")
    with torch.utils._python_dispatch._disable_current_modes():
        found._load()
    assert found._loaded is not None
    move(found._loaded[0], mode)
    return found


PROMPTS = [ChatPrompt((Message("user", text),)) for text in ("one two three", "four five")]


@pytest.mark.slow
def test_local_labelling_by_likelihood(provider: LocalProvider) -> None:
    assert len(list(provider.yes_no(PROMPTS))) == 2
    assert len(provider.rank(PROMPTS[0], ["a word", "another longer one", "x"])) == 3


def test_local_labelling_by_writing(provider: LocalProvider) -> None:
    found = list(provider.complete(PROMPTS, Settings(max_new_tokens=3)))
    assert len(found) == 2


# ------------------------------------------------------------------ mixed up on purpose


def test_ids_that_stay_on_the_cpu_are_caught(
    tiny: Tiny, saes: dict[str, Path], tokens: TokenStore, mode: FakeTensorMode
) -> None:
    model = loaded(tiny, mode)
    model.device = CPU
    sae = sae_of(saes["topk"], mode)
    extractor = Extractor(model, sae, OWN, np.arange(64, dtype=np.int32), Batching(8, 4096))
    with pytest.raises(Exception, match=MIXED):
        extractor.extract(tokens, plan_shards(np.asarray(tokens.sequences), 200)[0])


@pytest.mark.slow
def test_an_sae_that_stays_on_the_cpu_is_caught(
    tiny: Tiny, saes: dict[str, Path], tokens: TokenStore, mode: FakeTensorMode
) -> None:
    with torch.utils._python_dispatch._disable_current_modes():
        sae = load_sae(str(saes["jumprelu"]), None)
    with pytest.raises(Exception, match=MIXED):
        measure_health(loaded(tiny, mode), sae, OWN, [], tokens, Masks(), 1.0)


def test_numbers_read_without_a_copy_are_caught(
    tiny: Tiny, saes: dict[str, Path], tokens: TokenStore, mode: FakeTensorMode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: self)
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        extracted(tiny, saes["topk"], tokens, mode, False)


def test_a_prompt_that_stays_on_the_cpu_is_caught(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert provider._loaded is not None
    model: Any = type(provider._loaded[0])
    monkeypatch.setattr(model, "device", property(lambda self: CPU))
    with pytest.raises(Exception, match=MIXED):
        list(provider.yes_no(PROMPTS))
