"""Where an extraction's time goes: a stopwatch a stage, around the functions that do it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any


class Stages:
    """Seconds by stage. What runs inside a stage counts as that stage alone."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inside = threading.local()

    def watch(self, place: Any, name: str, stage: str) -> None:
        """Time the function ``name`` of a module or class as part of ``stage``."""
        setattr(place, name, self._around(getattr(place, name), stage))

    def _around(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            if getattr(self._inside, "stage", None) is not None:
                return function(*arguments, **named)
            self._inside.stage = stage
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[stage] += time.perf_counter() - start
                self._inside.stage = None

        return timed
