"""The exported page works from the disk, without a server, and shows hostile text as text."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from autointerp_core.export.html_page import write_html_page
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from benchmarks.synthetic import write_study
from tests.browser.conftest import SAE
from tests.browser.test_hostile import HOSTILE, LABEL


def test_the_page_opens_from_the_disk(page: Page, home: Path, tmp_path: Path) -> None:
    study = Study(home / "studies" / "small")
    path = tmp_path / "page.html"
    with LabelHistory.open(home / "labels.db") as history:
        history.override(SAE, 4, "what I saw", author="Ada")
        write_html_page(path, study, history, range(30), {4: 0.25})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(path.as_uri())
    page.get_by_label("Find a feature").fill("saw")
    page.locator("nav li button").click()
    expect(page.locator("h2")).to_contain_text("what I saw")
    expect(page.locator("article")).to_contain_text("overridden")
    expect(page.locator("article")).to_contain_text("input score 0.25")
    best = study.examples(4)[0]
    shown = page.locator(".row .text").first
    assert shown.evaluate("e => [...e.children].map((s) => s.textContent).join('')") == best.text
    assert shown.locator(".peak").text_content() == best.tokens[best.peak_index]
    page.get_by_label("Find a feature").fill("")
    page.locator("nav li button").nth(4).click()
    page.keyboard.press("j")
    expect(page.locator("h2")).to_contain_text("5 ")
    assert errors == []


def test_hostile_text_stays_text(page: Page, tmp_path: Path) -> None:
    documents = [[*HOSTILE[i:], "</script><b>x</b>", *HOSTILE[:i]] for i in range(len(HOSTILE))]
    write_study(tmp_path / "studies" / "h", 8, 8, documents=documents)
    path = tmp_path / "page.html"
    with LabelHistory.open(tmp_path / "labels.db") as history:
        history.override(SAE, 2, LABEL, author="<i>Eve</i>")
        history.note(SAE, 2, "</script><script>window.hacked=1</script>", author="Eve")
        write_html_page(path, Study(tmp_path / "studies" / "h"), history, range(8))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{path.as_uri()}#2")
    expect(page.locator("h2")).to_contain_text(LABEL.split()[0])
    for feature in range(8):
        page.locator("nav li button").nth(feature).click()
    assert page.evaluate("window.hacked") is None
    assert page.locator("article img, article a, article b, article script").count() == 0
    assert [url for url in asked if not url.startswith("file:")] == []
