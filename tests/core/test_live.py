"""The live model reads a text as an extraction reads it, whatever the text, hook and rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autointerp_core.errors import FeatureRequestError, ModelSourceError, SAESourceError
from autointerp_core.extraction.pair import PairRequest
from autointerp_core.extraction.run import extract
from autointerp_core.live import EncodedText, LiveModel, open_live, open_pair
from autointerp_core.store.study import Study
from tests.core.extraction_fixtures import D_SAE, HOOK, Tiny, make_tiny
from tests.core.tiny import TEXTS, edit_json, tiny_topk_saelens

ALPHABETS = ("abc XYZ,.\n", "東京は晴れ漢字", "🙂🚀👩‍👩‍👧", "éàïößñe\u0301", "مرحبا")
TEXT = st.one_of(
    st.text(max_size=60),
    *(st.text(st.sampled_from(letters), max_size=40) for letters in ALPHABETS),
    st.sampled_from(TEXTS),
    st.sampled_from(["<|bos|>The bank", " ", "\n\n", "東" * 30]),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("live"))


def _study(tiny: Tiny, texts: list[str], folder: Path, **changes: Any) -> Study:
    dataset = folder / "typed.jsonl"
    lines = [json.dumps({"text": text}) for text in texts]
    dataset.write_text("\n".join(lines) + "\n")
    request = replace(tiny.request(dataset_path=str(dataset), logits=False), **changes)
    return extract(request, folder / "studies").study


def _same(study: Study, encoded: list[EncodedText]) -> None:
    """Ids, masks and texts are equal, activations within DESIGN's tolerance."""
    tokens = study.tokens
    assert np.concatenate([e.ids for e in encoded]).tolist() == tokens.ids.tolist()
    counted = np.concatenate([e.counted for e in encoded])
    assert counted.tolist() == (tokens.counted > 0).tolist()
    assert ["".join(e.pieces) for e in encoded] == [e.text for e in encoded]
    for feature in range(D_SAE):
        ours = np.concatenate([e.values(feature) for e in encoded])
        _, at, activation = study.firings(feature)
        theirs = np.zeros_like(ours)
        theirs[at] = activation
        assert ((ours != 0) == (theirs != 0)).all()
        strongest = float(np.abs(theirs).max(initial=0))
        floor = np.maximum(np.abs(theirs), 0.01 * strongest)
        both = theirs != 0
        assert (np.abs(ours - theirs)[both] <= 2e-4 * floor[both]).all()


@settings(
    max_examples=6, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(texts=st.lists(TEXT, min_size=4, max_size=25))
@pytest.mark.slow
def test_any_text_is_read_as_an_extraction_reads_it(
    texts: list[str], tiny: Tiny, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Emoji, Chinese, Arabic, decomposed letters, empty ones, longer than the context."""
    texts = [*texts, TEXTS[0]]
    study = _study(tiny, texts, tmp_path_factory.mktemp("typed"), prepend_bos=True)
    _same(study, open_live(study, device="cpu").encode(texts))


@pytest.mark.parametrize(
    ("hook", "width", "bos"),
    [
        ("blocks.1.attn.hook_z", 32, False),
        ("blocks.2.hook_mlp_out", 32, True),
        ("blocks.2.mlp.hook_post", 64, False),
        ("blocks.0.hook_resid_pre", 32, True),
    ],
)
def test_every_hook(tiny: Tiny, tmp_path: Path, hook: str, width: int, bos: bool) -> None:
    sae = tiny_topk_saelens(tmp_path / "sae", d_in=width, hook=hook)
    study = _study(tiny, TEXTS, tmp_path, sae_path=str(sae), sae_id=hook, prepend_bos=bos)
    _same(study, open_live(study, device="cpu").encode(TEXTS))


def test_characters_have_spans_and_masks_have_names(tiny: Tiny, tmp_path: Path) -> None:
    study = _study(tiny, TEXTS, tmp_path, prepend_bos=True)
    text = "naïve 東京 🙂 again " * 6
    [found] = open_live(study, device="cpu").encode([text])
    assert found.n_sequences > 1
    for piece, (start, stop) in zip(found.pieces, found.spans.tolist(), strict=True):
        assert text[start:stop] == piece
    opens = np.flatnonzero(np.diff(found.sequence, prepend=-1))
    assert [found.masked[i] for i in opens] == ["special"] * found.n_sequences
    assert found.ids[opens].tolist() == [0] * found.n_sequences


@pytest.mark.slow
def test_many_texts_are_streamed(tiny: Tiny, tmp_path: Path) -> None:
    """The stream takes no more of its input than it needs, and gives what one call gives."""
    live = open_live(_study(tiny, TEXTS, tmp_path), device="cpu", batch_tokens=64)
    taken = []

    def texts() -> Iterator[str]:
        for i in range(700):
            taken.append(i)
            yield f"{i} {TEXTS[i % len(TEXTS)]}"

    stream = live.stream(texts())
    first = next(stream)
    assert len(taken) < 300
    rest = list(stream)
    assert len(rest) == 699
    alone = live.encode([first.text, rest[-1].text])
    assert alone[1].feature.tolist() == rest[-1].feature.tolist()
    np.testing.assert_allclose(alone[1].activation, rest[-1].activation, rtol=2e-4)


def test_a_pair_without_a_study(tiny: Tiny) -> None:
    """Some features of it: the same numbers as all of it."""
    asked = PairRequest(str(tiny.model), str(tiny.saelens), HOOK, device="cpu", prepend_bos=True)
    live: LiveModel = open_pair(asked)
    [whole], [some] = live.encode(TEXTS[:1]), live.encode(TEXTS[:1], features=[9, 3])
    assert set(some.feature.tolist()) <= {3, 9}
    for feature in (3, 9):
        np.testing.assert_array_equal(whole.values(feature), some.values(feature))
    with pytest.raises(FeatureRequestError, match="0 to 63"):
        live.encode(TEXTS[:1], features=[64])


def test_a_study_whose_model_or_sae_is_gone_or_another(tiny: Tiny, tmp_path: Path) -> None:
    here = make_tiny(tmp_path / "own", n_documents=4)
    study = _study(here, TEXTS, tmp_path)
    edit_json(here.model / "config.json", rms_norm_eps=0.5)
    with pytest.raises(ModelSourceError, match="no longer the one that study"):
        open_live(study, device="cpu")
    edit_json(here.model / "config.json", rms_norm_eps=json.loads(
        (tiny.model / "config.json").read_text())["rms_norm_eps"])  # fmt: skip
    tiny_topk_saelens(here.saelens, hook=HOOK, seed=5)
    with pytest.raises(SAESourceError, match="no longer the one that study"):
        open_live(study, device="cpu")
    here.saelens.rename(tmp_path / "elsewhere")
    with pytest.raises(SAESourceError, match="cannot be read live"):
        open_live(study, device="cpu")
