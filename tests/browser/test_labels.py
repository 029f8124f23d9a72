"""Labels from proposal to decision, in the app: generate, score, look at the evidence, accept."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from autointerp_core.home import models_dir
from autointerp_core.store.history import LabelHistory
from tests.browser.conftest import ROOT, SAE, Server, settled, sign_in

Serve = Callable[[Path], Server]
JOB_MS = 400_000
_ROWS, _FEATURES = 200, range(12)


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A home folder with a small study of the demo model, without labels of a language model."""
    if models_dir().exists():
        # The demo model prepared once before is the same one; preparing takes half a minute.
        (tmp_path / "models").symlink_to(models_dir())
    command = [sys.executable, "-m", "autointerp_core", "label", "--sae-id", "demo"]
    for name in ("model", "sae", "dataset"):
        command += [f"--{name}-path", "demo"]
    command += ["--feature-indices", ",".join(map(str, _FEATURES)), "--n-samples", str(_ROWS)]
    command += ["--label-provider", "none", "--output-dir", str(tmp_path / "results")]
    environment = {**os.environ, "AUTOINTERP_HOME": str(tmp_path)}
    environment.pop("AUTOINTERP_DB", None)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return tmp_path


def ended(page: Page) -> Locator:
    """The job started on this page, once it is done."""
    job = page.locator(".st-key-run_job")
    expect(job).to_contain_text(re.compile("done|failed|interrupted"), timeout=JOB_MS)
    expect(job).to_contain_text("done")
    return job


def test_generated_scored_looked_at_and_accepted(page: Page, demo: Path, serve: Serve) -> None:
    server = serve(demo)
    sign_in(page, server.url)
    page.goto(f"{server.url}/features?sort=density&dir=desc")
    settled(page)
    ticks = page.locator(".st-key-table tbody input")
    for number in (0, 1):
        ticks.nth(number).check()
        settled(page)

    # Two of the model's labels a feature beside the search label, compared without a model.
    page.locator(".st-key-bulk_generate button").click()
    form = page.get_by_role("dialog")
    tries = form.get_by_role("spinbutton", name="LLM labels a feature")
    tries.fill("2")
    tries.press("Enter")
    expect(form.locator(".st-key-run_estimate")).to_contain_text("tokens in")
    expect(form.locator(".st-key-run_estimate")).to_contain_text("no charge")
    settled(page)
    form.locator(".st-key-run_start button").click()
    job = ended(page)
    expect(job).to_contain_text("made")
    expect(job).to_contain_text(re.compile(r"embedding 0\.\d\d \(95 % interval"))
    settled(page)

    # And by a judge; canned answers, as the demo model would need minutes.
    page.locator(".st-key-bulk_score button").click()
    for choice in ("Embedding", "Detection"):
        form.get_by_role("button", name=choice).click()
        settled(page)
    form.get_by_text("Scripted").click()
    expect(form).to_contain_text("the labels mean nothing")
    settled(page)
    form.locator(".st-key-run_start button").click()
    expect(job).to_contain_text("Scores of 2 features")
    expect(ended(page)).to_contain_text(re.compile(r"detection 0\.\d\d \(95 % interval"))
    expect(job).to_contain_text(re.compile(r"floor 0\.50, shuffled 0\.\d\d"))
    settled(page)
    page.locator(".st-key-run_seen button").click()
    settled(page)

    # The score in the table, and on the feature's page beside each label.
    expect(page.locator(".st-key-table thead")).to_contain_text("Detection")
    page.locator(".st-key-table td.c-label").first.click()
    settled(page)
    expect(page.locator(".st-key-title_score")).to_contain_text(re.compile(r"0\.\d\d|1\.00"))
    shown = page.locator(".st-key-scores_search")
    expect(shown.locator("details").first).to_be_visible()
    drawing = shown.get_by_role("img").first
    expect(drawing).to_have_attribute(
        "aria-label",
        re.compile(r"embedding .* \(95 % interval .*\), floor 0\.50, shuffled .*, \d+ windows"),
    )
    shown.locator("summary").first.click()
    expect(shown.locator("details[open]")).to_contain_text("Hard silent windows")

    # The evidence: what was judged rightly and wrongly.
    page.locator(".st-key-group").get_by_text("Judged").click()
    settled(page)
    rows = page.locator(".st-key-tokens .row")
    expect(rows.first.locator(".verdict")).to_be_visible()
    every = rows.count()
    assert every >= 20
    counts = {}
    for verdict in ("Wrong", "Right"):
        page.locator(".st-key-judged_show").get_by_text(verdict).click()
        settled(page)
        counts[verdict] = page.locator(f".st-key-tokens .verdict.{verdict.lower()}").count()
        assert counts[verdict] == page.locator(".st-key-tokens .row").count()
    assert counts["Right"] > 0
    assert sum(counts.values()) <= every

    # Every proposal, and accepting the best one.
    page.locator(".st-key-proposals_open summary").click()
    listed = page.locator(".st-key-proposals_list")
    expect(listed).to_contain_text("best")
    expect(listed).to_contain_text("validate")
    best = listed.locator('[class*="st-key-candidate_"]').first.inner_text()
    listed.get_by_role("button", name="Accept").first.click()
    title = page.locator(".st-key-feature_title")
    expect(title).to_contain_text("accepted")
    expect(title).to_contain_text(best.splitlines()[0])
    settled(page)

    # The other feature is what the queue by score begins with.
    page.goto(f"{server.url}/review?queue=score")
    settled(page)
    expect(page.locator(".st-key-scores_search").get_by_role("img").first).to_be_visible()
    page.keyboard.press("2")
    expect(page.locator(".st-key-quiet_pace")).to_contain_text("2 of")


def test_canned_answers_give_no_scores_and_say_why(page: Page, home: Path, serve: Serve) -> None:
    server = serve(home)
    sign_in(page, server.url)
    page.goto(f"{server.url}/feature?study=small&feature=4")
    settled(page)
    expect(page.locator(".st-key-scores_search")).to_contain_text("not scored yet")
    page.locator(".st-key-generate button >> visible=true").click()
    form = page.get_by_role("dialog")
    form.get_by_text("Scripted").click()
    expect(form).to_contain_text("the labels mean nothing")
    settled(page)
    form.locator(".st-key-run_start button").click()
    ended(page)
    settled(page)
    # A feature of this study fires in 8 documents: too few to hold some out.
    expect(page.locator(".st-key-proposal_llm")).to_contain_text("scripted")
    expect(page.locator(".st-key-scores_search")).to_contain_text("not scored:")
    page.locator(".st-key-group").get_by_text("Judged").click()
    expect(page.locator(".st-key-no_evidence")).to_contain_text("No judged windows")
    settled(page)
    page.locator(".st-key-score_this button").click()
    expect(page.get_by_role("dialog")).to_contain_text("Score labels of feature 4")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    with LabelHistory.open(home / "labels.db") as store:
        kinds = [event.kind for event in store.history(SAE, 4)]
    assert "generated" in kinds
