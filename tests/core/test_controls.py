"""Controls: studies of their own, with the same labels at the floor, hidden from ordinary lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autointerp_core.controls import carry_labels, do_controls
from autointerp_core.errors import ParameterError, SAESourceError
from autointerp_core.extraction.control import control_request
from autointerp_core.extraction.run import extract
from autointerp_core.labels.config import ScoreConfig
from autointerp_core.labels.scoring.control_results import CARRIED
from autointerp_core.sources.sae import inspect_sae, load_sae
from autointerp_core.store.events import IMPORTED
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.studies import controls_of, list_studies
from autointerp_core.store.study import Study
from tests.core.extraction_fixtures import HOOK, Tiny, make_tiny
from tests.core.score_fixtures import concept_study
from tests.core.tiny import tiny_saelens


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("control"))


@pytest.fixture
def study(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path))
    return extract(tiny.request(logits=False), tmp_path / "studies").study


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


@pytest.mark.parametrize("kind", ["shuffled", "random-sae"])
def test_a_control_has_the_same_norms_and_other_directions(
    study: Study, tiny: Tiny, kind: str
) -> None:
    request = control_request(study, kind)
    real = load_sae(str(tiny.saelens)).sae
    made = load_sae(request.sae_path)
    for name, axis in (("W_enc", 0), ("W_dec", 1)):
        one, other = getattr(real, name), getattr(made.sae, name)
        assert torch.allclose(one.norm(dim=axis), other.norm(dim=axis), rtol=1e-4)
        likeness = torch.cosine_similarity(one, other, dim=axis)
        assert float(likeness.mean().abs()) < 0.1
        if kind == "shuffled":
            assert torch.equal(one.sort(dim=axis).values, other.sort(dim=axis).values)
    assert torch.equal(real.b_enc, made.sae.b_enc)
    assert load_sae(request.sae_path).fingerprint == made.fingerprint
    assert made.fingerprint != study.info.sae_fingerprint
    assert made.config.source.startswith(f"{kind} control of")
    assert inspect_sae(request.sae_path) == made.config


def test_a_control_is_a_study_that_names_itself_and_is_not_listed(
    study: Study, tmp_path: Path
) -> None:
    control = extract(control_request(study, "shuffled"), tmp_path / "studies").study
    assert control.info.control == "shuffled"
    assert control.info.control_of == study.id
    assert control.info.identity is not None
    assert study.info.identity is not None
    assert control.info.identity.control == "shuffled-0"
    assert control.info.identity.digest != study.info.identity.digest
    assert "shuffled" in control.id
    assert study.info.control is None
    assert "control" not in study.info.to_json()
    assert [info.id for info in list_studies().studies] == [study.id]
    assert [info.id for info in controls_of(study.id)] == [control.id]
    assert control.features.tolist() == study.features.tolist()
    assert bytes(control.tokens.text) == bytes(study.tokens.text)


@pytest.mark.slow
def test_latents_of_a_control_fire_as_often_as_those_they_stand_for(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path))
    sae = tiny_saelens(tmp_path / "relu", hook=HOOK, architecture="standard")
    with torch.no_grad():  # sparse: as trained ones are
        from safetensors.torch import load_file, save_file

        weights = load_file(sae / "sae_weights.safetensors")
        weights["b_enc"] = -12.0 - weights["b_enc"].abs()
        save_file(weights, sae / "sae_weights.safetensors")
    real = extract(
        replace(tiny.request(logits=False), sae_path=str(sae), sae_id=None), tmp_path / "studies"
    ).study
    control = extract(control_request(real, "random-sae"), tmp_path / "studies").study
    one, other = (s.table["density"].to_numpy() for s in (real, control))
    assert one.max() < 0.5
    assert np.allclose(one, other, atol=0.01)


def test_labels_are_carried_once_and_stay_at_the_floor(
    study: Study, tmp_path: Path, history: LabelHistory
) -> None:
    sae = study.info.sae_fingerprint
    history.record(sae, 3, IMPORTED, "amounts of money", source="import:x")
    control = extract(control_request(study, "random-sae"), tmp_path / "studies").study
    for _ in range(2):
        carry_labels(study, control, [3, 4], history)
    state = history.state(control.info.sae_fingerprint, 3, control.id)
    assert [(p.text, p.source) for p in state.proposals] == [
        ("amounts of money", f"{CARRIED}{study.id}")
    ]
    assert history.state(control.info.sae_fingerprint, 4).proposals == ()


@pytest.mark.slow
def test_a_scoring_run_does_the_same_for_its_controls(study: Study, history: LabelHistory) -> None:
    sae = study.info.sae_fingerprint
    for feature in range(6):
        history.record(sae, feature, IMPORTED, "amounts of money", source="import:x")
    config = ScoreConfig(scorers=("embedding",), control="shuffled,random-sae")
    found = do_controls(study, range(6), history, config)
    assert [each["kind"] for each in found] == ["shuffled", "random-sae"]
    assert {each["study"] for each in found} == {info.id for info in controls_of(study.id)}
    for each in found:
        assert each["anew"]["embedding"]["floor"] == 0.5


def test_a_control_that_cannot_be_made_is_refused_in_a_line(study: Study, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="'mixed'; choose from shuffled, random-sae"):
        ScoreConfig(control="mixed")
    with pytest.raises(ParameterError, match="choose from shuffled, random-sae"):
        control_request(study, "mixed")
    toy = concept_study(tmp_path / "toy", count=30)
    with pytest.raises(SAESourceError, match="does not say the path of its SAE's weights") as told:
        control_request(toy, "shuffled")
    assert "\n" not in str(told.value)


def test_weights_that_are_gone_or_others_by_now_are_told(
    study: Study, tiny: Tiny, tmp_path: Path
) -> None:
    weights = tiny.saelens / "sae_weights.safetensors"
    kept = weights.read_bytes()
    try:
        weights.unlink()
        with pytest.raises(SAESourceError, match="weights are not at hand"):
            control_request(study, "shuffled")
    finally:
        weights.write_bytes(kept)
