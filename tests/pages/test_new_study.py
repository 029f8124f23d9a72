"""The New study form: what an SAE says of itself never breaks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.pages.conftest import Open
from tests.pages.test_pages import texts
from ui.studies import probe

FOUND: dict[str, Any] = {
    "d_in": 32, "d_sae": 64, "architecture": "topk", "k": 8, "hook": "blocks.2.hook_resid_post",
    "layer": 2, "model_name": "tiny", "layout": "saelens",
}  # fmt: skip


@pytest.mark.parametrize(("size", "shown"), [(1, 1024), (128, 128), (None, 1024)])
def test_contexts_that_leave_no_room(
    home: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch, size: int | None, shown: int
) -> None:
    """Case 17 (SAELens 200): an SAE with context_size 1 broke the form."""
    monkeypatch.setattr(probe, "sae", lambda *_: {**FOUND, "context_size": size})
    app = open_page("studies")
    next(box for box in app.selectbox if box.key == "new_sae").set_value("demo").run()
    assert not app.exception
    context = next(box for box in app.number_input if str(box.key).startswith("new_context"))
    assert context.value == shown
    assert ("no room for a token beside BOS" in texts(app)) == (size == 1)


def test_a_list_of_features_of_any_length(
    home: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 34 (aider 3473): over 255 characters was 'File name too long'."""
    monkeypatch.setattr(probe, "sae", lambda *_: {**FOUND, "context_size": 64})
    app = open_page("studies")
    which = next(box for box in app.segmented_control if box.key == "new_which")
    which.set_value("list").run()
    given = ",".join(map(str, range(300))) + ",1000-1009"
    next(box for box in app.text_input if box.key == "new_list").set_value(given).run()
    assert not app.exception
    assert "310 features" in texts(app)
    next(box for box in app.text_input if box.key == "new_list").set_value("9-5").run()
    assert "runs backwards" in texts(app)
