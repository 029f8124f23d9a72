"""How much of the window is left for examples, and that what is pressed stays where it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.conftest import Server, settled, sign_in

MOST_FRAME = 200
PAGES = ("feature?study=small&feature=3", "review?study=small&of=all&feature=3")


def top(page: Page, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    assert box is not None, selector
    return box["y"]


def test_the_frame_leaves_the_navigation_free(
    page: Page, home: Path, serve: Callable[[Path], Server]
) -> None:
    server = serve(home)
    for width in (1100, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"{server.url}/features?study=small")
        settled(page)
        links = page.locator('[data-testid="stTopNavLink"], [data-testid="stTopNavSection"]')
        ends = [box["x"] + box["width"] for one in links.all() if (box := one.bounding_box())]
        frame = page.locator(".st-key-frame").bounding_box()
        glossary = page.locator(".st-key-glossary").bounding_box()
        assert frame is not None
        assert glossary is not None
        assert max(ends) <= frame["x"], width
        assert glossary["x"] + glossary["width"] < width
    for name in ("Studies", "Export", "Review"):
        page.get_by_role("link", name=name, exact=True).click(timeout=3000)
        page.wait_for_url(f"**/{name.lower()}**")


def test_examples_begin_high_and_buttons_stay_in_place(
    page: Page, home: Path, serve: Callable[[Path], Server]
) -> None:
    server = serve(home)
    sign_in(page, server.url)
    for address in PAGES:
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(f"{server.url}/{address}")
        settled(page)
        assert top(page, ".st-key-tokens .row") <= MOST_FRAME, address
        baselines = {
            round(box["y"] + box["height"] / 2)
            for key in ("group", "window", "layout", "by_peak")
            if (box := page.locator(f".st-key-{key}").bounding_box()) is not None
        }
        assert max(baselines) - min(baselines) <= 3, (address, baselines)
        buttons = [f".st-key-{key} button" for key in ("flag", "undo", "accept_search", "next")]
        before = [top(page, button) for button in buttons]
        page.goto(f"{server.url}/{address.replace('feature=3', 'feature=4')}")  # no LLM label
        settled(page)
        assert [top(page, button) for button in buttons] == before, address

        # At a desktop's width numbers stand beside the decisions, in the first screen.
        page.set_viewport_size({"width": 1920, "height": 1000})
        settled(page)
        edges = [
            page.locator(f".st-key-{key}").bounding_box()
            for key in ("tokens", "side_label", "side_numbers")
        ]
        lefts = [box["x"] for box in edges if box is not None]
        assert len(lefts) == 3
        assert lefts == sorted(lefts)
        assert lefts[2] - lefts[1] > 300, (address, lefts)
        assert top(page, ".st-key-stats") < 300, address
        assert page.locator(".st-key-tokens .row .open").first.is_visible(), address
