"""What the code of that commit makes of the kept homes: the bytes every later version must give.

Run in this folder at the commit that README.md names, with its root as PYTHONPATH, last::

    python make_expected.py

Works on a copy, since opening a database may change it. Files are kept compressed.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from autointerp_core.labels.evidence import read_evidence

from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

HERE = Path(__file__).parent
EXPECTED = HERE / "expected"
FILES = ("feature_examples.jsonl", "feature_labels.json", "labels.csv", "history.csv")
STATE = (
    "label", "status", "flagged", "note", "label_llm", "label_search", "label_source",
    "llm_error", "search_error", "current_event", "last_event", "num_events", "score",
    "test_score",
)  # fmt: skip
PROPOSAL = ("event_id", "text", "source", "method", "score", "test_score")
LABEL_AGAIN = [
    "label", "--feature-indices=6,22,1,10,12", "--model-path=sources/tiny",
    "--sae-path=sources/sae", "--sae-id=blocks.1.hook_resid_post",
    "--dataset-path=sources/documents.jsonl", "--context-size=24", "--n-samples=100",
    "--device=cpu", "--label-provider=scripted", "--label-hint=rivers, banks and courts",
    "--candidates=3", "--feature-scores=1,2,3.5,4,-5", "--output-dir=label",
]  # fmt: skip


def main() -> None:
    shutil.rmtree(EXPECTED, ignore_errors=True)
    (study,) = (HERE / "home" / "studies").glob("*/")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for part in ("sources", "home", "early"):
            shutil.copytree(HERE / part, work / part)
        shutil.copy(HERE / "asked.json", work)
        export = ["export", f"--study={study.name}"]
        for home, output, asked in (
            ("home", "all", "all"),
            ("home", "asked", "asked.json"),
            ("early", "early", "1,2,3,4,6,8,10,12,14,17"),
        ):
            if home == "early":
                shutil.copytree(work / "home" / "studies", work / "early" / "studies")
            command = [*export, f"--feature-indices={asked}", f"--output-dir={output}"]
            run(work, home, command)
            keep(work / output, FILES)
            write_json(EXPECTED / f"{home}_states.json", states(work / home))
            write_json(EXPECTED / f"{home}_windows.json", judged(work / home))
        before = last_event(work / "home")
        run(work, "home", LABEL_AGAIN)
        assert last_event(work / "home") == before, "labelling again made events"
        runs = json.loads((work / "home" / "studies" / study.name / "run.json").read_bytes())
        assert runs["runs"][-1]["features_computed"] == 0
        keep(work / "label", FILES[:2])


def run(work: Path, home: str, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "autointerp_core", *arguments]
    environment = os.environ | {"AUTOINTERP_HOME": str(work / home), "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, cwd=work, env=environment, check=True)


def keep(folder: Path, names: tuple[str, ...]) -> None:
    """Not every byte twice: the history does not depend on the features asked for."""
    for name in names:
        if (folder.name, name) == ("asked", "history.csv"):
            continue
        target = EXPECTED / folder.name / f"{name}.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress((folder / name).read_bytes(), mtime=0))


def states(home: Path) -> dict[str, Any]:
    """The state of every feature that has events, by SAE."""
    with LabelHistory.open(home / "labels.db", home / "labels-backup.jsonl") as history:
        return {
            sae: {str(feature): state_json(s) for feature, s in history.states(sae).items()}
            for sae in history.saes()
        }


def state_json(state: Any) -> dict[str, Any]:
    assert dataclasses.is_dataclass(state)
    proposals = [{name: getattr(p, name) for name in PROPOSAL} for p in state.proposals]
    return {name: getattr(state, name) for name in STATE} | {"proposals": proposals}


def judged(home: Path) -> list[list[Any]]:
    """Of each score on test documents: feature, event, scorer, windows judged, judged right."""
    (folder,) = (home / "studies").glob("*/")
    study, found = Study(folder), []
    with LabelHistory.open(home / "labels.db", home / "labels-backup.jsonl") as history:
        states = history.states(study.info.sae_fingerprint)
    for feature, state in states.items():
        for proposal in (*state.proposals, *([state.own] if state.own else [])):
            for scorer, place in proposal.scoring.get("evidence", {}).items():
                windows = read_evidence(study, place.file, feature, place.event)
                mine = [window for window in windows if window.scorer == scorer]
                right = sum(window.right is True for window in mine)
                found.append([feature, place.event, scorer, len(mine), right])
    return found


def last_event(home: Path) -> int:
    with LabelHistory.open(home / "labels.db") as history:
        return max(history.last_event_id(sae) for sae in history.saes())


def write_json(path: Path, content: Any) -> None:
    """Indented, but for lists of numbers and words: a line each."""
    if isinstance(content, list):
        text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in content) + "\n]"
    else:
        text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
