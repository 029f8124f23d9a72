"""The map in a browser: a lasso selects what it goes around, a click opens, a link keeps it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from autointerp_core.explore.feature_map import inside, on_grid
from benchmarks.synthetic import write_map
from tests.browser.conftest import settled, sign_in
from tests.browser.test_keyboard import Serve
from ui.map.places import read_shape


def test_a_lasso_selects_lists_saves_and_is_in_the_address(
    page: Page, home: Path, serve: Serve
) -> None:
    made = write_map(home / "studies" / "small", 30, per_cluster=10)
    server = serve(home)
    sign_in(page, server.url)
    page.goto(f"{server.url}/map?study=small")
    settled(page)
    canvas = page.locator(".st-key-scatter canvas").first
    box = canvas.bounding_box()
    assert box is not None
    x, y, r = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["height"] * 0.33
    page.mouse.move(x + r, y)
    page.mouse.down()
    for turn in range(1, 90):
        page.mouse.move(x + r * math.cos(turn / 14), y + r * math.sin(turn / 14))
    page.mouse.up()
    head = page.locator(".st-key-chosen")
    expect(head).to_contain_text("selected")
    settled(page)
    # What the browser drew around is what the server lists: both by the same corners.
    shape = read_shape(page.url.split("shape=")[1].split("&")[0])
    chosen = made.features[inside(on_grid(made.places), shape)]
    assert 0 < len(chosen) < 30
    assert len(shape) <= 128
    expect(head).to_contain_text(f"{len(chosen)} feature")
    rows = page.locator(".st-key-map_table tbody tr")
    listed = {int(row.get_attribute("data-feature") or -1) for row in rows.all()}
    assert listed == set(chosen.tolist())
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    saved = json.loads(download.value.path().read_text())
    assert saved == {"feature_indices": sorted(chosen.tolist())}
    # The link shows the same again; Escape on the map selects nothing.
    page.goto("about:blank")
    page.goto(f"{server.url}/map?study=small&shape={''.join(f'{n:04x}' for n in shape)}")
    settled(page)
    expect(head).to_contain_text(f"{len(chosen)} feature")
    canvas.focus()
    page.keyboard.press("Escape")
    expect(head).to_have_count(0)
    settled(page)
    assert "shape=" not in page.url
    # A click on a point opens its feature.
    grid = on_grid(made.places).astype(float)
    apart = np.linalg.norm(grid[:, None] - grid[None], axis=-1) + 1e9 * np.eye(30)
    lone = int(apart.min(1).argmax())
    scale = min(box["width"], box["height"]) / (65_535 * 1.06)
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.click(
        box["x"] + box["width"] / 2 + (grid[lone, 0] - 32_767.5) * scale,
        box["y"] + box["height"] / 2 - (grid[lone, 1] - 32_767.5) * scale,
    )
    page.wait_for_url(f"**/feature?*feature={int(made.features[lone])}*")
