"""A study and label databases made by earlier code open today and give the same files.

``data/before_house`` holds them and what that code made of them; its README.md says how they
were made. Only the helpers at the top know where today's code lies.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autointerp_core.labels.scoring.evidence import read_evidence
from autointerp_core.store.decisions import Decision
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parent / "data" / "before_house"
EXPECTED = KEPT / "expected"
STUDY = "tiny-l1-resid-post-ab306a4818"
EARLY = "1,2,3,4,6,8,10,12,14,17"
FILES = ("feature_examples.jsonl", "feature_labels.json", "labels.csv", "history.csv")
LABEL = (
    "label", "--model-path=sources/tiny", "--sae-path=sources/sae",
    "--sae-id=blocks.1.hook_resid_post", "--dataset-path=sources/documents.jsonl",
    "--context-size=24", "--n-samples=100", "--device=cpu", "--output-dir=label",
)  # fmt: skip


def command(work: Path, home: str, arguments: Sequence[str]) -> str:
    """What the command prints, run in ``work`` as a person would."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"AUTOINTERP_HOME": str(work / home), "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", "autointerp_core", *arguments],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def export(work: Path, home: str, features: str) -> Path:
    command(
        work,
        home,
        ["export", f"--study={STUDY}", f"--feature-indices={features}", "--output-dir=o"],
    )
    return work / "o"


def open_history(home: Path) -> LabelHistory:
    return LabelHistory.open(home / "labels.db", home / "labels-backup.jsonl")


def restore_history(home: Path) -> int:
    return LabelHistory.restore_from_backup(home / "labels.db", home / "labels-backup.jsonl")


def states(home: Path) -> dict[str, Any]:
    """The state of every feature that has events, by SAE, as ``make_expected.py`` writes it."""
    with open_history(home) as history:
        return {
            sae: {str(feature): _plain(state) for feature, state in history.states(sae).items()}
            for sae in history.saes()
        }


def _plain(state: Any) -> dict[str, Any]:
    names = (
        "label", "status", "flagged", "note", "label_llm", "label_search", "label_source",
        "llm_error", "search_error", "current_event", "last_event", "num_events", "score",
        "test_score",
    )  # fmt: skip
    of_proposal = ("event_id", "text", "source", "method", "score", "test_score")
    proposals = [{name: getattr(p, name) for name in of_proposal} for p in state.proposals]
    return {name: getattr(state, name) for name in names} | {"proposals": proposals}


def judged(home: Path) -> list[list[Any]]:
    """Of each score on test documents: feature, event, scorer, windows judged, judged right."""
    study, found = Study(home / "studies" / STUDY), []
    with open_history(home) as history:
        known = history.states(study.info.sae_fingerprint)
    for feature, state in known.items():
        for proposal in (*state.proposals, *([state.own] if state.own else [])):
            for scorer, place in proposal.evidence.items():
                windows = read_evidence(study, place.file, feature, place.event)
                mine = [window for window in windows if window.scorer == scorer]
                right = sum(window.right is True for window in mine)
                found.append([feature, place.event, scorer, len(mine), right])
    return found


def decide_on_top(home: Path, feature: int, label: str) -> str:
    """A new decision in the old database; returns the SAE's fingerprint."""
    sae = Study(home / "studies" / STUDY).info.sae_fingerprint
    with open_history(home) as history:
        seen = history.state(sae, feature).last_event
        (outcome,) = history.decide(
            [Decision("override", sae, feature, based_on=seen, text=label)], "Cy"
        )
        assert outcome.event is not None
        assert not outcome.conflict
    return sae


# ------------------------------------------------------------------ the tests


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A copy of what is kept: ``sources``, and the two homes with the same study."""
    folder = tmp_path / "work"
    for part in ("sources", "home", "early"):
        shutil.copytree(KEPT / part, folder / part)
    shutil.copytree(KEPT / "home" / "studies", folder / "early" / "studies")
    shutil.copy(KEPT / "asked.json", folder)
    return folder


ORIGIN = ("study", "model", "sae", "sae_fingerprint", "d_sae", "hook", "dataset")


def as_before(path: Path) -> bytes:
    """The file without the one thing that was added since: whose features labels are about."""
    found = path.read_bytes()
    if path.name != "feature_labels.json":
        return found
    content = json.loads(found)
    assert list(content) == ["num_features", "study", "features"]
    assert tuple(content["study"]) == ORIGIN
    start, end = found.index(b'  "study": {'), found.index(b'  "features": [')
    assert json.loads(b"{" + found[start:end].rstrip().rstrip(b",") + b"}") == {
        "study": content["study"]
    }
    return found[:start] + found[end:]


def expected(name: str) -> bytes:
    return gzip.decompress((EXPECTED / f"{name}.gz").read_bytes())


def expected_json(name: str) -> Any:
    return json.loads((EXPECTED / name).read_bytes())


@pytest.mark.parametrize("home", ["home", "early"])
def test_kept_database_is_whole_without_a_log(home: str) -> None:
    assert not list((KEPT / home).glob("labels.db-*"))
    database = sqlite3.connect(f"file:{KEPT / home / 'labels.db'}?immutable=1", uri=True)
    ids = [row[0] for row in database.execute("select id from label_events order by id")]
    database.close()
    lines = (KEPT / home / "labels-backup.jsonl").read_text(encoding="utf-8").splitlines()
    assert ids == [json.loads(line)["id"] for line in lines]
    assert ids == [*range(1, len(ids) + 1)]


def test_kept_history_has_every_kind_of_event() -> None:
    lines = (KEPT / "home" / "labels-backup.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = {json.loads(line)["kind"] for line in lines}
    assert kinds == {
        "generated", "imported", "scored", "failed", "accepted", "overridden", "reverted",
        "undone", "flagged", "unflagged", "noted",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("home", "features", "name"),
    [("home", "all", "all"), ("home", "asked.json", "asked"), ("early", EARLY, "early")],
    ids=["all features", "some in an order of their own, with input scores", "first events"],
)
def test_files_are_the_same_bytes(work: Path, home: str, features: str, name: str) -> None:
    output = export(work, home, features)
    for file in FILES:
        # The history is of the SAE, whatever features are asked for.
        old = expected(f"{'all' if (name, file) == ('asked', 'history.csv') else name}/{file}")
        assert as_before(output / file) == old, file


@pytest.mark.parametrize("home", ["home", "early"])
def test_states_are_the_same(work: Path, home: str) -> None:
    assert states(work / home) == expected_json(f"{home}_states.json")


@pytest.mark.parametrize("home", ["home", "early"])
@pytest.mark.slow
def test_judged_windows_are_found(work: Path, home: str) -> None:
    assert judged(work / home) == expected_json(f"{home}_windows.json")


@pytest.mark.parametrize("home", ["home", "early"])
def test_backup_alone_gives_the_same_states(work: Path, home: str) -> None:
    (work / home / "labels.db").unlink()
    lines = (KEPT / home / "labels-backup.jsonl").read_bytes().splitlines()
    assert restore_history(work / home) == len(lines)
    assert states(work / home) == expected_json(f"{home}_states.json")


@pytest.mark.slow
@pytest.mark.parametrize("home", ["home", "early"])
def test_a_new_decision_goes_on_top(work: Path, home: str) -> None:
    sae = decide_on_top(work / home, 6, "Judges, again")
    old, new = expected_json(f"{home}_states.json"), states(work / home)
    changed = new[sae].pop("6")
    assert (changed["label"], changed["status"]) == ("Judges, again", "overridden")
    assert changed["num_events"] == old[sae].pop("6")["num_events"] + 1
    assert new == old

    backup = (work / home / "labels-backup.jsonl").read_bytes()
    assert backup.startswith((KEPT / home / "labels-backup.jsonl").read_bytes())
    added = json.loads(backup.splitlines()[-1])
    assert (added["kind"], added["text"], added["author"]) == ("overridden", "Judges, again", "Cy")
    history = (export(work, home, "6") / "history.csv").read_bytes()
    before = expected(f"{'all' if home == 'home' else home}/history.csv")
    assert history.startswith(before)
    assert len(history) > len(before)


def _runs(work: Path) -> list[dict[str, Any]]:
    record = json.loads((work / "home" / "studies" / STUDY / "run.json").read_bytes())
    runs: list[dict[str, Any]] = record["runs"]
    return runs


@pytest.mark.slow
def test_labelling_again_uses_the_study_and_writes_the_same_files(work: Path) -> None:
    """Whatever decides which study a request is (fingerprints, tokens, masks) is as it was."""
    asked = ["--feature-indices=6,22,1,10,12", "--feature-scores=1,2,3.5,4,-5"]
    how = ["--label-provider=scripted", "--label-hint=rivers, banks and courts", "--candidates=3"]
    before = len(_runs(work))
    # Prompts show whole characters where they cut Chinese ones then, and a search label has the
    # word that most peaks are on: both are made anew, once.
    command(work, "home", [*LABEL, *asked, *how])
    assert [folder.name for folder in (work / "home" / "studies").glob("*/")] == [STUDY]
    assert "LLM labels: 0 made, 6 reused" in command(work, "home", [*LABEL, *asked, *how])
    assert {run["features_computed"] for run in _runs(work)[before:]} == {0}
    examples, labels = FILES[:2] if "examples" in FILES[0] else FILES[1::-1]
    assert (work / "label" / examples).read_bytes() == expected(f"label/{examples}")
    found, old = (
        {row["feature_index"]: row for row in json.loads(raw)["features"]}
        for raw in ((work / "label" / labels).read_bytes(), expected(f"label/{labels}"))
    )
    assert list(found) == list(old)
    for feature, row in old.items():
        kept = ("score", "num_examples", "status", "flagged")
        decided = ("label",) if row["status"] != "unreviewed" else ()
        for name in (*kept, *decided):
            assert found[feature][name] == row[name], (feature, name)


@pytest.mark.slow
def test_more_features_are_added_to_the_study(work: Path) -> None:
    """A third pass; what was there stays, byte for byte."""
    command(work, "home", [*LABEL, "--feature-indices=6,7,30", "--label-provider=none"])
    assert _runs(work)[-1]["features_computed"] == 2
    old = Path("home", "studies", STUDY)
    for path in (KEPT / old / "passes").rglob("*"):
        if path.is_file():
            assert (work / path.relative_to(KEPT)).read_bytes() == path.read_bytes(), path
    lines = (export(work, "home", "all") / "feature_examples.jsonl").read_bytes().splitlines()
    found = {json.loads(line)["feature_id"]: line for line in lines}
    known = {json.loads(x)["feature_id"]: x for x in expected(f"all/{FILES[0]}").splitlines()}
    assert found.keys() - known.keys() == {7, 30}
    assert {feature: found[feature] for feature in known} == known
