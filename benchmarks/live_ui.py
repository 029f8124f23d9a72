"""``python -m benchmarks.live_ui``: how long Try a text takes on the demo, in the browser.

The first answer comes from a cold start: a fresh server, no process that holds the model. Then
texts of 200 tokens, another each time. Times are from the click to the text's tokens on screen.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from playwright.sync_api import Browser, Page, sync_playwright

from autointerp_core.home import home, studies_dir
from autointerp_core.live.client import LiveClient
from autointerp_core.store.study import Study
from benchmarks.report import Row, publish
from tests.browser.conftest import CHROMIUM, settled, start

REPEATS = 15
TOKENS = 200
COLD_MS, WARM_MS = 10_000, 1_000
FIRST = "On Monday the bank said that it would cut interest rates in March."


def main() -> int:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        rows = measure(browser)
        browser.close()
    return publish("live_ui", rows)


def measure(browser: Browser) -> list[Row]:
    """The first answer, and the median of the next ones."""
    study = Study(studies_dir() / json.loads((home() / "demo.json").read_bytes())["study"])
    texts = _texts(study)
    client = LiveClient(study.folder)
    client.stop()
    server = start(home())
    try:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{server.url}/try_a_text?study={study.id}")
        settled(page)
        cold = _read(page, FIRST)
        times = [_read(page, text) for text in texts]
    finally:
        server.stop()
        client.stop()
    return [
        Row("live_first_answer_ms", cold, COLD_MS),
        Row("live_200_tokens_ms", statistics.median(times), WARM_MS, n_tokens=TOKENS,
            repeats=len(times)),
        Row("live_200_tokens_most_ms", max(times), n_tokens=TOKENS, repeats=len(times)),
    ]  # fmt: skip


def _texts(study: Study) -> list[str]:
    """Beginnings of documents, 200 tokens each."""
    found: list[str] = []
    for sequence in range(study.tokens.n_sequences):
        low, high = (int(x) for x in study.tokens.sequences[sequence : sequence + 2])
        if high - low >= TOKENS and len(found) < REPEATS:
            found.append("".join(study.tokens.pieces(low, low + TOKENS)).strip())
    return found


def _read(page: Page, text: str) -> float:
    """Milliseconds from the click to the text's tokens."""
    settled(page)
    page.locator(".st-key-try_text textarea").fill(text)
    shown = page.locator(".st-key-try_tokens .text")
    wanted = "".join(text[:60].split())
    button = page.locator(".st-key-try_read button")
    begun = time.perf_counter()
    button.click()
    while True:
        now = shown.inner_text() if shown.count() else ""
        if "".join(now.split()).startswith(wanted):
            return (time.perf_counter() - begun) * 1000
        assert time.perf_counter() - begun < 60
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
