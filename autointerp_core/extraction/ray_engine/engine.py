"""``engine="ray"``: shards as tasks of long-lived workers, on one machine or on many.

A worker is a Ray actor with one truncated model and the SAE. Token ids travel with each task and
firings come back: workers share no disk with this process, which writes every shard itself, in
the same study that the native engine would write. A worker that dies costs the shards it had;
they are done by another, and a new worker is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import ParameterError
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.firings import REFERENCE_SEQUENCES
from autointerp_core.extraction.meter import Meter
from autointerp_core.extraction.ray_engine.cluster import (
    Cluster,
    check_versions,
    connected,
    import_ray,
    is_local,
)
from autointerp_core.extraction.ray_engine.crew import Crew
from autointerp_core.extraction.ray_engine.worker import Setup
from autointerp_core.extraction.resolve import ResolvedExtraction
from autointerp_core.extraction.summary import reference_median
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.tokenstore import OUTSIDE, SPECIAL, TokenPart, TokenStore

if TYPE_CHECKING:
    from autointerp_core.extraction.pass_folder import OpenPass
    from autointerp_core.extraction.study_writer import StudyWriter

_CPUS_A_WORKER = 2
_HEALTH_TOKENS = 50_000
"""Tokens that may count, sent for the health check: far more than it looks at."""


class RayEngine:
    """All missing features in one pass, shards spread over a Ray cluster."""

    name = "ray"

    def check(self) -> None:
        """Raise MissingDependency where Ray is not installed."""
        import_ray()

    def study_id(self, resolved: ResolvedExtraction) -> str:
        return resolved.study_id  # the same numbers

    def computes_on(self, config: ExtractionConfig) -> str:
        """As :class:`~autointerp_core.extraction.engines.Elsewhere` has it."""
        if is_local(config.ray_address):  # nothing to be asked that is not known here
            from autointerp_core.sources.model import resolve_device

            return resolve_device(config.device).type
        with connected(config.ray_address) as cluster:
            check_versions(cluster)
            return _device(config, cluster)

    def produce(
        self,
        features: NDArray[np.int32],
        resolved: ResolvedExtraction,
        writer: StudyWriter,
        progress: ProgressCallback,
    ) -> None:
        """As :class:`~autointerp_core.extraction.engines.Engine` has it."""
        writer.tokens()
        wanted = writer.begin_keeping(features)
        if wanted.todo or writer.is_new:
            progress(Progress("preparing", message="connecting to Ray"))
            with connected(resolved.config.ray_address) as cluster:
                wanted = _compute(wanted, features, resolved, writer, progress, cluster)
        writer.finish_kept(wanted, features)


def _device(config: ExtractionConfig, cluster: Cluster) -> str:
    asked = (config.device or "auto").strip().lower()
    if asked.startswith("cuda") and not cluster.gpus:
        raise ParameterError(
            f"device {config.device!r} asks for a GPU, but no machine of the Ray cluster offers "
            "one (ray status lists what there is); use cpu"
        )
    return "cuda" if cluster.gpus and asked != "cpu" else "cpu"


def _workers(config: ExtractionConfig, cluster: Cluster, device: str) -> int:
    most = cluster.gpus if device == "cuda" else cluster.cpus
    if config.workers is None:
        return most if device == "cuda" else max(1, most // _CPUS_A_WORKER)
    if config.workers > most:
        raise ParameterError(
            f"{config.workers} workers (--workers) need as many "
            f"{'GPUs' if device == 'cuda' else 'CPUs'}; the Ray cluster has {most}"
        )
    return config.workers


def _compute(
    wanted: OpenPass,
    asked: NDArray[np.int32],
    resolved: ResolvedExtraction,
    writer: StudyWriter,
    progress: ProgressCallback,
    cluster: Cluster,
) -> OpenPass:
    """As the native engine's: shards to do, and a new study's reference."""
    config, tokens = resolved.config, writer.tokens()
    device = _device(config, cluster)
    workers = _workers(config, cluster, device)
    threads = max(1, cluster.cpus // workers) if device == "cpu" else 1
    setup = Setup(
        resolved.model, resolved.hook, resolved.dtype, device, threads, config.batch_sequences
    )
    todo = wanted.todo
    meter = Meter(progress, tokens, todo)
    reference = [shard for shard in wanted.shards if shard.first < REFERENCE_SEQUENCES]
    waiting = {shard.index for shard in reference} & {shard.index for shard in todo}
    with Crew(cluster, setup, resolved.sae, workers, wanted.features, progress) as crew:

        def measure() -> None:
            """Sent once the reference shards are there; the others go on meanwhile."""
            norms = wanted.norms(reference)
            median = reference_median(tokens, norms) if len(norms) else 0.0
            crew.measure(_first(tokens), config.masks, median, resolved.reading)

        if writer.is_new and not waiting:
            measure()
        for made in crew.extract(todo, tokens, meter):
            firings = made.firings
            if made.features is not wanted.features:  # sent before others were too much to keep
                firings = firings.only(np.searchsorted(made.features, wanted.features))
            wanted.put(made.shard, firings)
            meter.finished(made.shard, crew.rates())
            waiting.discard(made.shard.index)
            if writer.is_new and not waiting and not crew.measuring:
                measure()
            if why := writer.too_much(wanted, asked):
                progress(Progress("extracting", message=why))
                wanted = writer.keep_only(asked, wanted)
                crew.features = wanted.features
        if writer.is_new:
            if not crew.measuring:
                measure()
            median, health = crew.health()
            writer.begin_study(median, health)
    return wanted


def _first(tokens: TokenStore) -> TokenPart:
    """The first sequences, more than enough of them for the health check."""
    may_count = np.asarray(tokens.flags) & (SPECIAL | OUTSIDE) == 0
    last = int(np.searchsorted(np.cumsum(may_count), _HEALTH_TOKENS))
    end = int(np.searchsorted(tokens.sequences, last, "right"))
    return tokens.part(0, min(end, tokens.n_sequences))
