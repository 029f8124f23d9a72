"""The reference engine: the same study by way of sae-dashboard instead of our own pass.

Forward and encode are sae-dashboard's own, on a ``TransformerBridge``; so is the list of top
activations (``SaeVisData``). What is ours is around them:

* Tokens, masks, summary, logits and files are the native engine's, so the two differ in
  nothing but who computed the activations.
* ``SaeVisData`` rounds activations to four places, keeps no firing outside its windows, and
  has no count over sequences. The exact numbers are therefore taken from the activations
  that it is built from, on their way into it (``runner.Watch``).
* Its top list is by token, ours by sequence, so its length decides nothing: a feature that
  fires often in one text fills it with one sequence. The examples are chosen from all
  firings, and each block's ``SaeVisData`` has to name the same peaks in the same order, as
  far as its list goes; if not, the run fails.
* A block of features is one run of ``SaeVisRunner`` and one pass of the study: memory does not
  grow with the number of features, and a stopped run goes on at the next block.

The study has a folder of its own, so it never mixes with a native one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import AutointerpError, MissingDependency
from autointerp_core.extraction.firings import REFERENCE_SEQUENCES, Shard
from autointerp_core.extraction.health import measure_health
from autointerp_core.extraction.memory import is_out_of_memory, release_device_memory
from autointerp_core.extraction.resolve import ResolvedExtraction
from autointerp_core.extraction.sae_dashboard.check_peaks import check_peaks
from autointerp_core.extraction.sae_dashboard.runner import (
    BridgeModel,
    Found,
    Rectangle,
    Watch,
    load_bridge,
    run_sae_vis,
)
from autointerp_core.extraction.summary import reference_median
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.feature_shards import Pass, ShardFirings
from autointerp_core.store.tokenstore import TokenStore

if TYPE_CHECKING:
    from sae_dashboard.sae_vis_data import SaeVisData

    from autointerp_core.extraction.study_writer import StudyWriter
    from autointerp_core.sources.model import TruncatedModel

ENGINE = "sae-dashboard"
_LISTED = 2
"""Tokens asked of ``SaeVisData`` for each example wanted."""
_MAX_POSITIONS = 1 << 24
"""``torch.quantile``, which sae-dashboard runs over all positions, takes no more."""


class DashboardEngine:
    """A block of ``block_features`` features is a pass, and a run of the model.

    ``block_features`` and ``batch_sequences`` are sae-dashboard's ``minibatch_size_features``
    and ``minibatch_size_tokens``.
    """

    name = ENGINE

    def check(self) -> None:
        """As :class:`~autointerp_core.extraction.engines.Engine` has it."""
        if find_spec("sae_dashboard") is None:
            raise MissingDependency(
                "engine='sae-dashboard' needs sae-dashboard; install it with: "
                "pip install --no-deps -r requirements-nodeps.txt"
            )

    def study_id(self, resolved: ResolvedExtraction) -> str:
        return f"{resolved.study_id}-dashboard"

    def produce(
        self,
        features: NDArray[np.int32],
        resolved: ResolvedExtraction,
        writer: StudyWriter,
        progress: ProgressCallback,
    ) -> None:
        """As :class:`~autointerp_core.extraction.engines.Engine` has it."""
        masks, tokens = resolved.config.masks, writer.tokens()
        with _bridge(resolved, progress) as model:
            if writer.is_new:
                _begin(model, tokens, resolved, writer)
            sinks = writer.record.sinks
            median = sinks.reference_median if sinks is not None else 0.0
            sink_norm = masks.sink_factor * median if masks.sinks and median > 0 else float("inf")
            rectangle = Rectangle.of(tokens, masks)
            if rectangle.tokens.numel() > _MAX_POSITIONS:
                raise AutointerpError(
                    f"{rectangle.tokens.numel()} positions, padding included, are more than "
                    f"sae-dashboard can take ({_MAX_POSITIONS}); lower n_samples or "
                    "context_size, or use engine='native'"
                )
            blocks = _Blocks(resolved, model, tokens, rectangle, sink_norm, progress)
            size = resolved.config.block_features
            for done in range(0, len(features), size):
                block = features[done : done + size]
                found, data = blocks.run(block, done, len(features))
                _store(block, found, data, rectangle, resolved, writer)
        progress(Progress(ENGINE, len(features), len(features), "features"))


@contextmanager
def _bridge(resolved: ResolvedExtraction, progress: ProgressCallback) -> Iterator[BridgeModel]:
    import torch

    progress(Progress("preparing", message=f"loading {resolved.model.name}"))
    model = BridgeModel(
        load_bridge(resolved.model, resolved.tokenizer, resolved.dtype, resolved.device)
    )
    try:
        yield model
    finally:
        del model
        if resolved.device.type == "cuda":
            torch.cuda.empty_cache()


def _begin(
    model: BridgeModel, tokens: TokenStore, resolved: ResolvedExtraction, writer: StudyWriter
) -> None:
    """Sink threshold and health, by the bridge: what a new study's record starts with."""
    config, hook = resolved.config, resolved.hook
    head = Rectangle.of(tokens, config.masks, REFERENCE_SEQUENCES)
    norms = []
    for low in range(0, len(head.tokens), config.batch_sequences):
        rows = slice(low, low + config.batch_sequences)
        x = model.run(head.tokens[rows], [hook])[hook]
        norms.append(x.norm(dim=-1)[head.real[rows].to(x.device)].cpu().numpy())
    median = reference_median(tokens, np.concatenate(norms)) if norms else 0.0
    health = measure_health(
        # It asks of the model only ``run``, ``has`` and ``device``, which BridgeModel has.
        cast("TruncatedModel", model),
        resolved.sae,
        hook,
        hook.neighbours(resolved.model.n_layers),
        tokens,
        config.masks,
        median,
        resolved.reading,
    )
    writer.begin_study(median, health, engine=ENGINE, packages=(ENGINE, "transformer-lens"))


class _Blocks:
    """Runs of ``SaeVisRunner`` over one block of features after another."""

    def __init__(
        self,
        resolved: ResolvedExtraction,
        model: BridgeModel,
        tokens: TokenStore,
        rectangle: Rectangle,
        sink_norm: float,
        progress: ProgressCallback,
    ):
        self.resolved, self.model, self.n_tokens = resolved, model, tokens.n_tokens
        self.rectangle, self.sink_norm, self.progress = rectangle, sink_norm, progress
        self.batch_sequences = resolved.config.batch_sequences

    def run(self, block: NDArray[np.int32], done: int, total: int) -> tuple[Found, SaeVisData]:
        """One block; with half the batch, for good, when the device runs out of memory."""
        n_rows = len(self.rectangle.tokens)

        def report(rows: int) -> None:
            message = f"{rows} of {n_rows} sequences"
            self.progress(Progress(ENGINE, done, total, "features", message=message))

        while True:
            watch = Watch(self.rectangle, self.n_tokens, block, self.sink_norm, report)
            try:
                data = run_sae_vis(
                    self.model.bridge,
                    self.resolved.sae.sae,
                    self.rectangle.tokens,
                    self.resolved.hook.name,
                    block.tolist(),
                    minibatch_size_features=len(block),
                    minibatch_size_tokens=self.batch_sequences,
                    top_tokens=_LISTED * self.resolved.config.n_examples,
                    watch=watch,
                )
                return watch.found(), data
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.batch_sequences == 1:
                    raise AutointerpError(
                        f"out of memory on {self.resolved.device} with a single sequence of "
                        f"{self.rectangle.tokens.shape[1]} tokens; lower context_size or "
                        "minibatch_size_features, or give another device"
                    ) from error
            release_device_memory()
            self.batch_sequences //= 2


def _store(
    block: NDArray[np.int32],
    found: Found,
    data: SaeVisData,
    rectangle: Rectangle,
    resolved: ResolvedExtraction,
    writer: StudyWriter,
) -> None:
    """Make a pass of the block, checked against what ``SaeVisData`` says."""
    if not np.isfinite(found.norm).all():
        raise AutointerpError(
            f"activations at {resolved.hook.name} are not finite; try dtype='float32'"
        )
    whole = Shard(0, 0, writer.tokens().n_sequences)
    made = writer.begin_pass(block, [whole])
    made.put(
        whole,
        ShardFirings(
            found.indptr, found.token.astype(np.uint32), found.activation, found.norm, first_token=0
        ),
    )

    def check(tokens: TokenStore, summarised: Pass) -> None:
        check_peaks(tokens, rectangle, summarised, found, data)

    writer.finish_pass(made, check)
