"""Whole studies at every kind of hook, on a tiny model: against single sequences and SAELens."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp_core.errors import HookError, SAESourceError
from autointerp_core.extraction.run import extract
from autointerp_core.progress import Progress
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.model import inspect_model, load_truncated
from tests.core.extraction_fixtures import Tiny, make_tiny
from tests.core.tiny import tiny_topk_saelens

# (hook, width there in the tiny Llama, whether its directions raise tokens)
HOOKS = [
    ("hook_embed", 32, True),
    ("blocks.0.hook_resid_pre", 32, True),
    ("blocks.2.hook_resid_mid", 32, True),
    ("blocks.3.hook_attn_out", 32, True),
    ("blocks.2.attn.hook_z", 32, True),
    ("blocks.2.mlp.hook_in", 32, False),
    ("blocks.2.ln2.hook_normalized", 32, False),
    ("blocks.2.mlp.hook_post", 64, True),
    ("blocks.2.hook_mlp_out", 32, True),
    ("layers.1.self_attn.q_proj.output", 32, False),
    ("layers.1.mlp.output", 32, True),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    torch.set_num_threads(1)
    return make_tiny(tmp_path_factory.mktemp("tiny"), n_documents=20)


def request(tiny: Tiny, folder: Path, hook: str, width: int, **changes: Any) -> Any:
    tiny_topk_saelens(folder, d_in=width, hook=hook)
    return tiny.request(sae_path=str(folder), sae_id=None, **changes)


@pytest.mark.parametrize(("name", "width", "logits"), HOOKS)
@pytest.mark.slow
def test_a_study_at_every_hook(
    tiny: Tiny, tmp_path: Path, name: str, width: int, logits: bool
) -> None:
    from sae_lens import SAE

    said: list[Progress] = []
    asked = request(tiny, tmp_path / "sae", name, width)
    study = extract(asked, tmp_path / "studies", said.append).study
    assert study.info.hook == name
    hook = HookPoint.parse(name)
    assert f"-{hook.slug}-" in study.folder.name
    model = load_truncated(inspect_model(str(tiny.model)), 4, torch.float32, torch.device("cpu"))
    sae = SAE.load_from_disk(tmp_path / "sae", device="cpu", dtype="float32")
    bounds, ids = study.tokens.sequences, np.asarray(study.tokens.ids).astype(np.int64)
    dense = np.zeros((len(ids), 64), np.float32)
    for low, high in pairwise(bounds):
        if high > low:
            x = model.run(torch.from_numpy(ids[low:high])[None], [hook])[hook][0]
            with torch.no_grad():
                dense[low:high] = sae.encode(x).numpy()
    for feature in range(0, 64, 7):
        _, token, value = study.firings(feature)
        ours = np.zeros(len(ids), np.float32)
        ours[token] = value
        np.testing.assert_allclose(ours, dense[:, feature], rtol=2e-4, atol=2e-4)
    found = (study.folder / "passes").rglob("logits.safetensors")
    assert bool(list(found)) == logits
    notes = [each.message for each in said if each.message.startswith("note: no top and bottom")]
    assert bool(notes) != logits


def test_a_hook_that_is_not_there_is_told_before_anything_is_written(
    tiny: Tiny, tmp_path: Path
) -> None:
    asked = request(tiny, tmp_path / "sae", "layers.2.feed_forward.output", 32)
    with pytest.raises(HookError, match="has no feed_forward; it has self_attn, mlp"):
        extract(asked, tmp_path / "studies")
    assert not (tmp_path / "studies").exists()


def test_a_width_that_is_not_the_modules_is_told_before_anything_is_written(
    tiny: Tiny, tmp_path: Path
) -> None:
    asked = request(tiny, tmp_path / "sae", "layers.2.mlp.up_proj.output", 32)
    with pytest.raises(SAESourceError, match=r"64 wide at layers\.2\.mlp\.up_proj"):
        extract(asked, tmp_path / "studies")
    assert not (tmp_path / "studies").exists()


def test_a_model_whose_final_norm_is_unknown_loses_logits_not_the_run(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autointerp_core.sources import model_load

    monkeypatch.setattr(model_load, "_FINAL_NORMS", ())
    said: list[Progress] = []
    study = extract(tiny.request(), tmp_path / "studies", said.append).study
    assert study.stats(0).fired >= 0
    assert len(study.table) == 64
    notes = [each.message for each in said if "no top and bottom logits" in each.message]
    assert len(notes) == 1
    assert "cannot find the final norm" in notes[0]


def test_the_rows_of_the_embedding_come_from_the_weights(tiny: Tiny, tmp_path: Path) -> None:
    """A vocabulary that config.json overstates does not hide ids that are not there."""
    from autointerp_core.extraction.resolve import resolve
    from tests.core.tiny import edit_json, tiny_llama

    model = tiny_llama(tmp_path / "model")
    edit_json(model / "config.json", vocab_size=128_000)
    resolved = resolve(tiny.request(model_path=str(model)))
    assert resolved.tokenisation.embedding_rows == 400
    assert resolved.reading.vocabulary == 400
