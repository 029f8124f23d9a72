"""Judged windows in delphi's form: what a judge said of each window, with what was true.

``ClassifierOutput`` of ``delphi/scorers/classifier/sample.py`` (eai-delphi 0.1.3): older versions
call ``activating`` ``ground_truth``.
"""

from __future__ import annotations

from typing import Any

from autointerp_core.errors import StudyError
from autointerp_core.labels.scoring.evidence import JudgedWindow, read_evidence
from autointerp_core.labels.scoring.scorers import SCORERS
from autointerp_core.store.history import LabelState
from autointerp_core.store.study import Study

_HALF = 0.5
_HARD = "hard"


def judged_windows(
    study: Study, feature: int, state: LabelState
) -> dict[str, list[dict[str, Any]]]:
    """By scorer, the judgements on which the label's score rests, as far as they were kept.

    Scorers that say yes or no have them; the embedding scorer only ranks.
    """
    shown = state.shown()
    out: dict[str, list[dict[str, Any]]] = {}
    for scorer, place in (shown.evidence if shown is not None else {}).items():
        if scorer not in SCORERS or not SCORERS[scorer].asks_model:
            continue
        if place.study not in (None, study.id):
            continue
        try:
            found = read_evidence(study, place.file, feature, place.event)
        except StudyError:  # deleted since: the score stands, its windows are gone
            continue
        windows = [_window(one) for one in found if one.scorer == scorer]
        if windows:
            out[scorer] = windows
    return out


def _window(judged: JudgedWindow) -> dict[str, Any]:
    example = judged.window.example
    said = judged.probability
    return {
        "str_tokens": list(example.tokens),
        "activations": list(example.values),
        "distance": 1.0 if judged.window.kind == _HARD else 0.0,
        "activating": judged.expected,
        "prediction": None if said is None else said > _HALF,
        "probability": said,
        "correct": judged.right,
    }
