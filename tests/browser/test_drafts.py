"""What was typed and not saved is still there: after a flag, the next feature, a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, free_port, settled, start
from tests.browser.test_keyboard import Serve, decisions, opened, states


def test_drafts_survive_flag_next_and_back_and_reload(page: Page, home: Path, serve: Serve) -> None:
    opened(page, serve(home), "feature", 3)
    box = page.locator(".st-key-label_edit input")
    note = page.locator(".st-key-note_edit textarea")
    number = page.locator(".st-key-feature_number")
    box.fill("not yet")
    page.get_by_text("Add a note").click()
    note.fill("half a\nthought")
    page.locator(".st-key-flag button").click()
    expect(page.locator(".st-key-feature_title")).to_contain_text("flagged")
    expect(box).to_have_value("not yet")
    page.locator(".st-key-next button").click()
    expect(number).to_have_text("Feature 4")
    expect(box).to_have_value("search words 4")
    box.fill("of four")
    page.locator(".st-key-previous button").click()
    expect(number).to_have_text("Feature 3")
    expect(box).to_have_value("not yet")
    expect(page.locator(".st-key-label_edit")).to_contain_text("Not saved yet")
    page.reload()
    settled(page)
    expect(box).to_have_value("not yet")
    page.get_by_text("Add a note").click()
    expect(note).to_have_value("half a\nthought")
    assert decisions(home) == [(3, "flagged", None)]
    # Saving one saves that one, and says what it saved.
    note.press("Control+Enter")
    expect(page.locator(".st-key-outcome")).to_contain_text("Note saved")
    expect(box).to_have_value("not yet")
    box.press("Enter")
    expect(page.locator(".st-key-outcome")).to_contain_text("Saved “not yet”")
    now = states(home)[3]
    assert (now.label, now.note) == ("not yet", "half a\nthought")
    # What was saved is no draft any more: an undo shows what stands again.
    page.locator(".st-key-undo button").click()
    expect(box).to_have_value("model words 3")


def test_drafts_survive_a_server_restart(
    page: Page, home: Path, serve: Callable[[Path], Server]
) -> None:
    port = free_port()
    server = start(home, port)
    try:
        opened(page, server, "feature", 3)
        box = page.locator(".st-key-label_edit input")
        box.fill("typed before")
    finally:
        server.stop()
    server = start(home, port)
    try:
        # The browser connects again by itself, to a session that knows nothing.
        app = page.get_by_test_id("stApp")
        expect(app).to_have_attribute("data-test-connection-state", "CONNECTED", timeout=60_000)
        expect(box).to_have_value("typed before")
        box.press("Enter")
        expect(page.locator(".st-key-feature_title")).to_contain_text("typed before")
        assert decisions(home) == [(3, "overridden", "typed before")]
    finally:
        server.stop()


def test_limits_are_told_while_typing_and_nothing_is_cut(
    page: Page, home: Path, serve: Serve
) -> None:
    opened(page, serve(home), "review", 3)
    edit = page.locator(".st-key-label_edit")
    box = edit.locator("input")
    box.fill("a b c d e f g h i")
    expect(edit).to_contain_text("9 of 9 words")
    box.press_sequentially(" j")
    expect(edit).to_contain_text("10 words: at most 9")
    box.press("Enter")
    expect(page.locator(".st-key-refusal")).to_contain_text("at most 9 are allowed")
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 3")
    expect(box).to_have_value("a b c d e f g h i j")
    box.fill("x" * 400)
    expect(edit).to_contain_text("400 characters: at most 300")
    box.press("Enter")
    expect(page.locator(".st-key-refusal")).to_contain_text("400 characters; at most 300")
    expect(box).to_have_value("x" * 400)
    assert decisions(home) == []


def test_enter_on_a_proposal_as_it_is_accepts_it(page: Page, home: Path, serve: Serve) -> None:
    opened(page, serve(home), "review", 3)
    expect(page.locator(".st-key-label_edit")).to_contain_text("Enter accepts it")
    page.keyboard.press("o")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 4")
    assert decisions(home) == [(3, "accepted", "model words 3")]
