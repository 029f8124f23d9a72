"""The tour: a new study from a small file, a decision on a feature, a restart, an export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from autointerp_core.home import models_dir
from tests.browser.conftest import Server, settled, sign_in

SENTENCES = (
    "The court heard the appeal on Monday and the judge ruled that the trial must go on.",
    "Net profit for the quarter rose to 12 million dollars, the company said on Tuesday.",
    "The frog and the newt are amphibians that live near rivers and lakes in the north.",
    "According to the museum, the temple was built in the third century near the harbor.",
)
JOB_MS = 180_000


def test_from_a_file_to_an_export(
    page: Page, tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    if models_dir().exists():
        # The demo model prepared once before is the same one; preparing takes half a minute.
        (tmp_path / "models").symlink_to(models_dir())
    data = tmp_path / "small.jsonl"
    lines = [json.dumps({"text": f"{text} Number {i}."}) for i in range(5) for text in SENTENCES]
    data.write_text("\n".join(lines) + "\n")
    features = json.dumps({"feature_indices": list(range(40)), "scores": [0.5] * 40})
    (tmp_path / "features.json").write_text(features)

    server = serve(tmp_path)
    sign_in(page, server.url)
    page.goto(f"{server.url}/studies")
    settled(page)
    _fill_the_form(page, data, tmp_path / "features.json")
    page.locator(".st-key-new_start button").click()
    expect(page.locator('[class*="st-key-job_"]')).to_contain_text("done", timeout=JOB_MS)
    settled(page)
    page.locator('[class*="st-key-open_"] button').click()
    table = page.locator(".st-key-table")
    expect(table.locator("tbody tr")).to_have_count(40)
    expect(table.locator("thead")).to_contain_text("Input score")

    page.get_by_role("button", name="Max").click()
    expect(table.locator("th[aria-sort=descending]")).to_have_text("Max ↓")
    table.locator("tbody td.c-label").first.click()
    settled(page)
    title = page.locator(".st-key-feature_title")
    proposal = page.locator(".st-key-proposal_search [data-testid=stText]")
    first = proposal.nth(1).inner_text()
    page.locator(".st-key-accept_search button").click()
    expect(title).to_contain_text("accepted")
    settled(page)
    box = page.locator(".st-key-label_edit input")
    box.fill("my own words")
    box.press("Enter")
    expect(title).to_contain_text("my own words")
    settled(page)

    page.locator(".st-key-generate button >> visible=true").click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Embedding").click()  # no scores: that is another test
    settled(page)
    form.locator(".st-key-run_start button").click()
    # The LLM's answer, or why it gave none, is the fourth event.
    summary = page.locator(".st-key-history summary")
    expect(summary).to_contain_text("History (4)", timeout=JOB_MS)
    settled(page)
    summary.click()
    history = page.locator(".st-key-history_list")
    expect(history).to_contain_text("LLM")
    expect(title).to_contain_text("my own words")  # a new label never changes a decision
    settled(page)

    history.get_by_role("button", name="Revert to this").last.click()
    expect(title).to_contain_text(first)
    settled(page)
    page.locator(".st-key-undo button").click()
    expect(title).to_contain_text("my own words")
    address = page.url
    server.stop()

    again = serve(tmp_path)
    page.goto(address.replace(server.url, again.url))
    settled(page)
    expect(title).to_contain_text("my own words")
    expect(title).to_contain_text("overridden")
    page.get_by_role("link", name="Export").click()
    settled(page)
    with page.expect_download() as download:
        page.locator(".st-key-download_json_Labels button").click()
    rows = json.loads(download.value.path().read_text())["features"]
    mine = [row for row in rows if row["label"] == "my own words"]
    assert len(rows) == 40
    assert [(row["status"], row["score"]) for row in mine] == [("overridden", 0.5)]


def _fill_the_form(page: Page, data: Path, features: Path) -> None:
    sae = page.get_by_role("combobox", name="SAE: a folder")
    sae.fill("demo")
    sae.press("Enter")
    expect(page.locator(".st-key-quiet_sae")).to_contain_text("hook_resid_post", timeout=60_000)
    settled(page)
    page.locator(".st-key-new_upload input[type=file]").set_input_files(data)
    expect(page.locator(".st-key-preview")).to_contain_text("The court heard", timeout=60_000)
    settled(page)
    page.locator(".st-key-new_which").get_by_text("A JSON file").click()
    page.locator(".st-key-new_features input[type=file]").set_input_files(features)
    expect(page.get_by_text("40 features, 40 of them with a score")).to_be_visible()
    expect(page.get_by_text("Roughly")).to_be_visible()
    settled(page)
