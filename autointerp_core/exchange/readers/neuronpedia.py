"""Explanations of Neuronpedia's public exports: one file, or the folder of a source.

A line is a row of its table ``Explanation`` (hijohnnylin/neuronpedia,
``utils/neuronpedia-utils/neuronpedia_utils/export-data.py``): ``modelId``, ``layer`` (such as
``20-gemmascope-res-16k``), ``index`` (a string), ``description``, ``typeName``,
``explanationModelName``. A folder that we wrote knows its SAE and has scores, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autointerp_core.errors import BadInput
from autointerp_core.exchange.incoming import Incoming, IncomingLabel, IncomingScore
from autointerp_core.exchange.readers.lines import check_width, json_file, json_lines
from autointerp_core.exchange.subject import layer_of
from autointerp_core.export.history_file import check_same_sae
from autointerp_core.store.study_record import StudyRecord

_LAYER = re.compile(r"(\d+)-")
_ORIGIN = "autointerp.json"
_KEPT = ("id", "modelId", "layer", "typeName", "explanationModelName")


def read_neuronpedia(path: Path, info: StudyRecord) -> Incoming:
    """What a file or folder says of the features of a study's SAE.

    Raises:
        BadInput: nothing is there, a line is damaged, or it is about another SAE.
    """
    files, source = _files(path)
    about = source / _ORIGIN
    ours = about.is_file()
    if ours:
        check_same_sae(json_file(about), info)
    labels, names, models = [], {}, set()
    for file in files:
        for number, row in json_lines(file):
            where = f"{file}, line {number:,}"
            label = _label(row, where, info, ours=ours)
            labels.append(label)
            models.add(str(row.get("modelId") or ""))
            if ours and isinstance(row.get("id"), str):
                names[row["id"]] = label
    scores = tuple(_scores(source / "scores", names)) if ours else ()
    return Incoming(tuple(labels), scores, tuple(_notices(models, info)))


def _files(path: Path) -> tuple[list[Path], Path]:
    """The files of explanations, and the folder of their source."""
    if path.is_file():
        return [path], path.parent.parent if path.parent.name == "explanations" else path.parent
    if not path.is_dir():
        raise BadInput(
            f"{path} is not there; give a .jsonl or .jsonl.gz file, or a source's folder"
        )
    folders = sorted({found.parent for found in path.rglob("*.jsonl*")})
    folders = [f for f in folders if f.name == "explanations"] or [f for f in folders if f == path]
    if not folders:
        raise BadInput(
            f"{path} holds no explanations: expected explanations/batch-0.jsonl.gz in the folder "
            "of a source, or .jsonl files"
        )
    if len(folders) > 1:
        named = ", ".join(str(folder.parent.relative_to(path)) for folder in folders[:5])
        raise BadInput(f"{path} holds the explanations of several sources ({named}); give one")
    (folder,) = folders
    files = [f for f in folder.iterdir() if f.name.endswith((".jsonl", ".jsonl.gz"))]
    return sorted(files, key=_number), folder.parent if folder.name == "explanations" else folder


def _number(file: Path) -> tuple[int, str]:
    found = re.search(r"\d+", file.name)
    return (int(found.group()) if found else -1, file.name)


def _label(row: dict[str, Any], where: str, info: StudyRecord, *, ours: bool) -> IncomingLabel:
    index, text = str(row.get("index", "")), row.get("description")
    if not index.isdecimal() or len(index) > 9:
        raise BadInput(f'{where}, has no "index" that is a number; is it a file of explanations?')
    if not isinstance(text, str):
        raise BadInput(f'{where}, has no "description"; is it a file of explanations?')
    feature = int(index)
    check_width(feature, info.d_sae, where)
    _check_layer(row.get("layer"), where, info)
    model, kind = row.get("explanationModelName"), row.get("typeName")
    details = {name: row[name] for name in _KEPT if isinstance(row.get(name), str)}
    origin = f"llm:{model}" if isinstance(model, str) and model else None
    if ours:
        # Its notes begin with who said it; what follows is whether a person decided on it.
        origin = (
            str(row.get("notes") or "").rsplit(" ", 1)[0] if _decided(row) else row.get("notes")
        )
    return IncomingLabel(
        feature,
        text,
        f"import:neuronpedia:{model}" if isinstance(model, str) and model else "import:neuronpedia",
        where,
        origin,
        kind if isinstance(kind, str) else None,
        {**details, **({"origin": origin} if origin else {})},
    )


def _decided(row: dict[str, Any]) -> bool:
    return str(row.get("notes") or "").endswith((" accepted", " overridden"))


def _check_layer(layer: Any, where: str, info: StudyRecord) -> None:
    found = _LAYER.match(layer) if isinstance(layer, str) else None
    ours = layer_of(info.hook)
    if found is not None and ours is not None and int(found.group(1)) != ours:
        raise BadInput(
            f"{where} is about source {layer}, layer {found.group(1)}; this study's SAE is at "
            f"layer {ours} ({info.hook}): the file is about another SAE"
        )


def _scores(folder: Path, names: dict[str, IncomingLabel]) -> Iterator[IncomingScore]:
    for file in sorted(folder.glob("*.jsonl.gz"), key=_number):
        for number, row in json_lines(file):
            label = names.get(str(row.get("explanationId")))
            scorer, result = row.get("scorer"), row.get("score")
            where = f"{file}, line {number:,}"
            if label is None or not isinstance(scorer, str) or not isinstance(result, dict):
                raise BadInput(f"{where}, is no score of an explanation beside it")
            yield IncomingScore(label.feature, label.text, scorer, result, where)


def _notices(models: set[str], info: StudyRecord) -> Iterator[str]:
    ours = info.model_name.rsplit("/", 1)[-1].lower()
    others = sorted(name for name in models - {""} if name.lower() != ours)
    if others:
        yield (
            f"the explanations are about features of {', '.join(others[:3])}, this study's model "
            f"is {info.model_name}; nothing in the file says that they are the same SAE"
        )
