"""The same for a control of a study: extracted, labelled and scored as the study was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.events import IMPORTED, NewEvent
from autointerp_core.study_model import model_of

if TYPE_CHECKING:
    from autointerp_core.labels.config import LabelConfig, ScoreConfig
    from autointerp_core.labels.scoring.control_results import Results
    from autointerp_core.store.history import LabelHistory
    from autointerp_core.store.study import Study


def do_controls(
    study: Study,
    features: Sequence[int],
    history: LabelHistory,
    config: LabelConfig | ScoreConfig,
    *,
    progress: ProgressCallback = silent,
) -> list[dict[str, Any]]:
    """What ``config`` does for a study, done for the controls it names.

    The study's standing labels are carried over to the control's features, and labels are made
    anew of these: as ``config`` says where it makes labels, else search labels. Both are scored.

    Returns:
        A mapping a control: ``kind``, ``study`` (its id), and of ``carried`` and ``anew`` a
        summary by scorer; ``notices``, ``stopped``.

    Raises:
        SAESourceError: the SAE's weights are not at hand.
        BadInput, ProviderError: as for the study itself.
    """
    return [
        _control(study, kind, sorted({int(f) for f in features}), history, config, progress)
        for kind in config.controls
    ]


def _control(
    study: Study,
    kind: str,
    features: list[int],
    history: LabelHistory,
    config: LabelConfig | ScoreConfig,
    progress: ProgressCallback,
) -> dict[str, Any]:
    from autointerp_core.labels.config import LabelConfig
    from autointerp_core.labels.run import label_features
    from autointerp_core.labels.scoring.control_results import anew_results, carried_results
    from autointerp_core.labels.scoring.measuring import score_and_measure
    from autointerp_core.labels.search.record import record_search_labels

    control = control_study(study, kind, features, device=config.device, progress=progress)
    carry_labels(study, control, features, history)
    opener = model_of(control, config.device)
    if isinstance(config, LabelConfig):
        made = label_features(
            control, features, history, config, open_model=opener, progress=progress
        )
        notices, stopped = made.notices, made.stopped
        measured = made.scores
    else:
        record_search_labels(control, features, history, progress=progress)
        measured = score_and_measure(
            control, features, history, config, open_model=opener, progress=progress
        )
        notices, stopped = measured.notices, measured.stopped
    states = history.states(control.info.sae_fingerprint, features, control.id).values()
    scored = measured.scorers if measured is not None else {}
    return {
        "kind": kind,
        "study": control.id,
        "carried": _summaries(carried_results(states)),
        "anew": _summaries(anew_results(states)),
        "measured": {n: asdict(s) for n, s in scored.items() if n not in _scorers()},
        "notices": list(notices),
        "stopped": stopped,
    }


def control_study(
    study: Study,
    kind: str,
    features: Sequence[int],
    *,
    device: str | None = None,
    progress: ProgressCallback = silent,
) -> Study:
    """The control of a study, with these features; extracted where they are not there yet.

    Raises:
        SAESourceError: the SAE's weights are not at hand.
        BadInput: as the extraction.
    """
    import numpy as np

    from autointerp_core.extraction.control import control_request
    from autointerp_core.extraction.run import extract
    from autointerp_core.home import studies_dir
    from autointerp_core.store.studies import controls_of
    from autointerp_core.store.study import Study

    for info in controls_of(study.id):
        if info.control == kind:
            there = Study(studies_dir() / info.id)
            if np.isin(list(features), there.features).all():
                return there

    def told(step: Progress) -> None:
        if step.stage != "health":  # that it does not fit the model is what it is for
            progress(step)

    request = control_request(study, kind, tuple(features), device=device, progress=progress)
    return extract(request, studies_dir(), told).study


def carry_labels(
    study: Study, control: Study, features: Sequence[int], history: LabelHistory
) -> None:
    """Put the labels that stand for a study's features to the features of its control."""
    from autointerp_core.labels.scoring.control_results import CARRIED

    source = f"{CARRIED}{study.id}"
    real = history.states(study.info.sae_fingerprint, features, study.id)
    there = history.states(control.info.sae_fingerprint, features, control.id)
    new = []
    for feature, state in real.items():
        carried = [p.text for p in there[feature].proposals if p.source == source]
        if state.label and state.label not in carried[-1:]:
            new.append(
                NewEvent(
                    control.info.sae_fingerprint,
                    feature,
                    IMPORTED,
                    state.label,
                    source=source,
                    method="carried",
                    study=control.id,
                )
            )
    history.record_many(new)


def _summaries(results: Results) -> dict[str, Any]:
    from autointerp_core.labels.scoring.report import summarise

    found = {name: summarise(each) for name, each in results.items()}
    return {name: asdict(summary) for name, summary in found.items() if summary is not None}


def _scorers() -> tuple[str, ...]:
    from autointerp_core.labels.scoring.scorers import SCORERS

    return SCORERS.names
