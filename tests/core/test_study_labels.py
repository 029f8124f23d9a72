"""Labels and scores of a study that exists, by function, and the configurations they share."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
from annotated_doc import Doc
from hypothesis import given
from hypothesis import strategies as st

import autointerp_core
from autointerp_core.errors import BadInput, ParameterError, StudyError
from autointerp_core.home import studies_dir
from autointerp_core.labels.config import PARAMETERS, LabelConfig, ScoreConfig
from autointerp_core.pipeline import label_study, run_labeling, score_study
from autointerp_core.store.event_details import (
    AnswerDetails,
    GenerationDetails,
    RankingDetails,
    ScoreDetails,
    SearchDetails,
    SearchEvidence,
)
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.score_values import ScorerResult
from autointerp_core.store.study import Study
from tests.core.score_fixtures import concept_study


@pytest.fixture
def study(own_home: Path) -> Study:
    return concept_study(studies_dir() / "toy-study", 150)


def labels_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(result["labels_path"]).read_bytes())["features"]
    return found


@pytest.mark.slow
def test_a_study_is_labelled_and_scored_by_its_id(study: Study, tmp_path: Path) -> None:
    config = LabelConfig(provider="scripted", scorers=("embedding",))
    done = label_study(study.id, "0,1,3", tmp_path / "out", config, feature_scores=[0.5, 0.25, 0.1])
    assert (done["num_features"], done["num_dead"], done["features_computed"]) == (3, 1, 0)
    assert (done["labels_made"], done["search_labels"]) == (2, 2)
    assert done["study_path"] == str(study.folder)
    rows = labels_of(done)
    assert [row["feature_index"] for row in rows] == [0, 1, 3]
    assert [row["score"] for row in rows] == [0.5, 0.25, 0.1]
    assert rows[0]["label_search"]
    assert rows[0]["scores"]["embedding"]["value"] > 0.8
    lines = Path(done["examples_path"]).read_text("utf-8").splitlines()
    assert [json.loads(line)["feature_id"] for line in lines] == [0, 1, 3]

    scored = score_study(
        str(study.folder),
        [0, 1],
        tmp_path / "scored",
        ScoreConfig(provider="scripted", scorers=("detection",)),
    )
    assert scored["scores"]["scorers"]["detection"]["features"] == 2
    assert scored["tokens_in"] > 0
    assert set(labels_of(scored)[0]["scores"]) == {"embedding", "detection"}
    again = score_study(study.id, [0, 1], tmp_path / "scored")  # by embedding, all known
    assert (again["scores"]["labels"], again["tokens_in"]) == (0, 0)


def test_what_cannot_be_used_is_refused_before_anything_is_written(
    study: Study, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for act in (label_study, score_study):
        with pytest.raises(StudyError, match="no study named 'nowhere'"):
            act("nowhere", "all", out)
        with pytest.raises(BadInput, match="77"):
            act(study.id, [0, 77], out)
    with pytest.raises(BadInput):
        label_study(study.id, [0], out, LabelConfig(provider="local", model_path=str(out)))
    assert not out.exists()
    with LabelHistory.open() as history:
        assert list(history.all_events()) == []


@pytest.mark.slow
def test_no_model_is_loaded_for_it(study: Study, tmp_path: Path) -> None:
    code = f"""
import sys
from autointerp_core import LabelConfig, ScoreConfig, label_study, score_study
label_study({study.id!r}, "all", {str(tmp_path / "a")!r}, LabelConfig(provider="none"))
score_study({study.id!r}, "all", {str(tmp_path / "b")!r}, ScoreConfig())
print([name for name in ("torch", "transformers", "sae_lens", "datasets", "openai")
       if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_functions_are_public() -> None:
    for name in ("label_features", "score_labels", "label_study", "score_study", "LabelConfig",
                 "ScoreConfig"):  # fmt: skip
        assert name in autointerp_core.__all__
        assert getattr(autointerp_core, name).__doc__


# ------------------------------------------------------------------ configurations


@pytest.mark.parametrize("config", [LabelConfig, ScoreConfig])
def test_every_setting_says_what_it_does(config: type) -> None:
    hints = typing.get_type_hints(config, include_extras=True)
    for field in dataclasses.fields(config):
        notes = [n for n in typing.get_args(hints[field.name]) if isinstance(n, Doc)]
        assert len(notes) == 1, field.name
        assert notes[0].documentation.endswith("."), field.name
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().provider = "none"


@pytest.mark.parametrize(
    ("given_as", "said"),
    [
        ({"max_examples_for_labeling": 0}, "max_examples_for_labeling is 0"),
        ({"label_concurrency": 0}, "label_concurrency is 0"),
        ({"label_provider": "anthropic"}, "label_provider is 'anthropic'"),
        ({"label_method": "best"}, "label_method is 'best'"),
        ({"scoring": "vibes"}, "scoring is 'vibes'"),
        ({"scoring": "embedding", "hold_out": False}, "give hold_out or scoring, not scoring"),
        (
            {"label_provider": "none", "scoring": "fuzzing"},
            "scoring by fuzzing asks .* label_provider 'none' give judge_provider",
        ),
    ],
)
def test_run_labeling_names_settings_as_its_arguments(
    given_as: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=said):
        run_labeling([1], "demo", "demo", "demo", None, tmp_path / "out", **given_as)


def test_every_renamed_setting_exists() -> None:
    names = {field.name for field in dataclasses.fields(LabelConfig)}
    assert set(PARAMETERS) <= names
    arguments = set(run_labeling.__annotations__)
    assert set(PARAMETERS.values()) <= arguments
    assert {PARAMETERS.get(name, name) for name in names - {"group"}} <= arguments


def test_scores_after_labelling_are_asked_for_as_alone() -> None:
    config = LabelConfig(
        provider="none",
        judge_provider="openai",
        judge_model_path="big",
        scorers=("embedding", "fuzzing"),
        score_windows=8,
        base_url="http://localhost:1",
        price_in=1.0,
        price_out=2.0,
    )
    assert config.scoring == ScoreConfig(
        provider="openai",
        model_path="big",
        scorers=("embedding", "fuzzing"),
        score_windows=8,
        base_url="http://localhost:1",
        price_in=1.0,
        price_out=2.0,
    )
    assert config.paid
    assert not LabelConfig(scorers=("embedding",)).paid
    assert LabelConfig().scoring is None


# ------------------------------------------------------------------ details of events


texts = st.text(max_size=8)
numbers = st.floats(-5, 5).map(lambda value: round(value, 4))


KINDS = {
    "float | None": st.none() | numbers,
    "int | None": st.none() | st.integers(0, 99),
    "int": st.integers(0, 99),
    "str": texts,
    "str | None": st.none() | texts.filter(bool),
}


@given(
    result=st.builds(
        ScorerResult,
        **{each.name: KINDS[str(each.type)] for each in dataclasses.fields(ScorerResult)},
    ),
    value=st.none() | numbers,
    n=st.integers(0, 99),
    reason=st.none() | texts.filter(bool),
    judge=texts,
)
def test_a_result_reads_as_it_was_written(
    result: ScorerResult, value: float | None, n: int, reason: str | None, judge: str
) -> None:
    stored = json.loads(json.dumps(result.to_json()))
    assert ScorerResult.from_json(result.name, stored) == result
    details = ScoreDetails(
        score=value, validate={"x": value}, judges={"x": judge}, scores={result.name: stored},
        unscored=reason, missing=n, lacking={"x": n}, documents_active=n, key=judge, seconds=0.25,
    )  # fmt: skip
    assert ScoreDetails.from_json(json.loads(json.dumps(details.to_json()))) == details
    assert details.result(result.name) == result
    assert details.result("of another name") is None


def test_the_file_format_of_details() -> None:
    """Keys and their order are stored as they always were: the same event is the same bytes."""
    answer = AnswerDetails(
        prompt_hash="h", documents="label", tokens_in=3, tokens_out=1, seconds=0.12345678,
        attempts=2, examples=5, raw=["a", "b"],
    )  # fmt: skip
    assert json.dumps(answer.to_json()) == (
        '{"prompt_hash": "h", "tokens_in": 3, "tokens_out": 1, "seconds": 0.1235, "cost": null, '
        '"attempts": 2, "examples": 5, "raw": ["a", "b"], "documents": "label"}'
    )
    failed = dataclasses.replace(answer, failure="provider").to_json()
    assert list(failed)[-3:] == ["raw", "failure", "documents"]
    ranked = RankingDetails(prompt_hash="h", documents="all", phrases={"p": 1.23456}, tokens_in=9)
    assert json.dumps(ranked.to_json()) == (
        '{"prompt_hash": "h", "documents": "all", "phrases": {"p": 1.235}, "seconds": 0.0, '
        '"tokens_in": 9, "tokens_out": 0, "cost": null}'
    )
    evidence = SearchEvidence(
        method="m", firings=4, kind="words", recall=0.55555, precision=1.0, context={"c": 0.12345}
    )
    search = SearchDetails(study="s", documents="label", prompt_hash="h", evidence=evidence)
    assert json.dumps(search.to_json()) == (
        '{"study": "s", "documents": "label", "prompt_hash": "h", "method": "m", "firings": 4, '
        '"kind": "words", "recall": 0.556, "precision": 1.0, "auroc": null, '
        '"context": {"c": 0.123}}'
    )
    assert SearchEvidence(firings=2).to_json() == {"firings": 2}
    for stored in (answer.to_json(), failed, ranked.to_json(), search.to_json()):
        read = GenerationDetails.from_json(stored)
        assert (read.prompt_hash, read.documents) == ("h", stored["documents"])
        assert read.failure == stored.get("failure")


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {"scores": None, "validate": [], "lacking": "x", "missing": "many", "cost": True},
        {"scores": {"x": "high", "y": [1], "z": None}, "score": float("nan")},
        {"seconds": 10**400, "tokens_in": -1, "documents_active": "all"},
    ],
)
def test_details_that_others_wrote_are_read_without_an_error(strange: dict[str, Any]) -> None:
    read = ScoreDetails.from_json(strange)
    assert read.rank is None
    assert not read.has_number
    assert all(result.value is None for result in read.results().values())
    GenerationDetails.from_json(strange)
