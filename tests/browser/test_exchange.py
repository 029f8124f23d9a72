"""What other tools show of our exports, and exporting from the app."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from benchmarks.synthetic import write_study
from tests.browser.conftest import ROOT, SAE, Server, settled, sign_in
from tests.browser.test_hostile import HOSTILE


def _library(package: str, file: str) -> Path:
    found = find_spec(package)
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / file


def test_sae_dashboards_page_shows_the_same_top_example(page: Page, tmp_path: Path) -> None:
    hostile = [text[:60] for text in HOSTILE]
    documents = [[*hostile[i:], "</script>", *hostile[:i]] for i in range(len(hostile))]
    write_study(tmp_path / "studies" / "h", 3, 6, documents=documents)
    study = Study(tmp_path / "studies" / "h")
    environment = {**os.environ, "AUTOINTERP_HOME": str(tmp_path)}
    environment.pop("AUTOINTERP_DB", None)
    command = [sys.executable, "-m", "autointerp_core", "export", "--study", "h", "--format",
               "sae-dashboard", "--output-dir", str(tmp_path / "out")]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

    def library(route: Route) -> None:
        # The pages take d3 and Plotly from the web; here they come from packages that carry them.
        plotly = "plot.ly" in route.request.url
        path = (
            _library("plotly", "package_data/plotly.min.js")
            if plotly
            else _library("mpld3", "js/d3.v5.min.js")
        )
        route.fulfill(path=path, content_type="text/javascript")

    page.route(re.compile("^https://"), library)
    page.goto((tmp_path / "out/pages/features-0000.html").as_uri())
    group = page.locator("[id^='seq-group-'][id$='-0']").first
    example = study.examples(0)[0]
    named = dict(example.named)
    expected = [named.get(i, text) for i, text in enumerate(example.tokens)]
    shown = group.locator(".seq").first.locator(".token")
    expect(shown).to_have_count(len(expected))
    assert shown.evaluate_all("tokens => tokens.map(t => t.textContent)") == expected
    assert shown.nth(example.peak_index).evaluate("t => t.style.fontWeight") == "bold"
    assert page.evaluate("window.hacked") is None


def test_a_format_is_previewed_written_and_an_agents_proposal_is_in_review(
    page: Page, home: Path, serve: Callable[[Path], Server]
) -> None:
    with LabelHistory.open(home / "labels.db") as history:
        history.record(SAE, 0, "imported", "seen by a scout", source="agent:scout",
                       method="agent", author="scout", study="small")  # fmt: skip
    server = serve(home)
    sign_in(page, server.url)
    page.goto(f"{server.url}/export?study=small")
    settled(page)
    page.locator(".st-key-format_dataset summary").click()
    expect(page.locator(".st-key-quiet_plan_dataset")).to_contain_text("README.md")
    page.locator(".st-key-write_dataset button").click()
    job = page.locator(".st-key-run_job")
    expect(job).to_contain_text("30 features in 7 files", timeout=60_000)
    assert (home / "exports" / "small" / "dataset" / "README.md").exists()
    page.goto(f"{server.url}/review?study=small&feature=0&of=all")
    settled(page)
    page.locator(".st-key-proposals_open summary").click()
    proposals = page.locator(".st-key-proposals_list")
    expect(proposals).to_contain_text("seen by a scout")
    expect(proposals).to_contain_text("agent · scout")
