"""The semantic regex of a search label on the feature page."""

from __future__ import annotations

from pathlib import Path

from autointerp_core.store.history import LabelHistory
from tests.pages.conftest import SAE, Open
from ui.glossary import about

FORM = "@{:context river:}([:lexeme bank:])"


def test_it_stands_below_the_search_label(study: Path, open_page: Open) -> None:
    with LabelHistory.open() as history:
        details = {"form": FORM}
        history.record(SAE, 7, "generated", "bank near river", source="search", details=details)
    app = open_page("feature", study="small", feature="7")
    assert not app.exception
    (shown,) = [text for text in app.text if text.value == FORM]
    assert shown.help == about("Semantic regex")
    other = open_page("feature", study="small", feature="8")
    assert not other.exception
    assert not [text for text in other.text if "[:" in text.value]
