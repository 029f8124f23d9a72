"""Try a text and Steer with a real model: cold, from two tabs at once, after it was killed."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from autointerp_core.extraction.run import extract
from autointerp_core.live import wire
from tests.browser.conftest import Server, settled, sign_in
from tests.core.extraction_fixtures import make_tiny
from tests.core.tiny import TEXTS

COLD_MS = 90_000


def test_texts_are_read_from_two_tabs_and_a_killed_model_comes_back(
    page: Page,
    browser: Browser,
    tmp_path: Path,
    serve: Callable[[Path], Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path))
    config = make_tiny(tmp_path / "sources", n_documents=20).request(logits=False)
    study = extract(config, tmp_path / "studies").study
    place = wire.place_file(study.folder)
    server = serve(tmp_path)
    address = f"{server.url}/try_a_text?study={study.id}"

    # Cold, and at once from a second tab with another text.
    page.goto(f"{address}&text=The+bank+%F0%9F%99%82")
    other = browser.new_page()
    other.goto(f"{address}&text=Frogs+and+newts")
    tokens, theirs = (each.locator(".st-key-try_tokens .text") for each in (page, other))
    expect(tokens).to_have_text(re.compile("The bank"), timeout=COLD_MS)
    expect(theirs).to_have_text(re.compile("Frogs and newts"), timeout=COLD_MS)
    first = wire.read_place(place)
    assert first is not None
    other.close()
    # The app's own process reads no model.
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "libtorch" not in maps

    # A token tells its features; one is pinned; the address says so.
    settled(page)
    tokens.locator(".t").nth(1).click()
    detail = page.locator(".st-key-try_tokens .detail")
    expect(detail.locator(".feature").first).to_be_visible()
    number = detail.locator(".number").first.inner_text()
    detail.locator("button.pin").first.click()
    expect(page.locator(".st-key-try_tokens .legend")).to_contain_text(number)
    settled(page)
    assert f"pins={number}" in page.url

    os.kill(first.pid, signal.SIGKILL)
    page.locator(".st-key-try_text textarea").fill(TEXTS[0])
    page.locator(".st-key-try_read button").click()
    expect(page.locator(".st-key-live_notices")).to_contain_text("started again", timeout=COLD_MS)
    expect(tokens).to_have_text(re.compile("quarterly net loss"))
    second = wire.read_place(place)
    assert second is not None
    assert second.pid != first.pid

    page.goto(f"{server.url}/steer?study={study.id}&turn={number}:add:2&prompt=The+bank&tokens=8")
    settled(page)
    page.locator(".st-key-steer_go button").click()
    expect(page.locator(".st-key-steer_steered .text")).to_have_text(
        re.compile("The bank"), timeout=COLD_MS
    )
    expect(page.locator(".st-key-steer_changes")).to_contain_text("→")

    # From the table to the feature's own page.
    page.goto(f"{address}&text=The+bank")
    sign_in(page, server.url)
    link = page.locator(".st-key-try_features td a").first
    expect(link).to_be_visible(timeout=COLD_MS)
    settled(page)
    feature = link.inner_text()
    link.click()
    expect(page.locator(".st-key-feature_number")).to_have_text(f"Feature {feature}")
