"""The review queue by keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from autointerp_core.store.history import LabelHistory
from tests.browser.conftest import SAE, Server, settled, sign_in


def test_review_by_keyboard_alone(page: Page, home: Path, serve: Callable[[Path], Server]) -> None:
    server = serve(home)
    sign_in(page, server.url)
    page.goto(f"{server.url}/review?study=small")
    settled(page)
    number = page.locator(".st-key-feature_number")
    box = page.locator(".st-key-label_edit input")
    expect(number).to_have_text("Feature 0")

    def press(key: str) -> None:
        # At a person's pace: between two runs a key may find no button to press.
        settled(page)
        page.keyboard.press(key)

    press("1")  # accept the LLM label of 0
    expect(number).to_have_text("Feature 1")
    press("2")  # accept the search label of 1
    expect(number).to_have_text("Feature 2")
    press("s")  # skip 2
    expect(number).to_have_text("Feature 3")
    press("f")
    expect(page.locator(".st-key-feature_title")).to_contain_text("flagged")
    press("o")
    expect(box).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("my own words 1f2s")  # shortcut letters are only letters here
    expect(box).to_have_value("my own words 1f2s")
    page.keyboard.press("Enter")
    expect(number).to_have_text("Feature 4")
    expect(page.locator(".st-key-outcome")).to_contain_text("Feature 3: saved")

    press("o")
    expect(box).to_be_focused()
    press("Escape")
    press("u")  # back to 3, its own label undone
    expect(number).to_have_text("Feature 3")
    expect(page.locator(".st-key-feature_title")).to_contain_text("unreviewed")
    press("n")
    expect(number).to_have_text("Feature 4")
    press("p")
    expect(number).to_have_text("Feature 3")
    press("m")
    expect(page.get_by_role("button", name="Fewer examples")).to_be_visible()
    press("h")
    expect(page.get_by_role("dialog")).to_contain_text("accept the search label")
    press("Escape")
    expect(page.locator(".st-key-quiet_pace")).to_contain_text("2 of 30 reviewed")

    with LabelHistory.open(home / "labels.db") as store:
        states = store.states(SAE, range(4))
    assert [(s.label, s.status) for s in states.values()] == [
        ("model words 0", "accepted"),
        ("search words 1", "accepted"),
        ("search words 2", "unreviewed"),
        ("model words 3", "unreviewed"),
    ]
    assert states[3].flagged

    # The same link on another machine goes on where this one stopped.
    page.goto(f"{server.url}/review?study=small")
    settled(page)
    expect(number).to_have_text("Feature 2")
