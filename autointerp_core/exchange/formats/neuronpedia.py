"""Neuronpedia's bulk layout, and SAEDashboard's batches that its own tools begin from.

``{model}/{layer}-{set}/`` holds ``release|model|sourceset|source.jsonl`` and, 1,024 features a
batch, ``features/``, ``activations/`` and ``explanations/batch-N.jsonl.gz``: what the importer of
hijohnnylin/neuronpedia reads (``apps/webapp/app/api/admin/import/route.ts``). Its table of
explanations refers to those of ways of explaining and of models, so ``config/`` names ours. Beside
it ``saedashboard/batch-N.json``. Scores have no file there, so they lie in ``scores/``, which only
our own importer reads.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson

from autointerp_core.exchange.explanations import explanations, result_of
from autointerp_core.exchange.format import Batch, Format, Plan, Scale
from autointerp_core.exchange.neuronpedia.names import Names, names_of
from autointerp_core.exchange.neuronpedia.rows import (
    activation_rows,
    dashboard_feature,
    explanation_id,
    explanation_rows,
    feature_row,
    type_name,
)
from autointerp_core.exchange.subject import BLOCK, Subject
from autointerp_core.export.history_file import origin
from autointerp_core.store.files import atomic_file, write_bytes

FEATURES_A_BATCH = 1024
ORIGIN = "autointerp.json"
"""Whose features the folder is about, for our own importer."""
_TABLES = ("features", "activations", "explanations", "scores")
_CONFIG = ("config/explanation_type.jsonl", "config/explanation_model_type.jsonl")
_HEADS = ("release.jsonl", "model.jsonl", "sourceset.jsonl", "source.jsonl", ORIGIN)
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


def _plan(subject: Subject) -> Plan:
    names = names_of(subject)
    root = f"{names.model}/{names.source}"
    files = (
        "saedashboard/{}.json",
        *(f"{root}/{table}/{{}}.jsonl.gz" for table in _TABLES),
    )
    batches = Scale(FEATURES_A_BATCH, files=files).batches(subject.features)
    return Plan(
        batches,
        (*(f"{root}/{name}" for name in _HEADS), *_CONFIG),
        (
            f"{root}/: release, model, sourceset and source.jsonl",
            f"{root}/features, activations, explanations, scores: batch-N.jsonl.gz, "
            f"{len(batches)} of each, {FEATURES_A_BATCH:,} features a batch",
            f"saedashboard/batch-N.json: {len(batches)}",
            "config/: ways of explaining and models that the explanations name",
        ),
    )


def _write(subject: Subject, batch: Batch, folder: Path) -> None:
    names = names_of(subject)
    root = folder / names.model / names.source
    with ExitStack() as stack:
        tables = {
            name: stack.enter_context(_gzipped(root / name / f"{batch.name}.jsonl.gz"))
            for name in _TABLES
        }
        dashboard = stack.enter_context(atomic_file(folder / f"saedashboard/{batch.name}.json"))
        dashboard.write(_dashboard_head(names, subject))
        for number, view in enumerate(subject.views(batch.features)):
            made = orjson.dumps(dashboard_feature(view, subject), option=orjson.OPT_SERIALIZE_NUMPY)
            dashboard.write(b",\n" + made if number else made)
            _put(tables["features"], feature_row(view, names, subject))
            for row in activation_rows(view, names, subject):
                _put(tables["activations"], row)
            for row in explanation_rows(view, names, subject):
                _put(tables["explanations"], row)
            for one in explanations(view.labelled):
                for scorer, raw in one.scores.items():
                    about = {
                        "explanationId": explanation_id(one, view.feature, names),
                        "scorer": scorer,
                        "score": result_of(scorer, raw),
                    }
                    _put(tables["scores"], about)
        dashboard.write(b"]}\n")


def _dashboard_head(names: Names, subject: Subject) -> bytes:
    head = orjson.dumps(
        {
            "model_id": names.model,
            "layer": subject.layer,
            "sae_set": names.source_set,
            "sae_id_suffix": None,
        }
    )
    return head[:-1] + b',"features":['


def _put(handle: gzip.GzipFile, row: dict[str, Any]) -> None:
    handle.write(orjson.dumps(row, option=_OPTIONS))


@contextmanager
def _gzipped(path: Path) -> Iterator[gzip.GzipFile]:
    """A gzip file of the same bytes for the same content: no time and no name in it."""
    with (
        atomic_file(path) as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=5, fileobj=raw, mtime=0) as handle,
    ):
        yield handle


def _close(subject: Subject, plan: Plan, folder: Path) -> None:
    names, info = names_of(subject), subject.info
    root = folder / names.model / names.source
    shared = {"creatorId": names.creator, "createdAt": subject.moment, "visibility": "PUBLIC"}
    title = f"{info.sae_source} at {info.hook} of {info.model_name}"
    rows: dict[str, dict[str, Any]] = {
        "release.jsonl": {
            "name": names.release,
            "description": title,
            "descriptionShort": title,
            "urls": [],
            "creatorName": names.creator,
            "creatorNameShort": names.creator,
            **shared,
        },
        "model.jsonl": {
            "id": names.model,
            "instruct": "instruct" in names.model or names.model.endswith("-it"),
            "displayName": info.model_name,
            "displayNameShort": names.model,
            "dimension": info.model.d_model,
            "layers": info.model.n_layers or 0,
            "neuronsPerLayer": 0,
            "owner": "",
            "updatedAt": subject.moment,
            **shared,
        },
        "sourceset.jsonl": {
            "modelId": names.model,
            "name": names.source_set,
            "description": title,
            "type": "",
            "creatorName": names.creator,
            "urls": [],
            "releaseName": names.release,
            "hasDashboards": True,
            **shared,
        },
        "source.jsonl": {
            "id": names.source,
            "modelId": names.model,
            "setName": names.source_set,
            "dataset": info.dataset_name,
            "num_prompts": info.n_sequences,
            "num_tokens_in_prompt": info.context_size,
            "hfRepoId": None,
            "hfFolderId": None,
            "notes": f"SAE {info.sae_fingerprint}",
            "hasDashboards": True,
            **shared,
        },
        ORIGIN: origin(info),
    }
    for name, row in rows.items():
        write_bytes(root / name, orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    for name, lines in zip(_CONFIG, _named(subject, names), strict=True):
        write_bytes(folder / name, b"".join(lines))


def _named(subject: Subject, names: Names) -> tuple[list[bytes], list[bytes]]:
    """A line for each way of explaining, and one for each model, that some explanation names."""
    types: set[str] = set()
    models: set[str] = set()
    for start in range(0, len(subject.features), BLOCK):
        for labelled in subject.labels(subject.features[start : start + BLOCK]).values():
            for one in explanations(labelled):
                types.add(type_name(one))
                models |= {one.model} if one.model is not None else set()

    def lines(found: set[str], **more: Any) -> list[bytes]:
        return [
            orjson.dumps(
                {"name": name, "displayName": name, "description": name}
                | {"creatorName": names.creator, "featured": False, **more},
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for name in sorted(found)
        ]

    return lines(types, creatorId=names.creator, isAttention=False), lines(models)


FORMAT = Format(
    name="neuronpedia",
    title="Neuronpedia",
    about="the folder its bulk importer reads, and SAEDashboard's batch files",
    plan=_plan,
    write=_write,
    close=_close,
    settings=("examples", "model_id", "source_set", "release", "creator"),
    needs="a hook point that names a layer",
)
