"""Take the pictures in ``docs/screenshots``: each page, light and dark, 1280 and 1920 pixels wide.

Of the newest study. Score some of its labels first, or the pictures show that there are no scores.
``python -m docs.make_screenshots`` in the project's root; needs Debian's chromium and a
built demo study (``make demo``). Look at the pictures before committing them.

Pictures are WebP, about half of a PNG's size; those of an earlier state are in the repository's
history.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from autointerp_core.home import home
from tests.browser.conftest import CHROMIUM, settled, start

OUT = Path(__file__).parent / "screenshots"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CLICKS = {
    "judged": (".st-key-group >> text=Judged",),
    "generate": (".st-key-generate button",),
    "glossary": (".st-key-glossary button",),
    "new-study": (".st-key-new_open summary",),
}
SIZES = (ViewportSize(width=1280, height=860), ViewportSize(width=1920, height=1000))
QUALITY = 82


def main() -> None:
    """Serve the app on this installation's home folder and photograph it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--feature", type=int, default=None, help="the feature to show")
    parser.add_argument("--only", default="", help="names of pictures, with commas; all if empty")
    asked = parser.parse_args()
    only = {name for name in asked.only.split(",") if name}
    OUT.mkdir(exist_ok=True)
    server = start(home())
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
            )
            for size in SIZES:
                for scheme in SCHEMES:
                    page = browser.new_page(viewport=size, color_scheme=scheme)
                    _photograph(page, server.url, f"{size['width']}-{scheme}", asked.feature, only)
                    page.close()
            browser.close()
    finally:
        server.stop()


def _photograph(page: Page, url: str, kind: str, feature: int | None, only: set[str]) -> None:
    shown = "?has=llm&sort=score&dir=desc" if feature is None else f"?feature={feature}"
    addresses = {
        "features": "features?sort=score&dir=desc",
        "plot": "features?plot=1",
        "search": "features?q=music&in=topic&sort=match",
        "feature": f"feature{shown}",
        "judged": f"feature{shown}",
        "generate": f"feature{shown}",
        "review": "review",
        "studies": "studies",
        "new-study": "studies",
        "export": "export",
        "glossary": "features",
        "map": "map",
        "compare": "compare",
        "report": "report",
        "try-a-text": "try_a_text",
        "steer": "steer",
    }
    for name, address in addresses.items():
        if only and name not in only:
            continue
        page.goto(f"{url}/{address}")
        settled(page)
        if name == "feature":
            page.locator(".st-key-histogram .main-svg").first.wait_for()
        for selector in CLICKS.get(name, ()):
            page.locator(selector).first.click()
            settled(page)
        page.wait_for_timeout(900)
        picture = Image.open(io.BytesIO(page.screenshot()))
        picture.save(OUT / f"{name}-{kind}.webp", "WEBP", quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
