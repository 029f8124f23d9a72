"""circuit-tracer's feature files, and labels for its graphs.

The files are those its viewer reads (safety-research/circuit-tracer 0.5.0,
``frontend/feature_models.py``, ``frontend/assets/feature_examples/init-feature-examples.js``):

* ``features/layer_{n}.bin`` with ``features/index.json.gz``: all features in one file, each with
  its length (four bytes, little-endian) before its compressed JSON, for range requests from a
  Hugging Face repository.
* ``files/{pair}.json``: a file a feature, named by the Cantor pairing of layer and index, for its
  local server: put ``files`` into the folder of the graphs, and name it as their ``scan``.
* ``labels.json``: ``{"{layer}_{index}": label}``, and, where a graph is given, a copy of it in
  ``graphs/`` with our labels in its nodes, and ``files`` as the scan of our layer.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from autointerp_core.errors import BadInput
from autointerp_core.exchange.format import Batch, Format, Plan, Scale
from autointerp_core.exchange.neuronpedia.rows import shown_tokens, single
from autointerp_core.exchange.subject import BLOCK, FeatureView, Subject
from autointerp_core.store.files import atomic_file, write_bytes
from autointerp_core.store.study import GROUPS, Example

FEATURES_A_BATCH = 256
LOGITS = 10
SCAN = "./data/files"
"""Of a graph whose features the local server reads from ``files``."""
_PARTS = "features/.parts"
_QUANTILES = 100
_CUSTOM = "custom-"
"""A scan that begins so names a place a layer, in ``transcoder_list``."""
_NAMES = {
    "top": "Top activations",
    "quantile_1": "Strongest quarter",
    "quantile_2": "Second quarter",
    "quantile_3": "Third quarter",
    "quantile_4": "Weakest quarter",
}
_DEAD = zlib.compress(orjson.dumps({"isDead": True}), 6)
"""What stands where the study has no feature: the viewer says that it failed to load."""


def cantor(layer: int, feature: int) -> int:
    """One number for both, as circuit-tracer's graphs name features."""
    return (layer + feature) * (layer + feature + 1) // 2 + feature


def _plan(subject: Subject) -> Plan:
    layer = subject.layer
    batches = tuple(
        Batch(
            each.name,
            each.features,
            tuple(f"files/{cantor(layer, f)}.json" for f in each.features),
            (f"{_PARTS}/{each.name}.bin",),
        )
        for each in Scale(FEATURES_A_BATCH, "part-{:05d}").batches(subject.features)
    )
    closing = [f"features/layer_{layer}.bin", "features/index.json.gz", "labels.json"]
    lines = [
        f"features/layer_{layer}.bin and index.json.gz: all features, for range requests",
        f"files/: {len(subject.features):,} files, one a feature, for the local viewer",
        "labels.json: labels by layer and index",
    ]
    if subject.config.graph is not None:
        name = Path(subject.config.graph).name
        _read_graph(subject.config.graph)
        closing.append(f"graphs/{name}")
        lines.append(f"graphs/{name}: that graph with our labels in its nodes")
    return Plan(batches, tuple(closing), tuple(lines))


def _write(subject: Subject, batch: Batch, folder: Path) -> None:
    with atomic_file(folder / batch.parts[0]) as packed:
        for name, view in zip(batch.files, subject.views(batch.features), strict=True):
            raw = orjson.dumps(_feature(view, subject), option=orjson.OPT_SERIALIZE_NUMPY)
            write_bytes(folder / name, raw)
            small = zlib.compress(raw, 6)
            packed.write(struct.pack("<I", len(small)) + small)


def _feature(view: FeatureView, subject: Subject) -> dict[str, Any]:
    """The fields of ``feature_models.Model``."""
    groups = []
    for group in GROUPS:
        examples = [_example(example) for example in view.examples.get(group, [])]
        if examples or group == "top":
            groups.append({"quantile_name": _NAMES[group], "examples": examples})
    activations = subject.study.activations(view.feature)
    steps = np.arange(1, _QUANTILES) / _QUANTILES
    counts = view.histogram.counts
    return {
        "transcoder_id": subject.info.sae_source,
        "index": view.feature,
        "examples_quantiles": groups,
        "top_logits": [one.text for one in view.logits.top[:LOGITS]],
        "bottom_logits": [one.text for one in view.logits.bottom[:LOGITS]],
        "act_min": float(activations.min()) if len(activations) else 0.0,
        "act_max": view.stats.max,
        "quantile_values": single(np.quantile(activations, steps)) if len(activations) else [],
        "histogram": [float(count) for count in counts] if len(activations) else [],
        "activation_frequency": view.stats.density,
    }


def _example(example: Example) -> dict[str, Any]:
    return {
        "tokens_acts_list": single(example.values),
        "train_token_ind": example.peak_index,
        "is_repeated_datapoint": False,
        "tokens": shown_tokens(example),
    }


def _close(subject: Subject, plan: Plan, folder: Path) -> None:
    packed, index, labels, *graphs = plan.closing
    parts = [folder / batch.parts[0] for batch in plan.batches]
    offsets = _put_together(subject, parts, folder / packed)
    raw = orjson.dumps({str(subject.layer): {"filename": Path(packed).name, "offsets": offsets}})
    write_bytes(folder / index, gzip.compress(raw, 6, mtime=0))
    known = dict(_labels(subject))
    write_bytes(folder / labels, orjson.dumps(known, option=orjson.OPT_INDENT_2))
    for name in graphs:
        graph = _read_graph(str(subject.config.graph))
        write_bytes(folder / name, orjson.dumps(_with_labels(graph, known, subject.layer)))


def _put_together(subject: Subject, parts: list[Path], packed: Path) -> list[int]:
    """One file of all features of the SAE; where each begins, and where the last one ends."""
    wanted = set(subject.features)
    offsets, at = [], 0
    dead = struct.pack("<I", len(_DEAD)) + _DEAD
    records = (record for part in parts for record in _records(part))
    with atomic_file(packed) as handle:
        for feature in range(subject.info.d_sae):
            offsets.append(at)
            record = next(records) if feature in wanted else dead
            handle.write(record)
            at += len(record)
    return [*offsets, at]


def _records(part: Path) -> Iterator[bytes]:
    with open(part, "rb") as handle:
        while head := handle.read(4):
            yield head + handle.read(struct.unpack("<I", head)[0])


def _labels(subject: Subject) -> Iterator[tuple[str, str]]:
    for start in range(0, len(subject.features), BLOCK):
        for feature, found in subject.labels(subject.features[start : start + BLOCK]).items():
            if found.state.label is not None:
                yield f"{subject.layer}_{feature}", found.state.label


def _read_graph(path: str) -> dict[str, Any]:
    """A graph of circuit-tracer.

    Raises:
        BadInput: it is none.
    """
    try:
        found: dict[str, Any] = orjson.loads(Path(path).expanduser().read_bytes())
    except OSError as error:
        raise BadInput(f"the graph {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"the graph {path} is not JSON: {error}") from error
    nodes = found.get("nodes") if isinstance(found, dict) else None
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise BadInput(
            f'{path} is no graph of circuit-tracer: it has no list "nodes"; give a file that its '
            "create_graph_files wrote"
        )
    return found


def _with_labels(graph: dict[str, Any], labels: dict[str, str], layer: int) -> dict[str, Any]:
    """The graph with labels in its feature nodes, and our files as the examples of our layer.

    What it says of other layers stays: where they are read from, and their labels.
    """
    nodes = []
    for node in graph["nodes"]:
        name = "_".join(str(node.get("node_id", "")).split("_")[:2])
        ours = labels.get(name) if node.get("feature_type") == "cross layer transcoder" else None
        nodes.append(node if ours is None else {**node, "clerp": ours})
    about = graph.get("metadata")
    about = dict(about) if isinstance(about, dict) else {}
    scan, listed = str(about.get("scan", "")), about.get("transcoder_list")
    where = list(listed) if isinstance(listed, list) and scan.startswith(_CUSTOM) else []
    where += [scan] * (layer + 1 - len(where))
    where[layer] = SCAN
    about |= {"scan": f"{_CUSTOM}autointerp", "transcoder_list": where}
    return {**graph, "metadata": about, "nodes": nodes}


FORMAT = Format(
    name="circuit-tracer",
    title="circuit-tracer",
    about="feature files and labels for its graphs",
    plan=_plan,
    write=_write,
    close=_close,
    settings=("examples", "graph"),
    needs="a hook point that names a layer",
)
