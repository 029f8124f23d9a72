"""The work of each kind of background job: parameters in, a JSON result out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autointerp_core.controls import do_controls
from autointerp_core.explore.compare.matching import match
from autointerp_core.extraction.feature_map import MapConfig, make_map
from autointerp_core.extraction.kept import bring_in
from autointerp_core.extraction.upgrades import add_neighbours
from autointerp_core.find.request import FindRequest
from autointerp_core.find.run import find_features
from autointerp_core.labels.config import LabelConfig, ScoreConfig
from autointerp_core.labels.families import make_families
from autointerp_core.labels.providers.make import NONE
from autointerp_core.labels.run import label_features, total
from autointerp_core.labels.scoring.measuring import score_and_measure
from autointerp_core.labels.search.record import SEARCH
from autointerp_core.live.client import LiveClient
from autointerp_core.live.encoded import EncodedText
from autointerp_core.pipeline import build_demo, run_labeling
from autointerp_core.progress import ProgressCallback
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.studies import study_folder
from autointerp_core.store.study import Study
from autointerp_core.study_model import model_of

_TEXTS_AT_ONCE = 64
"""Asked of the live model in one question."""


def run_label_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """``run_labeling`` with ``params`` as its arguments."""
    return run_labeling(**params, progress=progress)


def run_demo_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """The demo study."""
    return build_demo(progress)


def run_generate_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Labels for some features of one study, scored if asked.

    Args:
        params: ``study`` (folder), ``features``, and any field of :class:`LabelConfig`;
            ``regenerate`` is true unless given; the model is the study's own unless given.
            A ``provider`` of ``search`` (of jobs queued by an older version) means none.
        progress: as everywhere.

    Returns:
        ``features``; of labels ``made``, ``reused``, ``failed``, ``dead``; ``tokens_in``,
        ``tokens_out``, ``cost`` (None: unknown), ``seconds``, ``stopped``, ``notices``;
        ``scores``, the score report or None; ``controls``, see
        :func:`~autointerp_core.controls.do_controls`.
    """
    study, features = _subject(params)
    if params.get("provider") == SEARCH:
        params = {**params, "provider": NONE}
    config = LabelConfig.from_params(params, regenerate=True)
    with LabelHistory.open() as history:
        report = label_features(
            study,
            features,
            history,
            config,
            open_model=model_of(study, config.device),
            progress=progress,
        )
        controls = do_controls(study, features, history, config, progress=progress)
    return {
        **asdict(report.llm or report.search),
        **total(report),
        "features": features,
        "stopped": report.stopped,
        "notices": report.notices,
        "scores": asdict(report.scores) if report.scores is not None else None,
        "controls": controls,
    }


def run_score_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Scores for the labels of some features.

    Args:
        params: ``study`` (folder), ``features``, and any field of :class:`ScoreConfig`.
        progress: as everywhere.

    Returns:
        The report's fields; ``asked`` holds the features; ``controls`` as above.
    """
    study, features = _subject(params)
    config = ScoreConfig.from_params(params)
    with LabelHistory.open() as history:
        report = score_and_measure(
            study,
            features,
            history,
            config,
            open_model=model_of(study, config.device),
            progress=progress,
        )
        controls = do_controls(study, features, history, config, progress=progress)
    too_few = {str(feature): count for feature, count in report.too_few.items()}
    return {**asdict(report), "too_few": too_few, "asked": features, "controls": controls}


def run_find_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Features of some documents.

    Args:
        params: ``study`` (an id) and ``request``, a :class:`FindRequest` as JSON. Texts are read by
            the process that the app keeps warm for the study.
        progress: as everywhere.

    Returns:
        ``found``: results as JSON by class, "" where there are no classes.
    """
    folder = study_folder(str(params["study"]))
    client = LiveClient(folder)

    def encode(texts: Sequence[str]) -> Iterator[EncodedText]:
        for low in range(0, len(texts), _TEXTS_AT_ONCE):
            yield from client.encode(texts[low : low + _TEXTS_AT_ONCE], progress=progress).texts

    found = find_features(
        FindRequest.from_json(params["request"]), encode=encode, progress=progress
    )
    results = found if isinstance(found, dict) else {"": found}
    return {"found": {name: result.to_json() for name, result in results.items()}}


def run_neighbours_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """The decoder neighbours that the study ``params["study"]`` (an id) lacks."""
    folder = study_folder(str(params["study"]))
    return {"study": folder.name, "features": add_neighbours(Study(folder), progress)}


def run_map_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """The map of the study ``params["study"]`` (an id); other params are a :class:`MapConfig`'s."""
    settings = {name: value for name, value in params.items() if name != "study"}
    study = Study(study_folder(str(params["study"])))
    made = make_map(study, MapConfig(**settings), progress)
    return {"study": study.id, "features": len(made.features)}


def run_families_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """The families of the study ``params["study"]`` (an id)."""
    study = Study(study_folder(str(params["study"])))
    groups = make_families(study, progress)
    return {"study": study.id, "groups": len(groups)}


def run_compare_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Which feature of the SAE of study ``params["a"]`` is which of ``params["b"]``'s (ids)."""
    a, b = (Study(study_folder(str(params[side]))) for side in ("a", "b"))
    found = match(a, b, progress)
    return {"a": a.id, "b": b.id, "features": len(found.features)}


def _subject(params: dict[str, Any]) -> tuple[Study, list[int]]:
    features = [int(feature) for feature in params["features"]]
    return bring_in(Study(Path(params["study"])), features), features
