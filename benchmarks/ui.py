"""``python -m benchmarks.ui``: how long a person waits, measured in the browser.

Synthetic studies of 131,072 and 262,144 features × 20 examples, every feature labelled;
a cold server each; and a text of one's own on the demo. Times are from the action to the new
content on the screen.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright

from autointerp_core.store.history import LabelHistory, NewEvent
from benchmarks import live_ui
from benchmarks.report import Row, publish
from benchmarks.synthetic import write_map, write_study
from tests.browser.conftest import CHROMIUM, SAE, Server, settled, sign_in, start

SIZES = (131_072, 262_144)
REPEATS = 20
MAP_REPEATS = 7
WORDS = ("market", "thing 11", "river", "thing 97", "temple", "orbit", "castle 5", "Monday")
SORTS = ("Max", "Density", "Mean", "Label")
LIMITS = {
    "open_features": 2500,
    "filter": 1000,
    "sort": 1000,
    "open_feature": 500,
    "key_next": 200,
    "accept_next": 200,
}
"""Milliseconds. ``key_next``: from the key J to the next feature's examples; ``accept_next``: from
the key that accepts a label in Review to those of the feature that follows."""
MAP_LIMITS = {"open_map": 3000, "lasso_map": 1000}
# Content of our elements sits in shadow roots; this finds it wherever it is.
DEEP = """
(selector) => {
  const walk = (root) => {
    const found = root.querySelector(selector)
    if (found) return found
    for (const element of root.querySelectorAll("*")) {
      const inner = element.shadowRoot && walk(element.shadowRoot)
      if (inner) return inner
    }
    return null
  }
  const found = walk(document)
  return found ? found.innerText : ""
}
"""


# Whether the map's canvas has points on it: looked up in a small copy, not all of its pixels.
PAINTED = """
() => {
  const walk = (root) => {
    const found = root.querySelector(".frame canvas")
    if (found) return found
    for (const element of root.querySelectorAll("*")) {
      const inner = element.shadowRoot && walk(element.shadowRoot)
      if (inner) return inner
    }
    return null
  }
  const canvas = walk(document)
  if (!canvas?.width) return false
  const small = document.createElement("canvas")
  small.width = small.height = 16
  const context = small.getContext("2d")
  context.drawImage(canvas, 0, 0, 16, 16)
  return context.getImageData(0, 0, 16, 16).data.some((value) => value > 0)
}
"""


def main() -> int:
    rows = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                server = _server(Path(folder), size)
                try:
                    page = browser.new_page(viewport={"width": 1280, "height": 900})
                    times = _measure(page, server, size) | _measure_map(page, server)
                    memory = psutil.Process(server.process.pid).memory_info().rss / 2**20
                finally:
                    server.stop()
            for name, values in times.items():
                rows.append(
                    Row(
                        f"{name}_ms_{size}",
                        statistics.median(values),
                        (LIMITS | MAP_LIMITS)[name],
                        repeats=len(values),
                    )
                )
            rows.append(Row(f"server_mb_{size}", memory, 1024))
        rows += live_ui.measure(browser)
        browser.close()
    return publish("ui", rows)


def _server(home: Path, size: int) -> Server:
    write_map(write_study(home / "studies" / "large", size, 20), size)
    with LabelHistory.open(home / "labels.db") as history:
        history.record_many(
            NewEvent(
                SAE, f, "generated", f"label of thing {f % 977}", source="search", method="search"
            )
            for f in range(size)
        )
    return start(home)


def _measure(page: Page, server: Server, size: int) -> dict[str, list[float]]:
    table, number, tokens = ".st-key-table table", ".st-key-feature_number", ".rows .row .text"
    # All examples: of two features the first may be alike.
    examples = ".rows"
    base = f"{server.url}/features?study=large"
    page.goto(base)
    settled(page)
    picks = np.random.default_rng(0).integers(0, size, REPEATS)
    times: dict[str, list[float]] = {name: [] for name in LIMITS}

    def changed(selector: str, act: Callable[[], object]) -> float:
        before = page.evaluate(DEEP, selector)
        begun = time.perf_counter()
        act()
        page.wait_for_function(
            f"(before) => {{ const now = ({DEEP})({selector!r}); return now && now !== before }}",
            arg=before,
            polling="raf",
        )
        return (time.perf_counter() - begun) * 1000

    for _ in range(REPEATS):
        page.goto("about:blank")
        times["open_features"].append(changed("tbody tr", lambda: page.goto(base)))
    for repeat in range(REPEATS):
        settled(page)
        box = page.get_by_label("Search", exact=True)
        box.fill(WORDS[repeat % len(WORDS)])
        times["filter"].append(changed("table tbody", partial(box.press, "Enter")))
    for repeat in range(REPEATS):
        settled(page)
        head = page.locator(f"{table} th button", has_text=SORTS[repeat % len(SORTS)])
        times["sort"].append(changed("table thead", head.click))
    page.goto(f"{server.url}/feature?study=large&feature=1")
    for pick in picks:
        settled(page)
        jump = page.get_by_placeholder("Go to feature …")
        jump.fill(str(pick))
        times["open_feature"].append(changed(tokens, partial(jump.press, "Enter")))
    for _ in range(REPEATS):
        settled(page)
        page.locator(number).click()  # out of the text box: keys are off while typing
        times["key_next"].append(changed(examples, lambda: page.keyboard.press("j")))
    sign_in(page, server.url)
    page.goto(f"{server.url}/review?study=large&of=all")
    for _ in range(REPEATS):
        settled(page)
        page.locator(number).click()
        times["accept_next"].append(changed(examples, lambda: page.keyboard.press("2")))
    settled(page)
    with LabelHistory.open(server.home / "labels.db") as history:
        accepted = sum(event.kind == "accepted" for event in history.all_events(SAE))
    assert accepted == REPEATS, f"{accepted} of {REPEATS} labels were accepted"
    return times


def _measure_map(page: Page, server: Server) -> dict[str, list[float]]:
    """From the address to all points on the screen; from letting go of the mouse to the table."""
    times: dict[str, list[float]] = {name: [] for name in MAP_LIMITS}
    base = f"{server.url}/map?study=large"
    page.goto(base)
    settled(page)
    for _ in range(MAP_REPEATS):
        page.goto("about:blank")
        begun = time.perf_counter()
        page.goto(base)
        page.wait_for_function(PAINTED, polling="raf")
        times["open_map"].append((time.perf_counter() - begun) * 1000)
    settled(page)
    box = page.locator(".st-key-scatter canvas").first.bounding_box()
    assert box is not None
    for repeat in range(MAP_REPEATS):
        # Circles of several sizes around the middle, a third of the points to most of them.
        radius = box["height"] * (0.15 + 0.25 * repeat / MAP_REPEATS)
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        corners = [
            (middle[0] + radius * math.cos(turn / 8), middle[1] + radius * math.sin(turn / 8))
            for turn in range(50)
        ]
        before = page.locator(".st-key-chosen").inner_text() if repeat else ""
        page.mouse.move(*corners[0])
        page.mouse.down()
        for corner in corners[1:]:
            page.mouse.move(*corner)
        begun = time.perf_counter()
        page.mouse.up()
        page.wait_for_function(
            f"(before) => {{ const head = document.querySelector('.st-key-chosen');"
            f" return head && head.innerText !== before && ({DEEP})('tbody tr') }}",
            arg=before,
            polling="raf",
        )
        times["lasso_map"].append((time.perf_counter() - begun) * 1000)
        settled(page)
    return times


if __name__ == "__main__":
    sys.exit(main())
