"""Formats on the Export page, and what agents proposed in Review, without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp_core import jobs
from autointerp_core.exchange.registry import IMPORTS, export_formats
from autointerp_core.jobs.exchange_work import run_export_job, run_import_job
from autointerp_core.progress import silent
from autointerp_core.store.history import LabelHistory
from tests.pages.conftest import SAE, Open
from tests.pages.test_pages import texts


@pytest.mark.slow
def test_every_format_is_on_the_page_with_what_it_writes(study: Path, open_page: Open) -> None:
    app = open_page("export", study="small")
    titles = " ".join(found.label for found in app.expander)
    assert all(f"{found.title}: {found.about}" in titles for found in export_formats().values())
    for name in ("delphi", "neuronpedia-upload"):
        app.session_state[f"format_{name}"] = True
    app.run()
    shown = texts(app)
    assert "config.json" in shown
    assert "only written, nothing is sent" in shown
    assert {button.key for button in app.button} >= {"write_delphi", "write_neuronpedia-upload"}


@pytest.mark.slow
def test_a_press_starts_the_job_that_writes(study: Path, open_page: Open) -> None:
    app = open_page("export", study="small")
    app.session_state["format_delphi"] = True
    app.run()
    app.button(key="write_delphi").click().run()
    (job,) = [job for job in jobs.list_jobs() if job.kind == "export"]
    assert job.params["format"] == "delphi"
    assert len(job.params["features"]) == 120
    jobs.cancel(job.id)


def test_what_the_jobs_do(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    params = {"study": str(study), "features": [3, 5], "format": "neuronpedia",
              "output_dir": str(out)}  # fmt: skip
    done = run_export_job(params, silent)
    assert (done["features"], done["files"]) == (2, 12)
    assert json.dumps(done)
    taken = {"study": str(study), "path": str(out), "format": "neuronpedia", "author": "Ana"}
    assert run_import_job(taken, silent)["labels"] == 0
    assert set(IMPORTS) == {"results", "neuronpedia", "delphi", "dataset"}


@pytest.mark.slow
def test_an_import_says_first_what_it_would_do(
    study: Path, open_page: Open, tmp_path: Path
) -> None:
    row = {"index": "5", "layer": "9-x", "description": "rivers",
           "explanationModelName": "gpt-x"}  # fmt: skip
    (tmp_path / "batch-0.jsonl").write_text(json.dumps(row) + "\n")
    app = open_page("export", study="small")
    app.text_input(key="import_path").set_value(str(tmp_path / "batch-0.jsonl")).run()
    assert "1 labels are new here, as proposals." in texts(app)
    assert not app.button(key="import_from").disabled
    app.text_input(key="import_path").set_value("/nowhere").run()
    assert "/nowhere is not there" in texts(app)


@pytest.mark.slow
def test_a_lone_proposal_of_an_agent_is_shown_with_its_name(study: Path, open_page: Open) -> None:
    with LabelHistory.open() as history:
        history.record(SAE, 500, "imported", "x", source="agent:far", study="small")
        history.record(SAE, 1, "imported", "seen by a scout", source="agent:scout",
                       method="agent", author="scout", study="small")  # fmt: skip
    app = open_page("review", study="small", feature="1", of="all")
    app.session_state["proposals_open"] = True
    app.run()
    shown = texts(app)
    assert "seen by a scout" in shown
    assert "agent · scout" in shown
