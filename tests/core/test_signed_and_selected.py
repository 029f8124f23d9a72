"""Signed activations, latents that are left out, and activations that are no numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from autointerp_core.errors import AutointerpError, BadInput
from autointerp_core.extraction.run import extract
from autointerp_core.progress import Progress
from autointerp_core.sources.sae import load_sae
from autointerp_core.store.study import Study
from tests.core.extraction_fixtures import HOOK, Tiny, make_tiny
from tests.core.tiny import tiny_saelens


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    torch.set_num_threads(1)
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def dense(study: Study, tiny: Tiny, sae: Path) -> np.ndarray:
    """The latents at every token of a study, by the whole model and SAELens itself."""
    from sae_lens import SAE
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny.model, dtype=torch.float32).eval()
    reference = SAE.load_from_disk(sae)
    parts = []
    with torch.no_grad():
        for low, high in zip(study.tokens.sequences[:-1], study.tokens.sequences[1:], strict=True):
            if low == high:
                continue
            ids = torch.from_numpy(np.asarray(study.tokens.ids[low:high]).astype(np.int64))[None]
            hidden = model(ids, output_hidden_states=True).hidden_states[3]
            parts.append(reference.encode(hidden[0]))
    return torch.cat(parts).numpy()


@pytest.mark.slow
def test_signed_activations_are_ranked_by_magnitude_and_keep_their_sign(
    tiny: Tiny, tmp_path: Path
) -> None:
    sae = tiny_saelens(tmp_path / "sae", hook=HOOK, architecture="abstopk", k=8)
    study = extract(tiny.request(sae_path=str(sae)), tmp_path / "studies").study
    acts = dense(study, tiny, sae)
    acts[np.asarray(study.tokens.counted) == 0] = 0
    assert (acts < 0).any()
    seen_negative = 0
    sequence = study.tokens.sequence_of(np.arange(len(acts)))
    for feature in range(64):
        column = acts[:, feature]
        fired = np.flatnonzero(column)
        if not len(fired):
            continue
        stats = study.stats(feature)
        assert stats.fired == len(fired)
        assert stats.max == pytest.approx(np.abs(column).max(), rel=1e-4)
        best: dict[int, int] = {}
        for token in fired:
            at = best.setdefault(int(sequence[token]), int(token))
            if abs(column[token]) > abs(column[at]):
                best[int(sequence[token])] = int(token)
        strongest = sorted(best.values(), key=lambda token: -abs(column[token]))[0]
        example = study.examples(feature)[0]
        assert example.activation == pytest.approx(column[strongest], rel=1e-4)
        assert example.values[example.peak_index] == pytest.approx(example.activation, rel=1e-6)
        tokens, values = study.sequence_peaks(feature)
        assert sorted(tokens.tolist()) == sorted(best.values())
        assert (np.diff(np.abs(values)) <= 1e-6).all()
        histogram = study.histogram(feature)
        assert sum(histogram.counts) == len(fired)
        seen_negative += example.activation < 0
    assert seen_negative > 5


@pytest.mark.parametrize("architecture", ["jumprelu", "gated", "standard", "topk"])
@pytest.mark.slow
def test_a_few_latents_have_the_numbers_of_all(
    tiny: Tiny, tmp_path: Path, architecture: str
) -> None:
    extra: dict[str, Any] = {"k": 8} if architecture == "topk" else {}
    sae = tiny_saelens(tmp_path / "sae", hook=HOOK, architecture=architecture, **extra)
    everything = extract(tiny.request(sae_path=str(sae)), tmp_path / "all").study
    asked = (3, 17, 40, 63)
    few = extract(tiny.request(sae_path=str(sae), features=asked), tmp_path / "few").study
    assert few.features.tolist() == list(asked)
    for feature in asked:
        one, other = everything.sequence_peaks(feature), few.sequence_peaks(feature)
        assert sorted(one[0].tolist()) == sorted(other[0].tolist())
        # A narrower product adds in another order: the last bits of a float32 may differ.
        np.testing.assert_allclose(one[1], other[1], rtol=2e-5, atol=1e-5)
        assert everything.stats(feature).fired == few.stats(feature).fired > 0


def test_an_sae_that_overflows_is_told(tiny: Tiny, tmp_path: Path) -> None:
    sae = tiny_saelens(tmp_path / "sae", hook=HOOK, architecture="standard")
    path = sae / "sae_weights.safetensors"
    tensors = load_file(path)
    tensors["W_enc"][:, 7] = 3e38
    save_file(tensors, path)
    assert not torch.isfinite(load_sae(str(sae)).sae.encode(torch.randn(50, 32))[:, 7]).all()
    with pytest.raises(AutointerpError, match=r"overflows: feature 7 has an activation at blocks"):
        extract(tiny.request(sae_path=str(sae)), tmp_path / "studies")
    with pytest.raises(AutointerpError, match=r"overflows: feature 7 "):
        extract(tiny.request(sae_path=str(sae), features=(2, 7)), tmp_path / "studies")


@pytest.mark.slow
def test_a_context_of_one_leaves_no_room_beside_bos(tiny: Tiny, tmp_path: Path) -> None:
    sae = tiny_saelens(
        tmp_path / "sae",
        hook=HOOK,
        architecture="standard",
        metadata={"context_size": 1, "prepend_bos": True},
    )
    request = tiny.request(sae_path=str(sae), context_size=None, prepend_bos=None)
    with pytest.raises(BadInput, match="no room for a token") as caught:
        extract(request, tmp_path / "studies")
    assert "context_size=1" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "studies").exists()
    # Said, it may be overruled; and without BOS a token has room.
    extract(replace(request, context_size=8), tmp_path / "studies")
    extract(replace(request, prepend_bos=False), tmp_path / "studies")


def test_a_model_that_is_not_the_saes_own_is_told_which_is(tiny: Tiny, tmp_path: Path) -> None:
    sae = tiny_saelens(
        tmp_path / "sae",
        d_in=48,
        hook=HOOK,
        architecture="standard",
        metadata={"model_name": "owner/its-model"},
    )
    with pytest.raises(BadInput, match="owner/its-model"):
        extract(tiny.request(sae_path=str(sae)), tmp_path / "studies")
    deep = tiny_saelens(
        tmp_path / "deep",
        hook="blocks.40.hook_resid_post",
        architecture="standard",
        metadata={"model_name": "owner/its-model"},
    )
    request = tiny.request(sae_path=str(deep), sae_id=None)
    with pytest.raises(BadInput, match="owner/its-model"):
        extract(request, tmp_path / "studies")


@pytest.mark.slow
def test_prompts_and_marks_take_magnitude_and_show_the_sign(tiny: Tiny, tmp_path: Path) -> None:
    from autointerp_core.labels.explain.example_lines import mark_strengths, strength
    from autointerp_core.labels.scoring.marked_windows import firing_tokens, silent_tokens

    assert [strength(value, 10.0) for value in (-10.0, -0.1, 0.0, 3.0)] == [-10, -1, 0, 3]
    sae = tiny_saelens(tmp_path / "sae", hook=HOOK, architecture="abstopk", k=8)
    study = extract(tiny.request(sae_path=str(sae)), tmp_path / "studies").study
    negative = [
        (feature, examples[0])
        for feature in range(64)
        if (examples := study.examples(feature)) and examples[0].activation < 0
    ]
    assert negative
    for feature, example in negative:
        line = mark_strengths(example, study.stats(feature).max)
        assert "(-10)" in line
        assert example.peak_index in firing_tokens(example)
        assert example.peak_index not in silent_tokens(example)


@pytest.mark.slow
def test_search_labels_of_signed_features_are_words(tiny: Tiny, tmp_path: Path) -> None:
    from autointerp_core.labels.search.labeler import SearchLabeler

    sae = tiny_saelens(tmp_path / "sae", hook=HOOK, architecture="abstopk", k=8)
    study = extract(tiny.request(sae_path=str(sae)), tmp_path / "studies").study
    labeler = SearchLabeler(study)
    labels = [labeler.label(feature) for feature in range(16)]
    assert sum(bool(label.text) for label in labels) > 8


@pytest.mark.parametrize(
    ("hook", "width", "logits"),
    [
        # The projection behind these two writes into the stream.
        ("blocks.2.attn.hook_z", 32, True),
        ("blocks.2.mlp.hook_post", 64, True),
        ("blocks.2.mlp.hook_in", 32, False),
        ("blocks.2.hook_mlp_out", 32, True),
        ("blocks.2.hook_resid_mid", 32, True),
    ],
)
@pytest.mark.slow
def test_logits_only_of_directions_in_the_residual_stream(
    tiny: Tiny, tmp_path: Path, hook: str, width: int, logits: bool
) -> None:
    sae = tiny_saelens(tmp_path / "sae", d_in=width, hook=hook, architecture="jumprelu")
    said: list[Progress] = []
    request = tiny.request(sae_path=str(sae), sae_id=None, logits=True, features=(1, 2))
    study = extract(request, tmp_path / "studies", said.append).study
    top, bottom = study.logits(1)
    assert bool(top) is bool(bottom) is logits
    told = [note.message or "" for note in said if note.stage == "logits"]
    assert any("no top and bottom logits" in message for message in told) is not logits
    assert study.stats(1).fired > 0
