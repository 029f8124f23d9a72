"""A label database in the shapes that events had first: there was one schema, but not one shape.

Run in this folder after ``make_history.py``, each step with the root of another commit as
PYTHONPATH (README.md names them)::

    python make_early.py labels     # before documents were split: details without ``documents``
    python make_early.py scores     # the first scores
    python make_early.py rescored   # scores a day's work later, beside the first
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

HERE = Path(__file__).parent
EARLY = HERE / "early"
SCORERS = ("embedding", "detection", "fuzzing")
LABELLED = [1, 2, 3, 6, 8, 10, 12, 14]


def make_labels(study: Study, history: LabelHistory) -> None:
    from autointerp_core.labels.generate import generate_labels, record_search_labels
    from autointerp_core.labels.scripted import ScriptedProvider

    sae = study.info.sae_fingerprint
    record_search_labels(study, LABELLED, history)
    generate_labels(study, LABELLED, ScriptedProvider(), history)
    generate_labels(study, [14], ScriptedProvider([None]), history, method="explain")
    search = {
        f: s.proposals[0].event_id for f, s in history.states(sae, LABELLED).items() if s.label
    }
    history.accept(sae, 1, search[1], author="Ann")
    history.override(sae, 2, "Speech, reported", author="Ann", reason='as "said" shows')
    history.flag(sae, 3, author="Ann")
    history.note(sae, 3, "look again\nin spring", author="Ann")
    history.accept(sae, 6, search[6], author="Ann")
    history.undo(sae, 6, author="Ann")


def make_scores(study: Study, history: LabelHistory) -> None:
    from autointerp_core.labels.generate import generate_labels
    from autointerp_core.labels.scripted import ScriptedProvider
    from autointerp_core.labels.search_run import record_search_labels

    from autointerp_core.labels.scoring import score_labels

    record_search_labels(study, [2, 4, 6, 12, 17], history)
    judge = ScriptedProvider(verdicts=lambda prompt: len(prompt.text) % 3 > 0)
    generate_labels(study, [4, 6, 12, 17], judge, history)
    score_labels(study, [1, 2, 4, 6, 12], history, scorers=SCORERS, provider=judge)


def make_more_scores(study: Study, history: LabelHistory) -> None:
    from autointerp_core.labels.scripted import ScriptedProvider

    from autointerp_core.labels.scoring import score_labels

    judge = ScriptedProvider(verdicts=lambda prompt: len(prompt.text) % 3 > 1)
    score_labels(study, [6, 17], history, scorers=SCORERS, provider=judge)


STEPS = {"labels": make_labels, "scores": make_scores, "rescored": make_more_scores}


def main() -> None:
    os.environ["AUTOINTERP_HOME"] = str(EARLY)
    (folder,) = (HERE / "home" / "studies").glob("*/")
    step = STEPS[sys.argv[1]]
    EARLY.mkdir(exist_ok=True)
    with LabelHistory.open() as history:
        step(Study(folder), history)
    (EARLY / "labels-backup.jsonl.lock").unlink()
    assert not list(EARLY.glob("labels.db-*"))


if __name__ == "__main__":
    main()
