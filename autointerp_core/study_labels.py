"""Labels and scores of a study that exists, and the two result files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.controls import do_controls
from autointerp_core.export.output import Output
from autointerp_core.feature_request import FeatureRequest
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.input_scores import add_input_scores
from autointerp_core.study_model import model_of

if TYPE_CHECKING:
    from autointerp_core.labels.config import LabelConfig, ScoreConfig
    from autointerp_core.labels.run import LabelReport
    from autointerp_core.store.study import Study

_SHOWN = 10


def label_study(
    study: str | Path,
    feature_indices: int | str | Path | Sequence[int] = "all",
    output_dir: str | Path = "results",
    config: LabelConfig | None = None,
    *,
    feature_scores: Sequence[float] | Mapping[int, float] | None = None,
    max_examples_per_feature: int = 20,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Label features of a study that exists; write the two result files.

    No model, SAE or dataset is loaded, but for the labeller's own.

    Args:
        study: Id of a study, or its folder.
        feature_indices: As for :func:`~autointerp_core.pipeline.run_labeling`; all must be in
            the study.
        output_dir: Folder for ``feature_examples.jsonl`` and ``feature_labels.json``.
        config: How to label; by default with the study's own model.
        feature_scores: As for :func:`~autointerp_core.pipeline.run_labeling`.
        max_examples_per_feature: Top examples a feature, in the file.
        progress: As for :func:`~autointerp_core.pipeline.run_labeling`.

    Returns:
        As :func:`~autointerp_core.pipeline.run_labeling`.

    Raises:
        StudyError: there is no such study, or it cannot be read.
        BadInput: what was given cannot be used; nothing was written.
        AutointerpError: something else failed; a rerun goes on where it stopped.
    """
    from autointerp_core.labels.config import LabelConfig
    from autointerp_core.labels.run import label_features
    from autointerp_core.store.history import LabelHistory

    report = progress or silent
    opened, asked, output = _opened(study, feature_indices, feature_scores, output_dir)
    config = (config or LabelConfig()).on(opened)
    config.check()
    with LabelHistory.open() as history:
        wanted = wanted_features(opened, asked)
        labels = label_features(
            opened,
            wanted,
            history,
            config,
            open_model=model_of(opened, config.device),
            progress=report,
        )
        controls = do_controls(opened, wanted, history, config, progress=report)
    return {
        **write_results(opened, asked, output, max_examples_per_feature, report),
        "features_computed": 0,
        **outcome(labels),
        "controls": controls,
        "notices": [*notices(opened, asked), *labels.notices],
    }


def score_study(
    study: str | Path,
    feature_indices: int | str | Path | Sequence[int] = "all",
    output_dir: str | Path = "results",
    config: ScoreConfig | None = None,
    *,
    feature_scores: Sequence[float] | Mapping[int, float] | None = None,
    max_examples_per_feature: int = 20,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Score the labels that features of a study have; write the two result files.

    No model, SAE or dataset is loaded, but for the judge's own where a scorer asks one.

    Args:
        study: Id of a study, or its folder.
        feature_indices: As for :func:`~autointerp_core.pipeline.run_labeling`; all must be in
            the study.
        output_dir: Folder for ``feature_examples.jsonl`` and ``feature_labels.json``.
        config: How to score; by default by embedding, offline.
        feature_scores: As for :func:`~autointerp_core.pipeline.run_labeling`.
        max_examples_per_feature: Top examples a feature, in the file.
        progress: As for :func:`~autointerp_core.pipeline.run_labeling`.

    Returns:
        ``examples_path``, ``labels_path``, ``study_path``, ``num_features``, ``num_dead``,
        ``scores`` (a summary by scorer, and counts), ``controls`` (see
        :func:`~autointerp_core.controls.do_controls`), ``tokens_in``, ``tokens_out``, ``cost``
        (None: unknown), ``stopped``, ``notices``, ``warnings``.

    Raises:
        StudyError: there is no such study, or it cannot be read.
        BadInput: what was given cannot be used; nothing was written.
        AutointerpError: something else failed; a rerun goes on where it stopped.
    """
    from autointerp_core.labels.config import ScoreConfig
    from autointerp_core.labels.scoring.measuring import score_and_measure
    from autointerp_core.store.history import LabelHistory

    report = progress or silent
    opened, asked, output = _opened(study, feature_indices, feature_scores, output_dir)
    config = (config or ScoreConfig()).on(opened)
    config.check()
    with LabelHistory.open() as history:
        wanted = wanted_features(opened, asked)
        found = score_and_measure(
            opened,
            wanted,
            history,
            config,
            open_model=model_of(opened, config.device),
            progress=report,
        )
        controls = do_controls(opened, wanted, history, config, progress=report)
    usage = {name: getattr(found, name) for name in ("tokens_in", "tokens_out", "cost")}
    return {
        **write_results(opened, asked, output, max_examples_per_feature, report),
        "scores": asdict(found),
        "controls": controls,
        **usage,
        "stopped": found.stopped,
        "notices": [*notices(opened, asked), *found.notices],
    }


def _opened(
    study: str | Path,
    feature_indices: int | str | Path | Sequence[int],
    feature_scores: Sequence[float] | Mapping[int, float] | None,
    output_dir: str | Path,
) -> tuple[Study, FeatureRequest, Output]:
    """Everything that can be refused before anything is asked or written."""
    from autointerp_core.extraction.kept import bring_in
    from autointerp_core.store.studies import find_study
    from autointerp_core.store.study import Study

    opened = Study(find_study(str(study)))
    asked = FeatureRequest.parse(feature_indices, feature_scores)
    for feature in asked.indices or ():
        opened.stats(feature)  # raises
    output = Output.of(output_dir)
    opened = bring_in(opened, asked.indices or ())
    keep_scores(opened, asked)
    return opened, asked, output


def keep_scores(study: Study, asked: FeatureRequest) -> None:
    """Keep the input scores that came with a request, with the study."""
    known = {f: score for f, score in asked.scores.items() if 0 <= f < study.info.d_sae}
    if known:
        add_input_scores(study.folder, known)


def notices(study: Study, asked: FeatureRequest) -> list[str]:
    """What a person should be told about what was asked for, and about the study."""
    found = list(asked.notices)
    beyond = sorted(feature for feature in asked.scores if not 0 <= feature < study.info.d_sae)
    if beyond:
        shown = ", ".join(map(str, beyond[:_SHOWN])) + (", …" if len(beyond) > _SHOWN else "")
        found.append(
            f"{len(beyond)} scores are for features that this SAE has not (it has 0 to "
            f"{study.info.d_sae - 1}), and left out: {shown}"
        )
    return [*found, *study.info.notices]


def wanted_features(study: Study, asked: FeatureRequest) -> list[int]:
    return list(asked.indices) if asked.indices is not None else study.features.tolist()


def write_results(
    study: Study, asked: FeatureRequest, output: Output, max_examples: int, report: ProgressCallback
) -> dict[str, Any]:
    """Both result files; what a run's result says about them and the study."""
    from autointerp_core.export.result_files import write_feature_examples, write_feature_labels
    from autointerp_core.store.history import LabelHistory

    features, scores = wanted_features(study, asked), dict(asked.scores)
    report(Progress("writing", message=f"writing {output.given}"))
    names = "feature_examples.jsonl", "feature_labels.json"
    with output.folder() as folder, LabelHistory.open() as history:
        examples, labels = (folder / name for name in names)
        write_feature_examples(examples, study, features, scores, max_examples=max_examples)
        write_feature_labels(labels, study, history, features, scores)
    dead = study.table.set_index("feature")["fired"].loc[features] == 0
    return {
        "examples_path": output.place(names[0]),
        "labels_path": output.place(names[1]),
        "study_path": str(study.folder),
        "num_features": len(features),
        "num_dead": int(dead.sum()),
        "warnings": [w.message for w in study.info.warnings],
    }


def outcome(done: LabelReport) -> dict[str, Any]:
    """What a run's result says about its labels, less what a person should be told."""
    from autointerp_core.labels.run import total

    llm = done.llm
    return {
        "labels_made": llm.made if llm else 0,
        "labels_reused": llm.reused if llm else 0,
        "labels_failed": llm.failed if llm else 0,
        "labels_failed_why": llm.reasons if llm else {},
        "search_labels": done.search.made + done.search.reused,
        **total(done),
        "stopped": done.stopped,
        "scores": asdict(done.scores) if done.scores else None,
    }
