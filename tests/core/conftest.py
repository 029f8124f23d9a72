"""Every core test has a home folder of its own; the demo model is prepared once a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty AUTOINTERP_HOME, so that no test sees another's, or a person's, studies."""
    home = tmp_path / "home"
    monkeypatch.setenv("AUTOINTERP_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    unset = ("AUTOINTERP_DB", "AUTOINTERP_LABELS_BACKUP", "OPENAI_API_KEY", "OPENAI_BASE_URL")
    for name in unset:
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the prepared demo model (20 s, once)."""
    from autointerp_core.sources.demo import prepare_demo_model

    return prepare_demo_model(tmp_path_factory.mktemp("demo-home"))


@pytest.fixture(autouse=True, scope="session")
def _no_tokenizer_threads() -> Iterator[None]:
    """Tests fork; a tokenizer's thread pool must not be forked with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKENIZERS_PARALLELISM", "false")
        yield
