"""What holds for every export format: whole files, going on after a kill, clear refusals."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autointerp_core.cli import main
from autointerp_core.errors import AutointerpError, BadInput, OutputError, ParameterError
from autointerp_core.exchange.config import ExportConfig
from autointerp_core.exchange.format import Batch
from autointerp_core.exchange.registry import export_formats
from autointerp_core.exchange.run import export_features, preview
from autointerp_core.exchange.run_names import MANIFEST
from autointerp_core.exchange.subject import Subject
from autointerp_core.home import CODE_ROOT
from autointerp_core.progress import Progress
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from benchmarks.synthetic import write_study
from tests.core.exchange_fixtures import SAE, awkward_study, tree

QUICK = [name for name in export_formats() if name != "sae-dashboard"]
BATCHED = [name for name in QUICK if name not in ("results", "html")]


@pytest.fixture
def awkward(own_home: Path) -> Iterator[tuple[Study, LabelHistory]]:
    with awkward_study(own_home) as found:
        yield found


@pytest.mark.parametrize("name", BATCHED)
def test_what_was_interrupted_goes_on_and_ends_the_same(
    name: str,
    awkward: tuple[Study, LabelHistory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study, history = awkward
    features = list(range(12))
    _smaller_batches(monkeypatch, 4)
    whole = export_features(study, history, name, features, tmp_path / "whole")
    chosen = export_formats()[name]
    calls = []

    def dies(subject: Subject, batch: Batch, folder: Path) -> None:
        calls.append(batch.name)
        if len(calls) == 2:
            raise RuntimeError("power cut")
        chosen.write(subject, batch, folder)

    _swap(monkeypatch, name, dies)
    with pytest.raises(RuntimeError, match="power cut"):
        export_features(study, history, name, features, tmp_path / "cut")
    monkeypatch.undo()
    monkeypatch.setenv("AUTOINTERP_HOME", str(study.folder.parents[1]))
    _smaller_batches(monkeypatch, 4)
    told: list[Progress] = []
    again = export_features(study, history, name, features, tmp_path / "cut", progress=told.append)
    assert (whole.reused, again.reused) == (0, 1)
    assert tree(tmp_path / "cut") == tree(tmp_path / "whole")
    assert told[0].done == len(_batches(study, history, name)[0].features)
    assert (told[-1].done, told[-1].total) == (12, 12)
    once_more = export_features(study, history, name, features, tmp_path / "cut")
    assert once_more.reused == once_more.batches
    assert tree(tmp_path / "cut") == tree(tmp_path / "whole")


def _batches(study: Study, history: LabelHistory, name: str) -> tuple[Batch, ...]:
    return preview(Subject(study, history, tuple(range(12))), name).batches


def _smaller_batches(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    from autointerp_core.exchange.formats import (
        circuit_tracer,
        dataset,
        delphi,
        neuronpedia,
        neuronpedia_upload,
    )

    monkeypatch.setattr(circuit_tracer, "FEATURES_A_BATCH", size)
    monkeypatch.setattr(dataset, "FEATURES_A_FILE", size)
    monkeypatch.setattr(delphi, "LATENTS_A_FILE", size)
    monkeypatch.setattr(neuronpedia, "FEATURES_A_BATCH", size)
    monkeypatch.setattr(neuronpedia_upload, "FEATURES_A_BODY", size)


def _swap(monkeypatch: pytest.MonkeyPatch, name: str, write: Any) -> None:
    from dataclasses import replace

    changed = replace(export_formats()[name], write=write)
    monkeypatch.setattr("autointerp_core.exchange.run.export_format", lambda asked: changed)


@pytest.mark.slow
def test_killed_for_good_it_goes_on_and_ends_the_same(own_home: Path, tmp_path: Path) -> None:
    """A real process, a real SIGKILL in the middle, through the command line."""
    write_study(own_home / "studies" / "many", 700, 8, fingerprint=SAE)
    command = [sys.executable, "-m", "autointerp_core", "export", "--study", "many",
               "--format", "neuronpedia-upload", "--output-dir"]  # fmt: skip
    process = subprocess.Popen([*command, str(tmp_path / "cut")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "cut" / MANIFEST).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert len(list((tmp_path / "cut" / "bodies").glob("*.json"))) < 6
    done = subprocess.run([*command, str(tmp_path / "cut")], capture_output=True, check=True)
    assert b"700 features in 6 files" in done.stdout
    subprocess.run([*command, str(tmp_path / "whole")], capture_output=True, check=True)
    assert tree(tmp_path / "cut") == tree(tmp_path / "whole")
    assert not list((tmp_path / "cut").rglob("*.tmp"))


def test_another_export_replaces_the_files_of_the_one_before(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("not the export's")
    export_features(study, history, "delphi", range(12), tmp_path / "out")
    export_features(study, history, "dataset", range(12), tmp_path / "out")
    names = {name.split("/")[0] for name in tree(tmp_path / "out")}
    assert not {"latents", "explanations"} & names
    assert {"mine.txt", "features", "README.md"} <= names
    before = tree(tmp_path / "out")
    history.override(SAE, 4, "decided since", author="Ben")
    done = export_features(study, history, "dataset", range(12), tmp_path / "out")
    assert done.reused == 0
    assert tree(tmp_path / "out") != before


@pytest.mark.parametrize("name", QUICK)
def test_every_format_says_what_it_writes_and_writes_that(
    name: str, awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    plan = preview(Subject(study, history, (1, 2, 3)), name)
    assert plan.lines
    assert not list(tmp_path.glob("out*"))
    done = export_features(study, history, name, [3, 1, 2, 1], tmp_path / "out")
    assert done.files == len(tree(tmp_path / "out"))
    promised = {*plan.closing, *(one for batch in plan.batches for one in batch.files)}
    # delphi's explanations are a file a labelled feature: named in the lines, not one by one.
    written = {n for n in tree(tmp_path / "out") if not n.startswith("explanations/")}
    assert written == promised


def test_the_command_line_lists_formats_and_results_are_what_they_were(
    awkward: tuple[Study, LabelHistory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--study", "awkward", "--output-dir", str(tmp_path / "out")]
    assert main(["export", *given, "--feature-indices", "3,1"]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == [
        "feature_examples.jsonl",
        "feature_labels.json",
        "history.csv",
        "history.parquet",
        "labels.csv",
        "labels.parquet",
    ]
    assert main(["export", *given, "--format", "delphi", "--preview"]) == 0
    assert "config.json" in capsys.readouterr().out
    assert not (tmp_path / "out" / "latents").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--format", "word"], "'word' is no export format; one of: results, html, neuronpedia"),
        (["--format", "delphi", "--feature-indices", "5,99"], "feature 99"),
        (["--format", "neuronpedia", "--model-id", "../x"], "model_id"),
        (["--format", "neuronpedia-upload", "--base-url", "ftp://x"], "begins with https://"),
        (["--format", "circuit-tracer", "--graph", "/nowhere.json"], "cannot be read"),
        (["--format", "dataset", "--examples", "0"], "give at least 1"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: list[str],
    says: str,
    awkward: tuple[Study, LabelHistory],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main(["export", "--study", "awkward", "--output-dir", str(out), *arguments]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert says in told[0]
    assert not out.exists()


def test_a_hook_without_a_layer_is_refused_by_what_needs_one(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    text = (study.folder / "study.json").read_text()
    (study.folder / "study.json").write_text(text.replace("blocks.9.hook_resid_post", "hook_embed"))
    opened = Study(study.folder)
    for name in ("neuronpedia", "neuronpedia-upload", "circuit-tracer"):
        with pytest.raises(BadInput, match="names no layer"):
            export_features(opened, history, name, [1], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export_features(opened, history, "dataset", [1], tmp_path / "out")


def test_the_format_in_the_contributors_guide_works(
    awkward: tuple[Study, LabelHistory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (CODE_ROOT / "CONTRIBUTING.md").read_text()
    code = guide.split("## Add an export format")[1].split("```python\n")[1].split("```")[0]
    made: dict[str, Any] = {"__name__": "lines"}
    exec(compile(code, "CONTRIBUTING.md", "exec"), made)
    monkeypatch.setattr("autointerp_core.exchange.run.export_format", lambda _: made["FORMAT"])
    study, history = awkward
    export_features(study, history, "lines", [0, 5], tmp_path)
    assert (tmp_path / "batch-0.txt").read_text() == '0\tby hand: "é"\n5\twords 5\n'


def test_two_exports_into_one_folder_do_not_mix(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward

    def meanwhile(_: Progress) -> None:
        with pytest.raises(OutputError, match="another export"):
            export_features(study, history, "delphi", [1], tmp_path / "out")

    export_features(study, history, "dataset", [1], tmp_path / "out", progress=meanwhile)
    assert (tmp_path / "out" / "README.md").exists()


def test_a_manifest_never_removes_what_lies_outside(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    study, history = awkward
    mine = tmp_path / "mine.txt"
    mine.write_text("keep me")
    out = tmp_path / "out"
    out.mkdir()
    (out / MANIFEST).write_text('{"key": "old", "files": {"a": ["../mine.txt"], "b": 3}}')
    export_features(study, history, "dataset", [1], out)
    assert mine.read_text() == "keep me"


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ParameterError):
        ExportConfig(source_set="")
    with pytest.raises(AutointerpError):
        ExportConfig(base_url="neuronpedia.org")
