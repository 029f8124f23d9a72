"""Commands that run the model on a text of one's own: ``encode`` and ``steer``."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from autointerp_core.cli.options import Knob, option, with_options
from autointerp_core.cli.terminal import TERMINAL
from autointerp_core.errors import BadInput, ParameterError
from autointerp_core.extraction.config import MASK_PARAMETERS, ExtractionConfig
from autointerp_core.extraction.config import PARAMETERS as EXTRACTION_NAMES
from autointerp_core.live.turns import SteerConfig, Turn
from autointerp_core.progress import Progress
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.studies import find_study
from autointerp_core.store.study import Study
from autointerp_core.store.study_record import Masks

if TYPE_CHECKING:
    from autointerp_core.live.encoded import EncodedText
    from autointerp_core.live.model import LiveModel

_PAIR = ("model_path", "sae_path", "sae_id", "context_size", "prepend_bos", "dtype", "device")
_OF_STUDY = ("sae_id", "context_size", "prepend_bos")


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    commands.command(
        "encode",
        epilog='Try it: autointerp encode --model-path demo --sae-path demo --text "On Monday"',
    )(with_options(encode, list(_encode_options())))
    commands.command("steer")(with_options(steer, list(_steer_options())))


def source_options() -> Iterator[inspect.Parameter]:
    """``--study``, or the model and the SAE, under the names that ``label`` has."""
    yield option("study", str | None, None, "Id or folder of a study: its model and its SAE.")
    for name in _PAIR:
        yield Knob(EXTRACTION_NAMES.get(name, name), ExtractionConfig, name).parameter(
            required=False
        )
    for name, flag in MASK_PARAMETERS.items():
        yield Knob(flag, Masks, name).parameter()


def opened(values: Mapping[str, Any]) -> tuple[LiveModel, Study | None]:
    """The live model that the options name, and the study where they name one.

    Raises:
        BadInput: neither a study nor a model and an SAE, or both, are given.
    """
    from autointerp_core.extraction.pair import PairRequest
    from autointerp_core.live.model import open_live, open_pair

    if values["study"] is not None:
        given = [n for n in ("model_path", "sae_path", *_OF_STUDY) if values[n] is not None]
        if given:
            flag = given[0].replace("_", "-")
            raise ParameterError(f"--study says what --{flag} would; leave one of them away")
        study = Study(find_study(values["study"]))
        return open_live(study, device=values["device"], progress=TERMINAL.report), study
    for name in ("model_path", "sae_path"):
        if values[name] is None:
            flag = name.replace("_", "-")
            raise ParameterError(f"--{flag} is missing; give it, or --study")
    asked = PairRequest(**{name: values[name] for name in _PAIR if values[name] is not None})
    masks = Masks(**{name: values[flag] for name, flag in MASK_PARAMETERS.items()})
    return open_pair(asked, masks=masks, progress=TERMINAL.report), None


def _encode_options() -> Iterator[inspect.Parameter]:
    yield from source_options()
    yield option("text", str | None, None, "The text.")
    yield option("text_file", str | None, None, "A file that holds the text instead; - is stdin.")
    yield option("top", int, 10, "Features told of each token, strongest first.")


def encode(given: Mapping[str, Any]) -> None:
    """Say which features fire on each token of a text, as JSON."""
    text = _text(given)
    if given["top"] < 1:
        raise ParameterError(f"--top is {given['top']}; give a whole number of at least 1")
    live, study = opened(given)
    [found] = live.encode([text], progress=TERMINAL.report)
    told = _labels(study, found.feature.tolist())
    TERMINAL.report(Progress("done"))
    print(json.dumps(_tokens(found, given["top"], told), indent=2, ensure_ascii=False))


def _text(given: Mapping[str, Any]) -> str:
    if (given["text"] is None) == (given["text_file"] is None):
        raise ParameterError("give --text or --text-file, one of them")
    text = given["text"] if given["text_file"] is None else _read(given["text_file"])
    if not text.strip():
        raise BadInput("the text is empty; give at least a word")
    return str(text)


def _read(path: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).expanduser().read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no UTF-8 text; save it as UTF-8") from error


def _labels(study: Study | None, features: list[int]) -> Callable[[int], str | None]:
    if study is None:
        return lambda _: None
    with LabelHistory.open() as history:
        wanted = sorted(set(features))
        states = history.states(study.info.sae_fingerprint, wanted, study.id)
    return lambda feature: states[feature].label if feature in states else None


def _tokens(
    found: EncodedText, top: int, label: Callable[[int], str | None]
) -> dict[str, list[dict[str, Any]]]:
    tokens = []
    for place, (piece, masked) in enumerate(zip(found.pieces, found.masked, strict=True)):
        at = (found.token == place).nonzero()[0]
        strongest = sorted(at.tolist(), key=lambda i: -abs(float(found.activation[i])))[:top]
        features = [
            {
                "feature": int(found.feature[i]),
                "activation": float(found.activation[i]),
                "label": label(int(found.feature[i])),
            }
            for i in strongest
        ]
        # What a study would leave out of its statistics is named.
        left_out = {"masked": masked} if masked else {}
        tokens.append(
            {"text": piece, "id": int(found.ids[place]), **left_out, "features": features}
        )
    return {"tokens": tokens}


def _steer_options() -> Iterator[inspect.Parameter]:
    yield from source_options()
    yield option("feature", str, ..., "The feature's number; several: 12,57.")
    yield option(
        "strength", str, "4", "In units of the feature's own max; several: one each, 4,-2."
    )
    yield Knob("how", Turn, "how").parameter()
    yield option(
        "units", str | None, None,
        "What strength counts: max (the default with --study) or activation.",
    )  # fmt: skip
    for each in fields(SteerConfig):
        yield Knob(each.name, SteerConfig, each.name).parameter()


def steer(given: Mapping[str, Any]) -> None:
    """Go on from a prompt with features turned up or down, beside the unsteered text; JSON."""
    turns = _turns(given)
    config = SteerConfig(**{each.name: given[each.name] for each in fields(SteerConfig)})
    live, study = opened(given)
    from autointerp_core.live.answers import max_in
    from autointerp_core.live.steering import Steerer

    most = max_in(study) if study is not None else lambda _: None
    found = Steerer(live, most, TERMINAL.report).steer(turns, config, TERMINAL.report)
    TERMINAL.report(Progress("done"))
    told = {
        "prompt": config.prompt,
        "steered": found.steered.text,
        "unsteered": found.unsteered.text,
        "seed": config.seed,
        "temperature": config.temperature,
        "turns": [
            {"feature": t.feature, "how": t.how, "strength": t.strength, "units": t.units}
            for t in turns
        ],
        "changed_positions": list(found.at),
        "next_token": [
            {"token": c.text, "id": c.id, "unsteered": c.unsteered, "steered": c.steered}
            for c in found.changes
        ],
        "notes": list(found.notes),
    }
    print(json.dumps(told, indent=2, ensure_ascii=False))


def _turns(given: Mapping[str, Any]) -> list[Turn]:
    features = _parts(given["feature"], "feature", int)
    strengths = _parts(given["strength"], "strength", float)
    if len(strengths) not in (1, len(features)):
        raise ParameterError(
            f"--strength has {len(strengths)} numbers for {len(features)} features; give one, or "
            "one each"
        )
    if len(strengths) == 1:
        strengths *= len(features)
    units = given["units"] or ("max" if given["study"] is not None else "activation")
    return [
        Turn(feature, given["how"], strength, units)
        for feature, strength in zip(features, strengths, strict=True)
    ]


def _parts(text: str, name: str, kind: Callable[[str], Any]) -> list[Any]:
    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise ParameterError(f"--{name} is {text!r}; give a number, or several: 3,7") from error
    return found
