"""Commands that make and score labels: ``label`` and ``score``.

Their options are the fields of the configurations, under the names that ``run_labeling`` uses.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import typer

from autointerp_core.cli.options import Knob, option, with_options
from autointerp_core.cli.terminal import TERMINAL
from autointerp_core.errors import ParameterError
from autointerp_core.extraction.config import MASK_PARAMETERS, ExtractionConfig
from autointerp_core.extraction.config import PARAMETERS as EXTRACTION_NAMES
from autointerp_core.labels.config import PARAMETERS as LABEL_NAMES
from autointerp_core.labels.config import LabelConfig, ScoreConfig
from autointerp_core.labels.providers.make import takes_money
from autointerp_core.labels.scoring.measures import MEASURES
from autointerp_core.progress import Progress
from autointerp_core.store.study_record import Masks

SCORE_NAMES: Mapping[str, str] = {
    **LABEL_NAMES,
    "provider": "judge_provider",
    "model_path": "judge_model_path",
}
"""Fields of :class:`ScoreConfig`: who is asked is the judge here."""
_SOURCES = ("model_path", "sae_path", "dataset_path")
_FEATURES = (
    'Numbers and ranges (11,313 or 5-9), a JSON file {"feature_indices": [...], "scores": [...]}, '
    "or all."
)
_SCORES = "A score a feature, repeated in the files; wins over a JSON file's."
_OUTPUT = "Folder for feature_examples.jsonl and feature_labels.json."
_MAX_EXAMPLES = "Top examples a feature."


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    commands.command(
        "label",
        epilog="Try it: autointerp label --feature-indices 3,7,11 --model-path demo "
        "--sae-path demo --dataset-path demo",
    )(with_options(label, list(_label_options())))
    commands.command("score")(with_options(score, list(_score_options())))


def _label_options() -> Iterator[inspect.Parameter]:
    from autointerp_core.pipeline import run_labeling

    left = dict(inspect.signature(run_labeling).parameters)
    yield option("study", str | None, None, "Id or folder of a study: label it as it is.")
    yield option("feature_indices", str | None, None, _FEATURES)
    for each in fields(ExtractionConfig):
        flag = EXTRACTION_NAMES.get(each.name, each.name)
        if left.pop(flag, None) is not None:
            yield Knob(flag, ExtractionConfig, each.name).parameter(required=False)
    yield option("output_dir", str, "results", _OUTPUT)
    yield option("feature_scores", str | None, None, _SCORES)
    for name, flag in MASK_PARAMETERS.items():
        yield Knob(flag, Masks, name).parameter()
    for each in fields(LabelConfig):
        flag = LABEL_NAMES.get(each.name, each.name)
        if left.pop(flag, None) is not None:  # device and dtype are the extraction's, too
            yield Knob(flag, LabelConfig, each.name).parameter()


def _score_options() -> Iterator[inspect.Parameter]:
    yield option("study", str, ..., "Id or folder of a study.")
    yield option("feature_indices", str, "all", _FEATURES)
    yield option("output_dir", str, "results", _OUTPUT)
    yield option("feature_scores", str | None, None, _SCORES)
    yield option("max_examples_per_feature", int, 20, _MAX_EXAMPLES)
    for each in fields(ScoreConfig):
        yield Knob(SCORE_NAMES.get(each.name, each.name), ScoreConfig, each.name).parameter()


def label(given: Mapping[str, Any]) -> None:
    """Extract and label features; writes feature_examples.jsonl and feature_labels.json.

    With --study the features of a study that exists are labelled: no model, SAE or dataset is
    loaded, but for the labeller's own.
    """
    from autointerp_core.pipeline import label_study, naming, run_labeling

    values = {**given, "feature_scores": _numbers(given["feature_scores"])}
    study = values.pop("study")
    if study is not None:
        with naming(LABEL_NAMES):
            config = LabelConfig(**_fields_of(LabelConfig, LABEL_NAMES, values))
        result = label_study(
            study,
            values["feature_indices"] or "all",
            values["output_dir"],
            config,
            feature_scores=values["feature_scores"],
            max_examples_per_feature=values["max_examples_per_feature"],
            progress=TERMINAL.report,
        )
    else:
        for name in ("feature_indices", *_SOURCES):
            if values[name] is None:
                flag = name.replace("_", "-")
                raise ParameterError(
                    f"--{flag} is missing; give it, or --study to label a study that exists"
                )
        result = run_labeling(**values, progress=TERMINAL.report)
    _tell(result, values)


def score(given: Mapping[str, Any]) -> None:
    """Score the labels that a study's features have; writes the two result files."""
    from autointerp_core.pipeline import naming, score_study

    values = dict(given)
    with naming(SCORE_NAMES):
        config = ScoreConfig(**_fields_of(ScoreConfig, SCORE_NAMES, values))
    result = score_study(
        values["study"],
        values["feature_indices"],
        values["output_dir"],
        config,
        feature_scores=_numbers(values["feature_scores"]),
        max_examples_per_feature=values["max_examples_per_feature"],
        progress=TERMINAL.report,
    )
    TERMINAL.report(Progress("done"))
    found = result["scores"]
    print(f"{found['features']} of {result['num_features']} features scored")
    for line in (*_score_lines(found), *_control_lines(result["controls"])):
        print(line)
    _close(result)


def _fields_of(config: type, names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration takes of the options; an option without a value has the default."""
    flags = {each.name: names.get(each.name, each.name) for each in fields(config)}
    return {f: values[flag] for f, flag in flags.items() if values.get(flag) is not None}


def _tell(result: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """What a labelling run did, on stdout."""
    TERMINAL.report(Progress("done"))
    dead = f", {result['num_dead']} dead" if result["num_dead"] else ""
    print(f"{result['num_features']} features{dead}; study {result['study_path']}")
    print(f"search labels: {result['search_labels']}")
    if values["label_provider"] != "none":
        print(
            f"LLM labels: {result['labels_made']} made, {result['labels_reused']} reused, "
            f"{result['labels_failed']} failed"
        )
    for why, count in result["labels_failed_why"].items():
        print(f"failed: {count} × {why}")
    if result["requests"]:
        paid = takes_money(values["label_provider"], values["judge_provider"])
        print(_spent(result, paid=paid))
    for line in (*_score_lines(result["scores"]), *_control_lines(result["controls"])):
        print(line)
    _close(result, ", without --regenerate, " if values["regenerate"] else " ")


def _close(result: Mapping[str, Any], how: str = " ") -> None:
    for notice in result["notices"]:
        print(f"note: {notice}")
    if result["stopped"]:
        print(f"stopped: {result['stopped']}; the same command{how}goes on from here")
    print(result["examples_path"])
    print(result["labels_path"])


def _spent(result: Mapping[str, Any], *, paid: bool) -> str:
    """Tokens and money; a cost that is not known is said to be unknown, not 0."""
    line = f"{result['tokens_in']:,} tokens in, {result['tokens_out']:,} out"
    if not paid:
        return f"{line}, on this machine"
    cost = result["cost"]
    return f"{line}, " + ("cost unknown (no price given)" if cost is None else f"${cost:.4f}")


def _score_lines(report: Mapping[str, Any] | None) -> list[str]:
    """A line a scorer: what a person must see beside a score stands beside it."""
    if report is None:
        return []
    lines = [_score_line(name, found) for name, found in report["scorers"].items()]
    lines += [f"{name}: {why}" for name, why in report.get("without", {}).items()]
    lines += [f"no score for {n:,} features: {why}" for why, n in report["unscored"].items()]
    return lines


def _score_line(name: str, found: Mapping[str, Any]) -> str:
    shuffled = "unknown" if found["shuffled"] is None else f"{found['shuffled']:.2f}"
    corrected = ""
    if found["corrected"] is not None:
        corrected = (
            f"; {found['corrected']:.2f} ({found['corrected_low']:.2f}–"
            f"{found['corrected_high']:.2f}) corrected for the judge's known errors"
        )
    return (
        f"{name}: {found['mean']:.2f} ({found['low']:.2f}–{found['high']:.2f}) mean "
        f"{found['measure']} of {found['features']} {_of(name)}; floor {found['floor']:.2f}, "
        f"other features' labels {shuffled}; {found['n']:,} judgements, "
        f"{found['n_missing']:,} missing; judge {found['judge']}{corrected}"
    )


def _of(name: str) -> str:
    """What a score is of."""
    return "features" if name in MEASURES and not MEASURES[name].of_label else "labels"


def _control_lines(controls: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a scorer of each control, the same numbers as the real SAE's."""
    told = {
        "carried": "with the real SAE's labels",
        "anew": "with labels made anew",
        "measured": "measured alike",
    }
    return [
        f"control {each['kind']}, {how}: {_score_line(name, found)}"
        for each in controls
        for key, how in told.items()
        for name, found in each[key].items()
    ]


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of numbers") from error
