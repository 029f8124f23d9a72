"""The app as a person uses it, in a browser, on cold servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from autointerp_core.store.history import LabelHistory
from tests.browser.conftest import SAE, Server, settled, sign_in

Serve = Callable[[Path], Server]


def test_deep_link_on_a_cold_server_shows_the_feature_in_its_frame(
    page: Page, home: Path, serve: Serve
) -> None:
    server = serve(home)
    page.goto(f"{server.url}/feature?study=small&feature=12")
    settled(page)
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 12")
    expect(page.get_by_role("link", name="Features")).to_be_visible()
    rows = page.locator(".st-key-tokens .row")
    expect(rows).to_have_count(8)
    expect(rows.first.locator(".peak")).to_have_count(1)
    assert "feature=12" in page.url


def test_features_link_reproduces_its_view_and_a_row_opens_the_feature(
    page: Page, home: Path, serve: Serve
) -> None:
    server = serve(home)
    page.goto(f"{server.url}/features?study=small&q=model&sort=max&dir=desc")
    settled(page)
    table = page.locator(".st-key-table")
    expect(table.locator("tbody tr")).to_have_count(10)
    expect(page.get_by_label("Search", exact=True)).to_have_value("model")
    expect(table.locator("th[aria-sort=descending]")).to_have_text("Max ↓")
    table.locator("tbody tr td.c-label").nth(1).click()
    expect(page.locator(".st-key-quiet_place")).to_contain_text("2 of 10")
    page.locator(".st-key-next button").click()
    expect(page.locator(".st-key-quiet_place")).to_contain_text("3 of 10")
    page.locator(".st-key-back button").click()
    expect(page.get_by_label("Search", exact=True)).to_have_value("model")


def test_decisions_survive_a_server_restart(page: Page, home: Path, serve: Serve) -> None:
    server = serve(home)
    page.goto(f"{server.url}/feature?study=small&feature=3")
    settled(page)
    title = page.locator(".st-key-feature_title")
    page.locator(".st-key-accept_search button").click()
    page.get_by_label("Your name").fill("Ana")
    page.get_by_role("button", name="Save and go on").click()
    expect(title).to_contain_text("search words 3")
    expect(title).to_contain_text("accepted")
    settled(page)
    box = page.locator(".st-key-label_edit input")
    box.fill("one two three four five six seven eight nine ten")
    box.press("Enter")
    expect(page.locator(".st-key-label_panel")).to_contain_text("at most 9 are allowed")
    expect(box).to_have_value("one two three four five six seven eight nine ten")
    box.fill("quarterly results")
    box.press("Enter")
    expect(title).to_contain_text("quarterly results")
    expect(title).to_contain_text("overridden")
    page.locator(".st-key-undo button").click()
    expect(title).to_contain_text("search words 3")
    page.locator(".st-key-flag button").click()
    expect(title).to_contain_text("flagged")
    server.stop()

    again = serve(home)
    page.goto(f"{again.url}/feature?study=small&feature=3")
    settled(page)
    expect(title).to_contain_text("search words 3")
    expect(title).to_contain_text("accepted")
    expect(title).to_contain_text("flagged")
    page.locator(".st-key-history summary").click()
    history = page.locator(".st-key-history_list")
    expect(history).to_contain_text("overridden: quarterly results")
    expect(history).to_contain_text("Ana")
    with LabelHistory.open(home / "labels.db") as store:
        kinds = [event.kind for event in store.history(SAE, 3)]
    assert kinds[2:] == ["accepted", "overridden", "undone", "flagged"]


def test_shortcuts_decide_but_do_nothing_while_typing(page: Page, home: Path, serve: Serve) -> None:
    server = serve(home)
    sign_in(page, server.url)
    page.goto(f"{server.url}/feature?study=small&feature=6")
    settled(page)
    box = page.locator(".st-key-label_edit input")
    box.click()
    box.press_sequentially(" f12ujk")
    expect(box).to_have_value("model words 6 f12ujk")
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 6")
    with LabelHistory.open(home / "labels.db") as store:
        assert store.state(SAE, 6).status == "unreviewed"
    box.blur()
    page.keyboard.press("1")
    expect(page.locator(".st-key-feature_title")).to_contain_text("accepted")
    page.keyboard.press("j")
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 7")
    with LabelHistory.open(home / "labels.db") as store:
        assert store.history(SAE, 6)[-1].author == "Ana"
