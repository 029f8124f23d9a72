"""Mixed left-to-right and right-to-left lines read as the same text does in a plain paragraph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

from benchmarks.synthetic import write_study
from tests.browser.conftest import Server, settled, sign_in
from tests.core.label_fixtures import toy_pieces

LINES = [
    "قال الوزير ان شركة Apple Inc ستدفع 250 مليون دولار في عام 2024 للحكومة",
    "The minister said مرحبا بالعالم العربي and then left for القاهرة in 2019.",
    'המחיר עלה ל-35.5 אחוז לפי דו"ח של Bank of Israel מיום שני',
    'plain English with one עברית word, (and) "quotes" - 12:30',
]
ORDER = """(host) => {
  // Every visible character's place, in reading order of the screen: by line, then left edge.
  const walker = document.createTreeWalker(host, NodeFilter.SHOW_TEXT)
  const found = []
  let at = 0
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (let i = 0; i < node.length; i += 1, at += 1) {
      const range = document.createRange()
      range.setStart(node, i)
      range.setEnd(node, i + 1)
      const box = range.getBoundingClientRect()
      if (box.width > 0) found.push([box.left + box.width / 2, at])
    }
  }
  return found.sort((a, b) => a[0] - b[0]).map((one) => one[1])
}"""
PLAIN = """() => {
  const host = document.querySelector('[data-testid="stApp"]')
  const line = document.createElement("p")
  line.id = "plain"
  line.dir = "auto"
  line.style.whiteSpace = "pre"
  host.append(line)
}"""


def test_mixed_lines_keep_the_order_of_a_plain_paragraph(
    page: Page, tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    write_study(
        tmp_path / "studies" / "mixed", 8, 8, documents=[toy_pieces(text) for text in LINES]
    )
    server = serve(tmp_path)
    sign_in(page, server.url)
    page.set_viewport_size({"width": 1900, "height": 900})
    page.goto(f"{server.url}/feature?study=mixed&feature=0")
    settled(page)
    rows = page.locator(".st-key-tokens .row .text")
    page.evaluate(PLAIN)
    compared = 0
    for row in rows.all():
        text = row.text_content() or ""
        shown = row.evaluate(ORDER)
        page.locator("#plain").evaluate("(line, text) => { line.textContent = text }", text)
        plain = page.locator("#plain").evaluate(ORDER)
        # Both leave out what has no width (a space at the end of a line).
        both = set(shown) & set(plain)
        assert len(both) >= len(text) * 0.9
        assert [at for at in shown if at in both] == [at for at in plain if at in both], text
        compared += len(both)
    assert compared > 100
