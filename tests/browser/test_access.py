"""Everybody can use it: axe-core finds nothing serious, the keyboard reaches everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, seed_score, settled, sign_in

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
PAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("features", ()),
    (
        "feature",
        (
            ".st-key-history summary",
            ".st-key-related_open summary",
            ".st-key-proposals_open summary",
            ".st-key-scores_search summary >> nth=0",
            ".st-key-group >> text=Judged",
        ),
    ),
    ("feature", (".st-key-generate button >> visible=true", "text=OpenAI or compatible server")),
    ("review", ()),
    ("studies", (".st-key-new_open summary",)),
    ("export", ()),
)
# Rule and selector of what Streamlit's and plotly's own widgets do wrong. Keep it empty if
# that can be; it must never grow.
ALLOWED: frozenset[tuple[str, str]] = frozenset()
MOST_ALLOWED = 0
# Streamlit looks for itself below a page's address first; the browser reports the misses.
STREAMLITS_OWN = ("_stcore/health", "_stcore/host-config")


def test_the_allow_list_does_not_grow() -> None:
    assert len(ALLOWED) <= MOST_ALLOWED


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    browser: Any, home: Path, serve: Callable[[Path], Server], scheme: str
) -> None:
    seed_score(home, 3)
    server = serve(home)
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    errors: list[str] = []
    page.on(
        "console",
        lambda message: (
            errors.append(f"{message.text} {message.location}") if message.type == "error" else None
        ),
    )
    found = []
    for name, opened in PAGES:
        page.goto(f"{server.url}/{name}?study=small&feature=3")
        settled(page)
        for selector in opened:
            page.locator(selector).click()
            settled(page)
        page.evaluate(AXE.read_text())
        result = page.evaluate("axe.run()")
        found += [
            (scheme, name, violation["id"], node["target"], node["html"][:200])
            for violation in result["violations"]
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
            if (violation["id"], str(node["target"][-1])) not in ALLOWED
        ]
    page.close()
    assert not found
    assert not [e for e in errors if not any(known in e for known in STREAMLITS_OWN)]


def test_tokens_can_be_read_by_keyboard(
    page: Page, home: Path, serve: Callable[[Path], Server]
) -> None:
    server = serve(home)
    sign_in(page, server.url)
    page.goto(f"{server.url}/feature?study=small&feature=4")
    settled(page)
    row = page.locator(".st-key-tokens .row").first
    peak = row.locator(".peak")
    peak.focus()
    tip = page.locator(".st-key-tokens .tip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("position")
    page.keyboard.press("ArrowRight")
    expect(peak).not_to_be_focused()
    expect(tip).to_be_visible()
    # Walking the tokens is not walking the features.
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 4")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-document .row").first).to_be_visible()


def test_table_can_be_used_by_keyboard(
    page: Page, home: Path, serve: Callable[[Path], Server]
) -> None:
    server = serve(home)
    page.goto(f"{server.url}/features?study=small")
    settled(page)
    page.locator(".st-key-table tbody a").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("x")
    expect(page.locator(".st-key-bulk_bar")).to_contain_text("1 selected")
    page.locator(".st-key-table tbody a").nth(2).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-feature_number")).to_have_text("Feature 2")


def test_two_people_on_one_feature(
    browser: Any, home: Path, serve: Callable[[Path], Server]
) -> None:
    server = serve(home)
    first, second = browser.new_context().new_page(), browser.new_context().new_page()
    for page, name in ((first, "Ana"), (second, "Ben")):
        sign_in(page, server.url, name)
        page.goto(f"{server.url}/feature?study=small&feature=3")
        settled(page)
    first.locator(".st-key-accept_llm button").click()
    expect(first.locator(".st-key-feature_title")).to_contain_text("accepted")
    second.locator(".st-key-accept_search button").click()
    expect(second.locator(".st-key-label_panel")).to_contain_text("Changed by somebody else")
    expect(second.locator(".st-key-label_panel")).to_contain_text("Ana")
    second.locator(".st-key-history summary").click()
    expect(second.locator(".st-key-history_list")).to_contain_text("accepted: model words 3")
    expect(second.locator(".st-key-history_list")).to_contain_text("accepted: search words 3")
    first.close()
    second.close()
