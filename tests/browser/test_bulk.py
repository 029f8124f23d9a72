"""Many at once: ranges by Shift, what is selected, one question, one undo."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import settled, sign_in
from tests.browser.test_keyboard import Serve, decisions, states


def test_ranges_a_question_and_one_undo(page: Page, home: Path, serve: Serve) -> None:
    server = serve(home)
    sign_in(page, server.url)
    page.goto(f"{server.url}/features?study=small&status=unreviewed&size=25")
    settled(page)
    bar = page.locator(".st-key-bulk_bar")
    ticks = page.locator(".st-key-table tbody input")
    ticks.nth(2).click()
    ticks.nth(6).click(modifiers=["Shift"])
    expect(bar).to_contain_text("5 selected")
    ticks.nth(4).click()
    expect(bar).to_contain_text("4 selected")
    # Fast clicks: none is lost while the page is being drawn.
    for number in (10, 11, 12, 13):
        ticks.nth(number).click(delay=0)
        page.wait_for_timeout(60)
    expect(bar).to_contain_text("8 selected")
    settled(page)
    expect(bar).to_contain_text("8 selected")

    page.locator(".st-key-bulk_accept button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Accept labels of 8 features?")
    expect(dialog).to_contain_text("8 of the 30 features that match are selected")
    expect(dialog).to_contain_text("Filter: unreviewed")
    expect(dialog).to_contain_text("3: model words 3")
    assert decisions(home) == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    settled(page)
    assert decisions(home) == []
    page.locator(".st-key-bulk_accept button").click()
    page.locator(".st-key-bulk_yes button").click()
    expect(page.locator(".st-key-bulk_done")).to_contain_text("8 features accepted")
    expect(bar).to_have_count(0)  # they left the filter, and the selection with it
    settled(page)
    accepted = [2, 3, 5, 6, 10, 11, 12, 13]
    assert [f for f, state in states(home).items() if state.status == "accepted"] == accepted

    page.locator(".st-key-bulk_undo button").click()
    expect(page.locator(".st-key-bulk_done")).to_contain_text("8 features taken back")
    settled(page)
    assert {state.status for state in states(home).values()} == {"unreviewed"}
    assert len(decisions(home)) == 16


def test_a_selection_is_never_wider_than_what_is_shown(
    page: Page, home: Path, serve: Serve
) -> None:
    server = serve(home)
    sign_in(page, server.url)
    page.goto(f"{server.url}/features?study=small&size=25")
    settled(page)
    bar = page.locator(".st-key-bulk_bar")
    page.locator(".st-key-table thead input").click()
    expect(bar).to_contain_text("25 selected")
    page.locator(".st-key-pick_all button").click()
    expect(bar).to_contain_text("30 selected: 25 on this page, 5 on others")
    page.get_by_label("Search", exact=True).fill("model")
    page.get_by_label("Search", exact=True).press("Enter")
    expect(bar).to_contain_text("10 selected")
    expect(page.locator(".st-key-bulk")).to_contain_text("20 no longer match the filter")
    settled(page)
    page.locator(".st-key-bulk_flag button").click()
    expect(page.get_by_role("dialog")).to_contain_text("Flag 10 features?")
    page.locator(".st-key-bulk_yes button").click()
    expect(page.locator(".st-key-bulk_done")).to_contain_text("10 features flagged")
    settled(page)
    assert sorted(f for f, state in states(home).items() if state.flagged) == list(range(0, 30, 3))
