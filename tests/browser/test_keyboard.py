"""Keys that cannot go wrong: a real keyboard, a person who types fast, dialogs in the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from autointerp_core.store.history import LabelHistory, LabelState
from tests.browser.conftest import SAE, Server, settled, sign_in

Serve = Callable[[Path], Server]
FAST_MS = 60
"""Between two keys of a fast typist."""


def opened(page: Page, server: Server, name: str, feature: int, author: str = "Ana") -> None:
    if author:
        sign_in(page, server.url, author)
    page.goto(f"{server.url}/{name}?study=small&feature={feature}")
    settled(page)
    # Our own elements are loaded on first use.
    page.wait_for_function("window[Symbol.for('autointerp desk')]?.place?.isConnected")


def fast(page: Page, keys: str) -> None:
    """Type keys one by one at a fast typist's pace."""
    for key in keys:
        page.keyboard.press(key)
        page.wait_for_timeout(FAST_MS)


def states(home: Path) -> dict[int, LabelState]:
    with LabelHistory.open(home / "labels.db") as store:
        return store.states(SAE)


def decisions(home: Path) -> list[tuple[int, str, str | None]]:
    """Feature, kind and text of everything people did, in order."""
    with LabelHistory.open(home / "labels.db") as store:
        return [(e.feature, e.kind, e.text) for e in store.all_events(SAE) if e.author]


def test_ten_fast_presses_move_ten(page: Page, home: Path, serve: Serve) -> None:
    opened(page, serve(home), "feature", 3)
    number = page.locator(".st-key-feature_number")
    fast(page, "jjjjjjjjjj")
    expect(number).to_have_text("Feature 13")
    fast(page, "kkkk")
    expect(number).to_have_text("Feature 9")
    settled(page)
    expect(number).to_have_text("Feature 9")
    assert decisions(home) == []


def test_a_key_pressed_again_decides_once_and_on_what_was_seen(
    page: Page, home: Path, serve: Serve
) -> None:
    opened(page, serve(home), "review", 0)
    number = page.locator(".st-key-feature_number")
    fast(page, "1")
    expect(number).to_have_text("Feature 1")
    page.keyboard.press("2")  # at once, while the page is still being drawn
    expect(number).to_have_text("Feature 2")
    page.keyboard.press("2")
    page.keyboard.press("2")
    expect(number).to_have_text("Feature 3")
    settled(page)
    assert decisions(home) == [
        (0, "accepted", "model words 0"),
        (1, "accepted", "search words 1"),
        (2, "accepted", "search words 2"),
    ]
    # Ten fast presses: no feature twice, each with the label that was on the screen.
    fast(page, "2" * 10)
    settled(page)
    made = decisions(home)[3:]
    features = [feature for feature, _, _ in made]
    assert features == list(range(3, 3 + len(made)))
    assert all(kind == "accepted" and text == f"search words {f}" for f, kind, text in made)
    expect(number).to_have_text(f"Feature {3 + len(made)}")


def test_flag_then_move_and_accept_keep_their_feature(page: Page, home: Path, serve: Serve) -> None:
    opened(page, serve(home), "feature", 3)
    fast(page, "f2j")  # flag and accept 3, go on to 4
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 4")
    settled(page)
    fast(page, "jf")  # f was pressed while 4 was still there, or 5 already
    settled(page)
    now = states(home)
    assert (now[3].flagged, now[3].label, now[3].status) == (True, "search words 3", "accepted")
    assert [f for f in (4, 5) if now[f].flagged] in ([4], [5])
    assert len(decisions(home)) == 3


def test_keys_are_dead_while_a_dialog_is_open_or_opens(
    page: Page, home: Path, serve: Serve
) -> None:
    opened(page, serve(home), "review", 0)
    fast(page, "h12fsu")  # the list of keys is on its way, then open
    expect(page.get_by_role("dialog")).to_contain_text("accept the search label")
    fast(page, "12fsun")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 0")
    assert decisions(home) == []
    fast(page, "1")
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 1")
    # And while the form that a click opens is on its way.
    page.goto(page.url.replace("/review", "/feature"))
    settled(page)
    page.get_by_role("button", name="Regenerate").click()
    fast(page, "12fuj")
    expect(page.get_by_role("dialog")).to_contain_text("Generate labels")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    settled(page)
    assert decisions(home) == [(0, "accepted", "model words 0")]


def test_o_puts_every_letter_into_the_box(page: Page, home: Path, serve: Serve) -> None:
    opened(page, serve(home), "review", 3)
    box = page.locator(".st-key-label_edit input")
    page.keyboard.press("o")
    page.keyboard.type("2 fun jump keys", delay=FAST_MS)  # all of them letters of shortcuts
    expect(box).to_have_value("2 fun jump keys")
    page.keyboard.press("Enter")
    page.keyboard.type("1f")  # before the next feature is shown they are no shortcuts
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 4")
    settled(page)
    made = decisions(home)
    assert made[0] == (3, "overridden", "2 fun jump keys")
    assert all(feature == 4 for feature, _, _ in made[1:])
    expect(box).to_have_value("search words 4")


def test_typing_begun_while_the_page_moves_belongs_to_the_feature_it_shows(
    page: Page, home: Path, serve: Serve
) -> None:
    opened(page, serve(home), "feature", 3)
    box = page.locator(".st-key-label_edit input")
    fast(page, "jo")
    page.keyboard.type("fine jokes", delay=FAST_MS)
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 4")
    expect(box).to_have_value("fine jokes")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-feature_title")).to_contain_text("fine jokes")
    settled(page)
    assert decisions(home) == [(4, "overridden", "fine jokes")]


def test_what_waited_for_a_name_is_saved_after_it(page: Page, home: Path, serve: Serve) -> None:
    opened(page, serve(home), "review", 0, author="")
    fast(page, "1")
    page.keyboard.type("2fsu", delay=FAST_MS)  # in between: nothing
    name = page.get_by_role("dialog").get_by_label("Your name")
    expect(name).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("Ana 12f", delay=FAST_MS)
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 1")
    settled(page)
    with LabelHistory.open(home / "labels.db") as store:
        made = [(e.feature, e.kind, e.text, e.author) for e in store.all_events(SAE) if e.author]
    assert made == [(0, "accepted", "model words 0", "Ana 12f")]
    fast(page, "2")
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 2")


def test_without_a_name_nothing_is_saved_and_it_says_so(
    page: Page, home: Path, serve: Serve
) -> None:
    opened(page, serve(home), "feature", 3, author="")
    fast(page, "1")
    expect(page.get_by_role("dialog").get_by_label("Your name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".st-key-outcome")).to_contain_text("No name was given")
    assert decisions(home) == []
