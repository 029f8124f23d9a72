"""circuit-tracer: its own models read our files, whole and by range; graphs get labels."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autointerp_core.exchange.config import ExportConfig
from autointerp_core.exchange.run import export_features
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.exchange_fixtures import awkward_study


@pytest.fixture
def awkward(own_home: Path) -> Iterator[tuple[Study, LabelHistory]]:
    with awkward_study(own_home) as found:
        yield found


def theirs(name: str) -> ModuleType:
    """A module of circuit_tracer.frontend alone: the package around it brings torch."""
    package = find_spec("circuit_tracer")
    assert package is not None
    assert package.submodule_search_locations is not None
    file = Path(package.submodule_search_locations[0]) / "frontend" / f"{name}.py"
    spec = spec_from_file_location(f"their_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_range(folder: Path, layer: int, feature: int) -> Any:
    """A feature as the viewer's ``loadFeatureFromBinary`` gets it."""
    index = json.loads(gzip.decompress((folder / "features/index.json.gz").read_bytes()))
    entry = index[str(layer)]
    raw = (folder / "features" / entry["filename"]).read_bytes()
    part = raw[entry["offsets"][feature] : entry["offsets"][feature + 1] + 1]
    length = int.from_bytes(part[:4], "little")
    return json.loads(zlib.decompress(part[4 : 4 + length]))


def test_their_models_read_every_feature(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    export_features(study, history, "circuit-tracer", range(10), tmp_path)
    model = theirs("feature_models").Model
    pair = theirs("graph_models")._cantor_pairing
    for feature in range(10):
        read = model.model_validate_json((tmp_path / f"files/{pair(9, feature)}.json").read_text())
        assert by_range(tmp_path, 9, feature) == read.model_dump()
        examples = study.examples(feature)
        shown = read.examples_quantiles[0].examples
        assert read.index == feature
        assert len(shown) == len(examples)
        assert shown[0].train_token_ind == examples[0].peak_index
        assert shown[0].tokens_acts_list == pytest.approx(examples[0].values)
        named = dict(examples[0].named)
        assert shown[0].tokens == [named.get(i, t) for i, t in enumerate(examples[0].tokens)]
        assert read.top_logits == [one.text for one in study.logits(feature).top][:10]
        assert read.activation_frequency == pytest.approx(study.stats(feature).density)
        assert len(read.quantile_values) == 99
    # What was not exported says so, in the viewer's own words for it.
    assert by_range(tmp_path, 9, 11) == {"isDead": True}
    labels = json.loads((tmp_path / "labels.json").read_text())
    state = history.state("awkward-sae", 0, study.id)
    assert labels["9_0"] == state.label == 'by hand: "é"'


def test_a_graph_gets_our_labels_where_it_is_about_our_features(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    graphs = theirs("graph_models")
    nodes = [
        graphs.Node.feature_node(9, 3, 1, activation=2.0),
        graphs.Node.feature_node(9, 4, 1),
        graphs.Node.feature_node(2, 3, 1),
        graphs.Node.error_node(9, 1),
    ]
    graph: dict[str, Any] = {
        "metadata": {"slug": "g", "scan": "some/scan", "transcoder_list": []},
        "qParams": {},
        "nodes": [node.model_dump() for node in nodes],
        "links": [{"source": "a", "target": "b", "weight": 1.0}],
    }
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(graph))
    out = tmp_path / "out"
    config = ExportConfig(graph=str(path))
    export_features(study, history, "circuit-tracer", range(12), out, config)
    read = json.loads((out / "graphs/graph.json").read_text())
    label = history.state("awkward-sae", 1, study.id).label
    assert [node["clerp"] for node in read["nodes"]][:2] == [label, label]
    assert read["nodes"][2:] == graph["nodes"][2:]
    assert read["links"] == graph["links"]
    metadata = graphs.Metadata.model_validate(
        read["metadata"] | {"prompt_tokens": [], "prompt": ""}
    )
    assert metadata.scan.startswith("custom-")
    assert metadata.transcoder_list[9] == "./data/files"
    assert metadata.transcoder_list[2] == "some/scan"
    path.write_text('{"nodes": 3}')
    with pytest.raises(ValueError, match="no graph of circuit-tracer"):
        export_features(study, history, "circuit-tracer", range(12), out, config)
