"""Controls of the planted SAE: what labels and intruders get where directions mean nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from autointerp_core.controls import carry_labels
from autointerp_core.extraction.control import control_request
from autointerp_core.extraction.run import extract
from autointerp_core.labels.config import ScoreConfig
from autointerp_core.labels.explain.example_lines import whole_word
from autointerp_core.labels.scoring.control_results import carried_results, standing_results
from autointerp_core.labels.scoring.measures.intruder import FLOOR, INTRUDER
from autointerp_core.labels.scoring.measuring import score_and_measure
from autointerp_core.labels.scoring.proportions import Count, wilson
from autointerp_core.labels.scoring.report import summarise
from autointerp_core.sources.control_sae import CONTROLS
from autointerp_core.store.event_details import MeasuredDetails
from autointerp_core.store.events import MEASURED
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from benchmarks.planted.build import Planted, write_firings
from benchmarks.planted.judge import PlantedChoiceJudge, PlantedJudge
from benchmarks.planted.measured import floor_row, mean_row, measured_intruders, put_labels
from benchmarks.report import Row

SCORED = ("embedding", "detection", "fuzzing")
_MIXED, _MIXED_OF_EACH = 300, 400
"""Firings of a feature of a mixed control, and how many of each of the control's are mixed."""


def planted_controls(planted: Planted, folder: Path) -> Iterator[Row]:
    """Scores of the planted labels on the controls' features: at the floor, within the interval."""
    study = planted.lexical
    features = study.features.tolist()
    with LabelHistory.open(folder / "controls.db") as history:
        put_labels(history, study, {f: planted.concepts[f].name for f in features})
        config = ScoreConfig(scorers=SCORED)
        score_and_measure(study, features, history, config, judge=PlantedJudge())
        states = history.states(study.info.sae_fingerprint, features, study.id).values()
        for name, results in standing_results(states).items():
            summary = summarise(results)
            if summary is not None:
                yield mean_row(f"planted_{name}", summary)
        for kind in CONTROLS:
            control = extract(control_request(study, kind), folder / "studies").study
            carry_labels(study, control, features, history)
            report = score_and_measure(
                control,
                features,
                history,
                ScoreConfig(scorers=(*SCORED, INTRUDER)),
                judge=PlantedJudge(),
                choice_judge=PlantedChoiceJudge(),
            )
            known = history.states(control.info.sae_fingerprint, features, control.id).values()
            found = {name: summarise(r) for name, r in carried_results(known).items()}
            found[INTRUDER] = report.scorers.get(INTRUDER)
            for name, summary in found.items():
                if summary is not None:
                    yield mean_row(f"planted_{kind}_{name}", summary)
                    if name != INTRUDER:
                        yield floor_row(f"planted_{kind}_{name}_low", summary)
            yield from intruder_rows(control, kind, history)
            mixed = measured_intruders(mixed_control(control, folder), folder / f"mixed-{kind}.db")
            yield mean_row(f"planted_{kind}_intruder_mixed", mixed)
            yield floor_row(f"planted_{kind}_intruder_mixed_low", mixed)


def intruder_rows(control: Study, kind: str, history: LabelHistory) -> Iterator[Row]:
    """A control's trials apart by what their windows fire on.

    At layer 0 any direction is a handful of tokens, so some features of a control fire on one word
    over and over, and a judge that finds the window without that word is right. Where the windows
    of a trial fire on different words there is less to go by. What is to be at the floor is
    therefore :func:`mixed_control`.
    """
    right: dict[bool, list[bool]] = {True: [], False: []}
    sae = control.info.sae_fingerprint
    for event in history.machine_events(sae, (MEASURED,), control.id, INTRUDER):
        for trial in MeasuredDetails.from_json(event.details).more["trials"]:
            shown = [t for i, t in enumerate(trial["tokens"]) if i != trial["intruder"]]
            windows = control.windows_at(event.feature, np.array(shown))
            words = {whole_word(window).casefold() for window in windows}
            right[len(words) == len(shown)].append(trial["chosen"] == trial["intruder"])
    for differ, found in right.items():
        if not found:
            continue
        value, low, high = wilson(Count(sum(found), len(found)))
        name = f"planted_{kind}_intruder_{'different' if differ else 'same'}_words"
        note = f"{low:.3f} to {high:.3f}, floor {FLOOR:.2f}, {len(found)} trials"
        yield Row(name, value, note=note)


def mixed_control(control: Study, folder: Path) -> Study:
    """A study whose features fire on a random lot of all that a control's features fire on.

    Windows of such a feature have nothing in common, whatever the control's own have.
    """
    draws = np.random.default_rng(7)
    every = np.unique(
        np.concatenate(
            [
                draws.permutation(control.firings(feature).token)[:_MIXED_OF_EACH]
                for feature in control.features.tolist()
            ]
        )
    )
    every = every[np.asarray(control.tokens.counted)[every] > 0]
    firing = [np.sort(draws.permutation(every)[:_MIXED]).astype(np.int64) for _ in control.features]
    write_firings(folder / "studies" / f"mixed-{control.id}", control, firing)
    return Study(folder / "studies" / f"mixed-{control.id}")
