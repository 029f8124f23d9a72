"""The kept study and its label database, with an event of every kind in every shape there was.

Run in this folder at the commit that README.md names, with its root as PYTHONPATH, after
``make_sources.py``::

    python make_history.py

Writes ``home``: two passes over 24 of the 32 features, then proposals, scores and decisions.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from autointerp_core.labels.generate import generate_labels
from autointerp_core.labels.provider import ChatPrompt, Price
from autointerp_core.labels.scripted import ScriptedProvider, shares_a_word
from ui.index import FeatureIndex

from autointerp_core import run_labeling
from autointerp_core.labels.scoring import score_labels
from autointerp_core.store.history import EditConflict, LabelHistory, NewEvent
from autointerp_core.store.study import Study
from ui import importing

HERE = Path(__file__).parent
FEW = [1, 3, 6, 9, 10, 14]
ALL = [*range(7), *range(8, 16), *range(17, 24), 29, 31]
SOURCES: dict[str, Any] = {
    "model_path": "sources/tiny",
    "sae_path": "sources/sae",
    "sae_id": "blocks.1.hook_resid_post",
    "dataset_path": "sources/documents.jsonl",
    "context_size": 24,
    "n_samples": 100,
    "device": "cpu",
}
OTHER_SAE = "sha256:" + "0123456789abcdef" * 4


class Writer(ScriptedProvider):
    """Scripted answers under a name that is taken for a model's."""

    @property
    def model(self) -> str:
        return "org/writer-7b"


def main() -> None:
    os.chdir(HERE)
    os.environ["AUTOINTERP_HOME"] = str(HERE / "home")
    shutil.rmtree("home", ignore_errors=True)
    results = HERE / "home" / "results"
    run_labeling(FEW, **SOURCES, output_dir=results, label_provider="none")
    made = run_labeling(
        ALL,
        **SOURCES,
        output_dir=results,
        label_provider="scripted",
        label_hint="rivers, banks and courts",
        candidates=3,
        scoring="all",
        price_in=0.5,
        price_out=2.0,
    )
    run_labeling([2, 3], **SOURCES, output_dir=results, label_method="ranked")
    study = Study(Path(made["study_path"]))
    with LabelHistory.open() as history:
        propose(study, history)
        score(study, history)
        bring_in(study, history)
        decide(study, history)
        decide_on_another_sae(history)
    tidy(study.folder)


def propose(study: Study, history: LabelHistory) -> None:
    """Labels of a model with a name, and each way in which there is none."""
    answers = [
        "Mentions of a river",
        "Reporting verbs: \"said\", 'say'",
        "The preposition 'on' before a weekday",
        "Judges, and their courts",
        '=HYPERLINK("x"), of all things',
        "Weekdays 🗓️, Monday above all",
        "<b>turtles</b> & frogs",
    ]
    named = [1, 2, 4, 6, 12, 17, 20]
    generate_labels(study, named, Writer(answers, price=Price(3.0, 15.0)), history)
    generate_labels(study, [1, 2], Writer(["Rivers, 河", "Speech"]), history, method="explain")
    generate_labels(study, [8, 10, 22], Writer([None]), history)
    generate_labels(study, [11], Writer([RuntimeError("the server is out of reach")]), history)
    generate_labels(study, [11], Writer(["Courts, at last"]), history, method="texts")
    generate_labels(study, [12], Writer(["I cannot help with that."]), history, method="words")


def score(study: Study, history: LabelHistory) -> None:
    """A judge that now and then has no answer, then one that has them; and scores from afar."""
    features = [1, 2, 4, 6, 12, 17, 20]
    forgetful = Writer(verdicts=_sometimes(shares_a_word))
    certain = Writer(verdicts=lambda prompt: 0.875 if shares_a_word(prompt) else 0.25)
    both = ("detection", "fuzzing")
    score_labels(study, features, history, scorers=both, provider=forgetful)
    score_labels(study, [4, 17], history, scorers=("fuzzing",), provider=certain, per_class=8)
    score_labels(study, [2], history, scorers=("embedding",), again=True)
    sae = study.info.sae_fingerprint
    first = history.state(sae, 13).proposals[0]
    found = {"value": 0.75, "low": 0.5, "high": 0.875, "shuffled": None, "n": 8, "judge": "afar"}
    history.record(
        sae, 13, "scored", source="afar", parent=first.event_id,
        details={"scores": {"detection": found}},
    )  # fmt: skip
    other = history.state(sae, 15).proposals[-1]
    history.record(sae, 15, "scored", source="afar", parent=other.event_id, details={"score": 0.9})


def _sometimes(judge: Callable[[ChatPrompt], bool]) -> Callable[[ChatPrompt], Any]:
    asked = 0

    def answer(prompt: ChatPrompt) -> bool | Exception | None:
        nonlocal asked
        asked += 1
        if asked % 41 == 0:
            return RuntimeError("HTTP 503") if asked % 2 else None
        return judge(prompt)

    return answer


def bring_in(study: Study, history: LabelHistory) -> None:
    """A colleague's label file: new, changed, decided on, refused and unknown rows."""
    rows = [
        {"feature_index": 3, "label": "Banks, of rivers or of money", "status": "unreviewed"},
        {"feature_index": 5, "label": "The article", "status": "accepted"},
        {"feature_index": 9, "label": "And — 和", "status": "overridden"},
        {"feature_index": 10, "label": "Nothing at all", "status": "unreviewed"},
        {"feature_index": 18, "label": "one two three four five six seven eight nine ten"},
        {"feature_index": 30, "label": "Not in this study"},
        {"feature_index": 31, "label": None},
    ]
    snapshot = FeatureIndex(study).refresh(history, {})
    changes = importing.plan(json.dumps({"features": rows}).encode(), snapshot)
    importing.apply(
        changes, history, study.info.sae_fingerprint, file_name="colleague's.json", author="Zoë"
    )


def decide(study: Study, history: LabelHistory) -> None:
    """What people decide, and take back, alone and against each other."""
    sae = study.info.sae_fingerprint

    def proposal(feature: int, source: str) -> int:
        found = [p for p in history.state(sae, feature).proposals if p.source.startswith(source)]
        return found[-1].event_id

    history.accept(sae, 1, proposal(1, "search"), author="Ann", reason="plain, and true")
    history.accept(sae, 2, proposal(2, "llm:org"), author="Ann")
    history.override(sae, 3, "  River banks\tand   banks ", author="Bo 🐸", reason='so "it" is')
    history.accept(sae, 4, proposal(4, "llm:scripted"), author="Ann")
    history.undo(sae, 4, author="Ann", reason="too quick")
    # 6: decided, decided otherwise, gone back to the first.
    first = history.override(sae, 6, "Judges", author="Ann")
    history.override(sae, 6, "Judge, as a noun", author="Bo 🐸")
    history.revert(sae, 6, first.id, author="Ann", reason="the shorter one")
    # 8: accepted, undone, redone by reverting to what was undone.
    taken = history.accept(sae, 8, proposal(8, "search"), author="Ann")
    history.undo(sae, 8, author="Ann")
    history.revert(sae, 8, taken.id, author="Bo 🐸")
    # 9: an import's decision, undone.
    history.undo(sae, 9, author="Ann")
    history.flag(sae, 12, author="Ann", reason="polysemous?")
    history.flag(sae, 13, author="Ann")
    history.unflag(sae, 13, author="Bo 🐸")
    history.flag(sae, 14, author="Ann")
    history.undo(sae, 14, author="Ann")
    history.flag(sae, 15, author="Ann")
    history.flag(sae, 15, author="Bo 🐸", reason="me too")
    history.note(sae, 12, 'fires on "of",\n\tbut also on 的 and <i>t</i> 😀', author="Ann")
    history.note(sae, 17, "first thought", author="Ann")
    history.note(sae, 17, "second thought, with a, comma", author="Bo 🐸")
    history.undo(sae, 17, author="Bo 🐸")
    history.note(sae, 18, "to be removed", author="Ann")
    history.note(sae, 18, "", author="Ann")
    history.note(sae, 10, "dead here", author="Ann")
    history.override(sae, 10, "dead, they say", author="Ann")
    # 20: two people at once, who both hear of it.
    seen = history.state(sae, 20).last_event
    history.override(sae, 20, "Turtles", author="Ann", expected=seen)
    with suppress(EditConflict):
        history.override(sae, 20, "Frogs", author="Bo 🐸", expected=seen)
    seen = history.state(sae, 20).last_event
    history.undo(sae, 20, author="Ann", expected=seen)
    with suppress(EditConflict):
        history.undo(sae, 20, author="Bo 🐸", expected=seen)
    # 23: everything undone, step by step.
    history.accept(sae, 23, proposal(23, "search"), author="Ann")
    history.flag(sae, 23, author="Ann")
    history.note(sae, 23, "gone", author="Ann")
    for _ in range(3):
        history.undo(sae, 23, author="Ann")
    # 29: a person's own words, scored; and a label for a feature the study does not hold.
    history.override(sae, 29, "frogs and other companies", author="Ann")
    score_labels(study, [29], history, scorers=("embedding",))
    history.override(sae, 7, "Full stops", author="Ann")


def decide_on_another_sae(history: LabelHistory) -> None:
    """The same feature numbers of another SAE in the same database."""
    made = history.record_many(
        NewEvent(OTHER_SAE, feature, "generated", f"other {feature}", "llm:other", "peaks")
        for feature in (1, 2, 6)
    )
    history.accept(OTHER_SAE, 1, made[0].id, author="Ann")
    history.flag(OTHER_SAE, 2, author="Ann")


def tidy(study: Path) -> None:
    """Leave what has to be kept: no locks, no name of a machine; the database in one file."""
    home = HERE / "home"
    shutil.rmtree(home / "models", ignore_errors=True)
    shutil.rmtree(home / "results")
    for lock in [*home.glob("*.lock"), *home.glob("studies/.*.lock")]:
        lock.unlink()
    runs = json.loads((study / "run.json").read_bytes())
    for run in runs["runs"]:
        run |= {"host": "a-machine", "pid": 1}
    (study / "run.json").write_text(json.dumps(runs, indent=2) + "\n")
    left = [path.name for path in home.glob("labels.db-*")]
    assert not left, f"not checkpointed: {left}"


if __name__ == "__main__":
    main()
