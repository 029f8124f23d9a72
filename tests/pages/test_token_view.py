"""What the token view is handed for texts whose characters are several tokens."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from autointerp_core.store.study import Study
from tests.core.test_token_kinds import stored
from tests.core.test_whole_characters import TEXTS, examples
from ui import readers


@pytest.mark.parametrize("kind", ["byte-level", "SentencePiece"])
def test_the_frame_is_on_the_character(tmp_path: Path, kind: str) -> None:
    """Case 18 (SAEDashboard 34): half of the top examples were shown without a mark."""
    found = examples(tmp_path / "one", kind, True)
    store = stored(tmp_path / "two", kind, TEXTS, 12, bos=True)
    study = cast(Study, SimpleNamespace(tokens=store))
    apart = 0
    for example in found:
        line: Any = readers.line(study, example)
        assert line.tokens[line.shown] != ""
        assert line.tokens[line.shown] in example.peak_text
        assert line.values[line.peak] == line.activation
        assert "".join(line.tokens) == example.opening + example.text
        apart += line.shown != line.peak
    assert apart > 20
