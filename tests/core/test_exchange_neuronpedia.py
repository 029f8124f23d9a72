"""Neuronpedia: files against its published tables, uploads against its own client, and back in."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from autointerp_core.cli import main
from autointerp_core.exchange.config import ExportConfig
from autointerp_core.exchange.imports import import_path
from autointerp_core.exchange.run import export_features
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.exchange_fixtures import LABELS, SAE, awkward_study

SCHEMAS = json.loads((Path(__file__).parent / "data/exchange/neuronpedia.json").read_text())
SOURCE = "tiny-model/9-resid-post-12"


@pytest.fixture
def awkward(own_home: Path) -> Iterator[tuple[Study, LabelHistory]]:
    with awkward_study(own_home) as found:
        yield found


VALID = {
    name: jsonschema.Draft202012Validator({**SCHEMAS, "$ref": f"#/$defs/{name}"})
    for name in SCHEMAS["$defs"]
}


def check(name: str, row: Any) -> None:
    VALID[name].validate(row)


def lines(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.decode().split("\n") if line]


def test_the_bulk_layout_fits_the_published_tables(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    export_features(study, history, "neuronpedia", range(12), tmp_path)
    root = tmp_path / SOURCE
    for table in ("features", "activations", "explanations"):
        rows = lines(root / table / "batch-0.jsonl.gz")
        assert rows
        for row in rows:
            check(table, row)
            assert (row["modelId"], row["layer"]) == ("tiny-model", "9-resid-post-12")
    for head in ("release.jsonl", "model.jsonl", "sourceset.jsonl", "source.jsonl"):
        (row,) = lines(root / head)
        check(head, row)
    types = lines(tmp_path / "config/explanation_type.jsonl")
    models = lines(tmp_path / "config/explanation_model_type.jsonl")
    for row in types:
        check("explanation_type.jsonl", row)
    for row in models:
        check("explanation_model_type.jsonl", row)
    # What the importer's foreign keys refer to is there.
    said = lines(root / "explanations/batch-0.jsonl.gz")
    assert {row["typeName"] for row in said} == {row["name"] for row in types}
    used = {row["explanationModelName"] for row in said if row["explanationModelName"]}
    assert used == {row["name"] for row in models}
    # Texts and activations are the study's own, to the bit and to the letter.
    example = study.examples(1)[0]
    mine = next(r for r in lines(root / "activations/batch-0.jsonl.gz") if r["index"] == "1")
    assert mine["values"] == pytest.approx(example.values, abs=0, rel=1e-7)
    named = dict(example.named)
    assert mine["tokens"] == [named.get(i, text) for i, text in enumerate(example.tokens)]
    assert mine["maxValueTokenIndex"] == example.peak_index


def test_sae_dashboards_own_class_reads_the_batches(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    from importlib.util import find_spec, module_from_spec, spec_from_file_location

    # Its module alone: the package around it brings a deep-learning library.
    package = find_spec("sae_dashboard")
    assert package is not None
    assert package.submodule_search_locations is not None
    file = Path(package.submodule_search_locations[0]) / "neuronpedia/neuronpedia_dashboard.py"
    spec = spec_from_file_location("their_dashboard", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    study, history = awkward
    export_features(study, history, "neuronpedia", range(12), tmp_path)
    raw = json.loads((tmp_path / "saedashboard/batch-0.json").read_text())
    batch = module.NeuronpediaDashboardBatch(**raw)
    assert [one.feature_index for one in batch.features] == list(range(12))
    assert batch.to_dict() == raw
    top = study.examples(3)[0]
    first = batch.features[3].activations[0]
    assert first.values == pytest.approx(top.values)
    assert first.qualifying_token_index == top.peak_index
    assert batch.features[3].pos_str == [one.text for one in study.logits(3).top]


def test_what_goes_out_comes_back_and_twice_adds_nothing(
    awkward: tuple[Study, LabelHistory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, history = awkward
    export_features(study, history, "neuronpedia", range(12), tmp_path / "out")
    # Where it came from all of it is known.
    report = import_path(study, history, tmp_path / "out", "neuronpedia", author="Ana")
    assert (report.labels, report.scores) == (0, 0)
    # Elsewhere, with an empty history, texts, scores and origins arrive.
    monkeypatch.setenv("AUTOINTERP_DB", f"sqlite:///{tmp_path / 'other.db'}")
    monkeypatch.setenv("AUTOINTERP_LABELS_BACKUP", str(tmp_path / "other.jsonl"))
    with LabelHistory.open() as other:
        first = import_path(study, other, tmp_path / "out", "neuronpedia", author="Ben")
        again = import_path(study, other, tmp_path / "out", "neuronpedia", author="Ben")
        assert first.labels == 12 + len(LABELS) + 1
        assert (first.scores, again.labels, again.scores) == (1, 0, 0)
        for feature in range(12):
            here = history.state(SAE, feature, study.id)
            there = other.state(SAE, feature, study.id)
            texts = {p.text for p in here.proposals} | {here.label}
            assert {p.text for p in there.proposals} == texts
            assert there.status == "unreviewed"
            origins = {e.details["origin"] for e in other.history(SAE, feature) if e.text}
            expected = {p.source for p in here.proposals} | {here.label_source}
            assert origins == expected
        state = other.state(SAE, 1, study.id)
        score = next(p for p in state.proposals if p.scores).scores["detection"]
        mine = history.state(SAE, 1, study.id).shown()
        assert mine is not None
        assert score == mine.scores["detection"]


def _public(path: Path, *rows: dict[str, Any]) -> Path:
    """A file as Neuronpedia's public exports have it."""
    base = {"modelId": "gemma-2-2b", "layer": "9-gemmascope-res-16k", "authorId": "x",
            "typeName": "oai_token-act-pair", "explanationModelName": "gpt-4o-mini",
            "embedding": [0.1, 0.2], "id": "clx"}  # fmt: skip
    text = "".join(json.dumps({**base, **row}) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_public_explanations_become_proposals_with_origin_and_model(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    path = _public(
        tmp_path / "batch-0.jsonl.gz",
        {"index": "5", "description": "mentions of\nrivers and 日本"},
        {"index": "6", "description": "one two three four five six seven eight nine ten"},
        {"index": "7", "description": "   "},
    )
    report = import_path(study, history, path, "neuronpedia", author="Ana")
    assert (report.labels, len(report.refused)) == (1, 2)
    assert "line 2" in report.refused[0]
    assert "10 words" in report.refused[0]
    assert "gemma-2-2b" in report.lines[-1]
    event = history.history(SAE, 5)[-1]
    assert (event.kind, event.text) == ("imported", "mentions of rivers and 日本")
    assert event.source == "import:neuronpedia:gpt-4o-mini"
    assert event.details["modelId"] == "gemma-2-2b"
    assert event.details["origin"] == "llm:gpt-4o-mini"
    assert history.state(SAE, 5, study.id).status == "unreviewed"
    longer = import_path(study, history, path, "neuronpedia", author="Ana", long="shorten")
    assert longer.labels == 1
    event = history.history(SAE, 6)[-1]
    assert event.text == "one two three four five six seven eight nine"
    assert event.details["whole"].endswith("nine ten")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"index": "12", "description": "x"}], "feature 12; this study's SAE has 12 features"),
        ([{"index": "1", "description": "x", "layer": "20-res"}], "layer 20"),
        ([{"index": "1"}], 'line 1, has no "description"'),
        ([{"description": "x"}], 'has no "index"'),
        ([{"index": -1, "description": "x"}], 'has no "index"'),
    ],
)
def test_a_file_about_another_sae_or_of_another_kind_is_refused(
    rows: list[dict[str, Any]],
    says: str,
    awkward: tuple[Study, LabelHistory],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, history = awkward
    before = history.last_event_id(SAE)
    path = _public(tmp_path / "batch-0.jsonl.gz", *rows)
    given = ["import", str(path), "--study", "awkward", "--format", "neuronpedia"]
    assert main(given) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert says in told[0]
    assert history.last_event_id(SAE) == before


def test_damaged_files_are_named_with_their_line(
    awkward: tuple[Study, LabelHistory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"index": str(f % 12), "description": f"about {f} " + "é" * 20} for f in range(500)]
    whole = _public(tmp_path / "whole.jsonl.gz", *rows).read_bytes()
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jsonl").write_text('{"index": "1", "description": "x"}\n{"index": oops\n')
    (tmp_path / "list.jsonl").write_text("[1]\n")
    for name, says in (
        ("cut.jsonl.gz", "damaged or truncated gzip"),
        ("text.jsonl", "line 2, is not JSON"),
        ("list.jsonl", "line 1, holds no object"),
        ("none.jsonl", "is not there"),
    ):
        given = ["import", str(tmp_path / name), "--study", "awkward", "--format", "neuronpedia"]
        assert main(given) == 2
        told = capsys.readouterr().err.strip()
        assert says in told
        assert name in told
        assert "\n" not in told


def test_an_export_of_another_sae_is_refused_by_its_fingerprint(
    awkward: tuple[Study, LabelHistory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, history = awkward
    for name in ("neuronpedia", "dataset", "delphi"):
        out = tmp_path / name
        export_features(study, history, name, range(12), out)
        for about in [*out.rglob("autointerp.json"), *out.rglob("config.json")]:
            about.write_text(about.read_text().replace(SAE, "some-other-sae"))
        assert main(["import", str(out), "--study", "awkward", "--format", name]) == 2
        assert "another SAE" in capsys.readouterr().err


def test_their_client_makes_the_same_body(
    awkward: tuple[Study, LabelHistory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package ``neuronpedia`` builds the request from its own classes: ours is equal."""
    from neuronpedia.np_activation import Activation
    from neuronpedia.np_explanation import Explanation
    from neuronpedia.np_feature import Feature, Logit
    from neuronpedia.requests.feature_request import MAX_FEATURES_PER_BATCH, FeatureRequest

    from autointerp_core.exchange.formats.neuronpedia_upload import FEATURES_A_BODY

    assert FEATURES_A_BODY == MAX_FEATURES_PER_BATCH
    study, history = awkward
    export_features(study, history, "neuronpedia-upload", range(12), tmp_path)
    ours = json.loads((tmp_path / "bodies/body-00000.json").read_text())
    model, source = ours["modelId"], ours["source"]
    features = [
        Feature(
            model,
            source,
            one["index"],
            one["density"],
            [Logit(**logit) for logit in one["topLogits"]],
            [Logit(**logit) for logit in one["bottomLogits"]],
            [
                Explanation(model, source, one["index"], e["text"], e["methodName"], e["modelName"])
                for e in one["explanations"]
            ],
            [Activation(model, source, one["index"], **a) for a in one["activations"]],
        )
        for one in ours["features"]
    ]
    sent: dict[str, Any] = {}
    request = FeatureRequest(api_key="key")
    monkeypatch.setattr(request, "send_request", lambda **given: sent.update(given))
    request.upload_batch(model, source, features)
    assert sent["json"] == ours
    assert sent["uri"] == "upload-batch"
    assert all(len(one["topLogits"]) <= 20 for one in ours["features"])


def test_labels_over_the_limit_are_listed_never_cut(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    whole = "x" * 600
    history.record(SAE, 2, "imported", whole, source="import:old")
    done = export_features(study, history, "neuronpedia-upload", range(12), tmp_path)
    assert done.left_out == ("feature 2: a label of 600 characters; Neuronpedia takes 512",)
    said = json.loads((tmp_path / "bodies/body-00000.json").read_text())["features"][2]
    assert all(len(one["text"]) < 512 for one in said["explanations"])
    assert ExportConfig().send is False
