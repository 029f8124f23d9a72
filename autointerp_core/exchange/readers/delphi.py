"""delphi's explanations and judgements.

``explanations/{module}_latent{n}.txt`` is a JSON string; ``scores/{scorer}/{module}_latent{n}.txt``
a list of judged windows (EleutherAI/delphi, ``delphi/__main__.py`` and
``delphi/scorers/classifier/sample.py``). What was true of a window is ``activating``, in older
versions ``ground_truth``. A score is the balanced accuracy of the judgements, as delphi's own
``log/result_analysis.py`` works it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autointerp_core.errors import BadInput
from autointerp_core.exchange.incoming import Incoming, IncomingLabel, IncomingScore
from autointerp_core.exchange.readers.lines import check_width, json_file
from autointerp_core.export.history_file import check_same_sae
from autointerp_core.labels.auroc import auroc_value
from autointerp_core.store.score_values import ScorerResult, number
from autointerp_core.store.study_record import StudyRecord

SOURCE = "import:delphi"
_NAME = re.compile(r"(?P<module>.+)_(?:latent|feature)(?P<index>\d{1,9})\.txt")
_TRUTH = ("activating", "ground_truth")
_MODULES: Mapping[str, tuple[str, ...]] = {
    "hook_resid_post": ("",),
    "hook_mlp_out": (".mlp",),
    "hook_attn_out": (".self_attn", ".attention", ".attn"),
}
"""How delphi, which names modules, calls our hook points, after the layer."""
_LISTS = ("layers", "model.layers", "h", "transformer.h", "gpt_neox.layers")


def read_delphi(path: Path, info: StudyRecord) -> Incoming:
    """What a results folder of delphi says of the features of a study's SAE.

    Raises:
        BadInput: nothing is there, a file is damaged, or it is about another SAE.
    """
    explanations, scores = path / "explanations", path / "scores"
    if not explanations.is_dir() and not scores.is_dir():
        raise BadInput(
            f"{path} holds neither explanations/ nor scores/; give the folder that delphi wrote "
            "(results/NAME)"
        )
    prefix = "" if _is_ours(path, info) else "delphi "
    texts = {}
    for feature, file in _latents(explanations, info):
        texts[feature] = IncomingLabel(feature, _text(file), SOURCE, str(file), method="delphi")
    found, without = [], 0
    for folder in sorted(scores.iterdir()) if scores.is_dir() else ():
        for feature, file in _latents(folder, info) if folder.is_dir() else ():
            if feature in texts:
                found.append(_score(texts[feature], prefix + folder.name, file))
            else:
                without += 1
    notices = (f"{without} scores have no explanation beside them: left out",) if without else ()
    return Incoming(tuple(texts.values()), tuple(found), notices)


def _is_ours(path: Path, info: StudyRecord) -> bool:
    """Whether we wrote the folder's cache, and so its scores; refuse one of another SAE."""
    found = False
    for config in sorted((path / "latents").glob("*/config.json")):
        about = json_file(config)
        ours = about.get("autointerp") if isinstance(about, dict) else None
        if isinstance(ours, dict) and ours.get("hook") == info.hook:
            check_same_sae(ours, info)
            found = True
    return found


def _latents(folder: Path, info: StudyRecord) -> Iterator[tuple[int, Path]]:
    """The features a folder has files of, ascending; those of other hook points are passed over."""
    here: dict[int, Path] = {}
    others: set[str] = set()
    for file in sorted(folder.glob("*.txt")) if folder.is_dir() else ():
        name = _NAME.fullmatch(file.name)
        if name is None:
            raise BadInput(f"{file} is not named as delphi names a latent: MODULE_latentN.txt")
        if not same_place(name["module"].replace("--", "/"), info.hook):
            others.add(name["module"])
            continue
        feature = int(name["index"])
        check_width(feature, info.d_sae, str(file))
        here[feature] = file
    if others and not here:
        raise BadInput(
            f"{folder} is about {', '.join(sorted(others)[:5])}; this study's hook point is "
            f"{info.hook}: it is about another SAE"
        )
    yield from sorted(here.items())


def same_place(module: str, hook: str) -> bool:
    """Whether a module that delphi names is where our hook point reads."""
    if module == hook:
        return True
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)", hook)
    if found is None:
        return False
    layer, kind = found.groups()
    named = {f"{list_}.{layer}{end}" for list_ in _LISTS for end in _MODULES.get(kind, ())}
    return module in named


def _text(file: Path) -> str:
    found = json_file(file)
    if not isinstance(found, str):
        raise BadInput(f"{file} holds no explanation: expected one JSON string")
    return found


def _score(label: IncomingLabel, scorer: str, file: Path) -> IncomingScore:
    rows = json_file(file)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"{file} holds no judgements: expected a list of objects")
    return IncomingScore(label.feature, label.text, scorer, _result(scorer, rows, file), str(file))


def _result(scorer: str, rows: Sequence[Mapping[str, Any]], file: Path) -> dict[str, Any]:
    active = [_truth(row, file) for row in rows]
    said = [_yes(row) for row in rows]
    known = [(true, yes) for true, yes in zip(active, said, strict=True) if yes is not None]
    right = {kind: [yes == true for true, yes in known if true is kind] for kind in (True, False)}
    both = bool(right[True]) and bool(right[False])
    value = sum(sum(each) / len(each) for each in right.values()) / 2 if both else None
    ranks = [number(row.get("probability")) for row in rows]
    ranked = [(true, rank) for true, rank in zip(active, ranks, strict=True) if rank is not None]
    area = None
    if {true for true, _ in ranked} == {True, False} and len({rank for _, rank in ranked}) > 2:
        high, low = ([rank for true, rank in ranked if true is kind] for kind in (True, False))
        area = auroc_value(high, low)
    return ScorerResult(
        name=scorer,
        value=value,
        n=len(known),
        n_missing=len(rows) - len(known),
        n_active=sum(active),
        measure="balanced accuracy",
        judge="delphi",
        floor=0.5,
        auroc=area,
        reason=None if both else "one kind of window has no judgement",
    ).to_json()


def _truth(row: Mapping[str, Any], file: Path) -> bool:
    for name in _TRUTH:
        if isinstance(row.get(name), bool):
            return bool(row[name])
    raise BadInput(f"{file}: a judgement has neither {' nor '.join(_TRUTH)}, true or false")


def _yes(row: Mapping[str, Any]) -> bool | None:
    said = row.get("prediction")
    return bool(said) if isinstance(said, bool | int | float) else None
