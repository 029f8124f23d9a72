"""Take the pictures in ``docs/screenshots``: each page, light and dark, of the newest study.

Score some of its labels first, or the pictures show that there are no scores.

``python -m docs.make_screenshots`` in the project's root; needs Debian's chromium and a
built demo study (``make demo``). Look at the pictures before committing them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, ViewportSize, sync_playwright

from autointerp_core.home import home
from tests.browser.conftest import CHROMIUM, settled, start

OUT = Path(__file__).parent / "screenshots"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CLICKS = {
    "judged": (".st-key-group >> text=Judged", ".st-key-proposals_open summary"),
    "generate": (".st-key-generate button",),
}
SIZE = ViewportSize(width=1280, height=860)


def main() -> None:
    """Serve the app on this installation's home folder and photograph it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--feature", type=int, default=None, help="the feature to show")
    feature = parser.parse_args().feature
    OUT.mkdir(exist_ok=True)
    server = start(home())
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
            )
            for scheme in SCHEMES:
                page = browser.new_page(viewport=SIZE, color_scheme=scheme)
                _photograph(page, server.url, scheme, feature)
            browser.close()
    finally:
        server.stop()


def _photograph(page: Page, url: str, scheme: str, feature: int | None) -> None:
    shown = "?has=llm&sort=score&dir=desc" if feature is None else f"?feature={feature}"
    addresses = {
        "features": "features?sort=score&dir=desc",
        "feature": f"feature{shown}",
        "judged": f"feature{shown}",
        "generate": f"feature{shown}",
        "review": "review",
        "studies": "studies",
        "export": "export",
    }
    for name, address in addresses.items():
        page.goto(f"{url}/{address}")
        settled(page)
        if name == "feature":
            page.locator(".st-key-histogram .main-svg").first.wait_for()
        for selector in CLICKS.get(name, ()):
            page.locator(selector).first.click()
            settled(page)
        page.wait_for_timeout(800)
        page.screenshot(path=OUT / f"{name}-{scheme}.png")


if __name__ == "__main__":
    main()
