"""Engines: who computes a study's activations. A registry; each is imported when it is used.

To add one, write a module with a class that has the members of :class:`Engine`, and name it
here. An engine is a producer: it hands shards of firings to a
:class:`~autointerp_core.extraction.study_writer.StudyWriter`, which knows files, records,
resuming and summaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from autointerp_core.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autointerp_core.extraction.config import ExtractionConfig
    from autointerp_core.extraction.resolve import ResolvedExtraction
    from autointerp_core.extraction.study_writer import StudyWriter
    from autointerp_core.progress import ProgressCallback


class Engine(Protocol):
    """What extraction asks of an engine."""

    name: str

    def check(self) -> None:
        """See that it can run here, before anything is read or written.

        Raises:
            MissingDependency: a package is absent.
        """

    def study_id(self, resolved: ResolvedExtraction) -> str:
        """Id of the study its numbers go to: not another engine's."""

    def produce(
        self,
        features: NDArray[np.int32],
        resolved: ResolvedExtraction,
        writer: StudyWriter,
        progress: ProgressCallback,
    ) -> None:
        """Bring ``features`` (sorted, none of them stored yet) into the study.

        For a new study it says what the record starts with (``writer.begin_study``); then it
        opens passes, puts every shard that they lack, and finishes them.

        Raises:
            AutointerpError: it cannot; shards put before stay.
            Cancelled: raised by ``progress``; likewise.
        """


@runtime_checkable
class Elsewhere(Protocol):
    """What an engine has besides, whose model runs on other machines than this one."""

    def computes_on(self, config: ExtractionConfig) -> str:
        """Device that the model runs on, ``cuda`` or ``cpu``.

        Raises:
            ParameterError: there is none of the kind asked for, or nothing can be reached.
        """


ENGINES: Mapping[str, str] = {
    "native": "autointerp_core.extraction.native:NativeEngine",
    "ray": "autointerp_core.extraction.ray_engine.engine:RayEngine",
    "sae-dashboard": "autointerp_core.extraction.sae_dashboard.engine:DashboardEngine",
}
"""Where each engine's class is."""


def load_engine(name: str) -> Engine:
    """The engine of a name.

    Raises:
        ParameterError: there is none of this name.
        MissingDependency: it cannot run here.
    """
    if name not in ENGINES:
        raise ParameterError(f"engine is {name!r}; choose from {', '.join(ENGINES)}")
    module, _, kind = ENGINES[name].partition(":")
    engine: Engine = getattr(import_module(module), kind)()
    engine.check()
    return engine
