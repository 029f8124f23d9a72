"""Text out of documents, tokens, labels, notes and names is shown as text, whatever it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Dialog, Page, expect

from autointerp_core.store.history import LabelHistory, NewEvent
from benchmarks.synthetic import write_study
from tests.browser.conftest import SAE, Server, seed_score, settled, sign_in

HOSTILE = [
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    " [a link](https://evil.example/x)",
    " :red[red] :material/home: :smile:",
    " $\\LaTeX$ `code` **bold**",
    " ![i](https://evil.example/i.png)",
    "\x1b[31mred\x00nul",
    "\u202eright-to-left\u202c",
    " שלום",
    " مرحبا",
    " 👩‍👩‍👧",
    " 漢字",
    "w" * 100_000,
    "\n",
    "\t",
    "  ",
]
LABEL = "<img src=x onerror=window.hacked=1> [l](https://evil.example/l) :red[x]"


def test_hostile_text_is_shown_as_text(
    page: Page, tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    name = "a [b](c) :red[d]"
    documents = [[*HOSTILE[i:], *HOSTILE[:i]] for i in range(len(HOSTILE))]
    write_study(
        tmp_path / "studies" / name,
        8,
        8,
        documents=documents,
        warnings=[("x", "<script>window.hacked=1</script> [w](https://evil.example/w)")],
    )
    with LabelHistory.open(tmp_path / "labels.db") as history:
        history.record_many(
            NewEvent(SAE, f, "generated", LABEL, source="llm:<b>x", method="plain")
            for f in range(8)
        )
        # A second text: the list of proposals is there only where it has more than one.
        history.record(SAE, 1, "generated", f"2 {LABEL}", source="search", method="x")
        history.note(SAE, 1, LABEL + "\x00\ud800", author="<i>Eve</i> :red[x]")
        history.override(SAE, 2, LABEL, author="<i>Eve</i> :red[x]", reason=LABEL)
    seed_score(tmp_path, 1, LABEL, name)
    server = serve(tmp_path)
    asked: list[str] = []
    dialogs: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def refuse(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.on("pageerror", lambda error: errors.append(str(error)))
    sign_in(page, server.url, "Eve")

    page.goto(f"{server.url}/features")
    settled(page)
    expect(page.locator(".st-key-table td.c-label").first).to_have_text(LABEL)
    page.get_by_label("Search", exact=True).fill(HOSTILE[1])
    page.get_by_label("Search", exact=True).press("Enter")
    settled(page)

    for feature in (1, 2):
        page.goto(f"{server.url}/feature?feature={feature}")
        settled(page)
        expect(page.locator(".st-key-current_label")).to_have_text(LABEL)
        rows = page.locator(".st-key-tokens .row")
        expect(rows.first).to_be_visible()
        shown = rows.first.locator(".text").text_content() or ""
        corpus = "".join(HOSTILE) * 2
        assert shown in corpus, shown[:300]
        page.locator(".st-key-history summary").click()
        expect(page.locator(".st-key-history_list")).to_contain_text(LABEL)
        page.locator(".st-key-tokens button.open").first.click()
        expect(page.locator(".st-key-document .row").first).to_be_visible()
        page.keyboard.press("Escape")
    page.goto(f"{server.url}/feature?feature=1")
    settled(page)
    expect(page.locator(".st-key-scores_llm")).to_contain_text(LABEL)
    page.locator(".st-key-proposals_open summary").click()
    expect(page.locator(".st-key-proposals_list")).to_contain_text(LABEL)
    page.locator(".st-key-group").get_by_text("Judged").click()
    settled(page)
    page.locator(".st-key-example_controls").get_by_text("img src x onerror").last.click()
    expect(page.locator(".st-key-tokens .why").first).to_have_text(LABEL)
    page.locator(".st-key-generate button >> visible=true").click()
    expect(page.get_by_role("dialog")).to_contain_text("Generate labels of feature 1")
    page.keyboard.press("Escape")
    settled(page)
    page.locator(".st-key-health button").click()
    expect(page.get_by_text("[w](https://evil.example/w)")).to_be_visible()

    assert page.evaluate("window.hacked") is None
    assert not dialogs
    assert not errors
    elsewhere = [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    assert not elsewhere
    assert page.locator("a[href*=evil], img[src*=evil]").count() == 0
    # One endless word must not make the page wider than the window.
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
