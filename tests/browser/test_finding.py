"""Finding in a real browser: columns stay where they are, the way back leads to the row left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from benchmarks.synthetic import write_study
from tests.browser.conftest import Server, seed_labels, settled, sign_in


def test_the_table_keeps_columns_head_and_place(
    page: Page, tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    write_study(tmp_path / "studies" / "small", 160, 8)
    seed_labels(tmp_path, 160)
    server = serve(tmp_path)
    sign_in(page, server.url)
    page.set_viewport_size({"width": 1280, "height": 800})
    table = page.locator(".st-key-table")

    def columns() -> list[int]:
        heads = table.locator("thead th")
        boxes = [heads.nth(i).bounding_box() for i in range(heads.count())]
        return [round(box["x"]) for box in boxes if box is not None]

    page.goto(f"{server.url}/features?study=small")
    settled(page)
    before = columns()
    page.goto(f"{server.url}/features?study=small&page=2&sort=max&dir=desc")
    settled(page)
    assert columns() == before

    row = table.locator("tbody tr").nth(40)
    feature = row.get_attribute("data-feature")
    row.scroll_into_view_if_needed()
    page.mouse.wheel(0, 400)
    page.wait_for_timeout(300)
    head = table.locator("thead th").nth(2).bounding_box()
    assert head is not None
    assert 40 <= head["y"] <= 70, "the head of the table scrolled away"

    row.locator("td.c-label").click()
    expect(page.locator(".st-key-feature_number")).to_have_text(f"Feature {feature}")
    settled(page)
    page.locator(".st-key-back button").click()
    marked = table.locator("tbody tr.last")
    expect(marked).to_have_attribute("data-feature", str(feature))
    expect(marked).to_be_in_viewport()
    assert "page=2" in page.url
    assert "sort=max" in page.url

    box = page.get_by_label("Search", exact=True)
    box.fill("market")
    box.press("Enter")
    expect(table.locator("thead")).to_contain_text("Where it fires")
    expect(table.locator("mark.hit").first).to_contain_text("market", ignore_case=True)
    assert "in=topic" in page.url
