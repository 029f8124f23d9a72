"""Two studies of one SAE side by side: what was made from one is never taken for the other's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from autointerp_core.store.history import LabelHistory, NewEvent
from autointerp_core.store.study_names import rename
from benchmarks.synthetic import write_study
from tests.browser.conftest import SAE, Server, settled
from tests.browser.test_keyboard import decisions, fast, opened

Serve = Callable[[Path], Server]
COUNT = 30


def two_studies(home: Path) -> None:
    """Labels of "small" by its own study, and newer, better scored ones of another."""
    write_study(home / "studies" / "other", COUNT, 8, seed=1)
    rename(home / "studies" / "other", "The other one")
    for path in home.glob("labels*"):
        path.unlink()
    events = [
        NewEvent(
            SAE, feature, "generated", f"{study} {source} {feature}", source=source,
            method="plain", study=study,
        )
        for study in ("small", "other")
        for feature in range(COUNT)
        for source in ("search", "llm:tiny")
    ]  # fmt: skip
    with LabelHistory.open(home / "labels.db") as history:
        made = history.record_many(events)
        history.record_many(
            NewEvent(
                SAE, event.feature, "scored", source=event.source, parent=event.id, study="other",
                details={"scores": {"detection": 0.99}, "validate": {"detection": 0.99}},
            )
            for event in made
            if event.study == "other"
        )  # fmt: skip


def test_keys_accept_what_was_made_here_and_the_rest_stands_with_its_origin(
    page: Page, home: Path, serve: Serve
) -> None:
    two_studies(home)
    server = serve(home)
    opened(page, server, "review", 1)
    number = page.locator(".st-key-feature_number")
    shown = page.locator(".st-key-label_panel")
    expect(shown).to_contain_text("small search 1")
    expect(shown).not_to_contain_text("other")
    # A person at speed: 1 and 2 are the labels of this study, whatever is newer or scored better.
    for key, following in (("1", 2), ("2", 3), ("1", 4), ("2", 5)):
        fast(page, key)
        expect(number).to_have_text(f"Feature {following}")
    settled(page)
    assert decisions(home) == [
        (1, "accepted", "small llm:tiny 1"),
        (2, "accepted", "small search 2"),
        (3, "accepted", "small llm:tiny 3"),
        (4, "accepted", "small search 4"),
    ]
    # The other's stand apart, with their origin; one is accepted knowingly.
    page.locator(".st-key-proposals_open summary").click()
    listed = page.locator(".st-key-proposals_list")
    expect(listed).to_contain_text("from The other one")
    expect(listed).to_contain_text("They count for nothing here until you accept one.")
    theirs = listed.locator('[data-testid="stHorizontalBlock"], .stHorizontalBlock')
    theirs = theirs.filter(has_text="other search 5").last
    theirs.get_by_role("button", name="Accept").click()
    expect(number).to_have_text("Feature 6")
    settled(page)
    assert decisions(home)[4:] == [(5, "accepted", "other search 5")]
    # Exported: people's decisions, else this study's own proposals; the other's nowhere else.
    page.goto(f"{server.url}/export?study=small")
    settled(page)
    with page.expect_download() as caught:
        page.locator(".st-key-download_json_Labels button").click()
    found = json.loads(Path(caught.value.path()).read_text())
    rows = {row["feature_index"]: row for row in found["features"]}
    assert len(rows) == COUNT
    assert [rows[f]["label"] for f in (1, 2, 5)] == [
        "small llm:tiny 1", "small search 2", "other search 5",
    ]  # fmt: skip
    assert "other" not in json.dumps([row for f, row in rows.items() if f != 5])
    assert not any(row["scores"] for f, row in rows.items() if f != 5)
    # In the other study: the same decisions, and its own proposals.
    page.goto(f"{server.url}/feature?study=other&feature=1")
    settled(page)
    expect(page.locator(".st-key-current_label")).to_have_text("small llm:tiny 1")
    expect(page.locator(".st-key-proposal_llm")).to_contain_text("other llm:tiny 1")
