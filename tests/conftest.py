"""What holds for every test: how many threads it may take, and which tests are slow."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A busy machine is no counterexample.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# What a person would be given takes five seconds to load; tests that mean it name it.
os.environ["AUTOINTERP_EMBEDDER"] = "wordllama"

if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker a core: more threads than cores only wait for each other. Before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever runs the demo model is slow: preparing it alone takes 20 s."""
    for item in items:
        if "demo_model" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
