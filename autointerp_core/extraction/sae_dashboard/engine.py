"""The reference engine: the same study by way of sae-dashboard instead of our own pass.

Forward and encode are sae-dashboard's own, on a ``TransformerBridge``; so is the list of top
activations (``SaeVisData``). What is ours is around them:

* Tokens, masks, summary, logits and files are the native engine's, so the two differ in
  nothing but who computed the activations.
* ``SaeVisData`` rounds activations to four places, keeps no firing outside its windows, and
  has no count over sequences. The exact numbers are therefore taken from the activations
  that it is built from, on their way into it (``dashboard_vis.Watch``).
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
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from autointerp_core.errors import AutointerpError, MissingDependency
from autointerp_core.extraction.firings import REFERENCE_SEQUENCES, Shard
from autointerp_core.extraction.health import measure_health
from autointerp_core.extraction.request import ExtractionRequest
from autointerp_core.extraction.run import (
    Extraction,
    _locked,
    _npy,
    _pass_name,
    _record,
    _resolve,
    _version,
    _Writer,
)
from autointerp_core.extraction.sae_dashboard.check_peaks import check_peaks
from autointerp_core.extraction.sae_dashboard.runner import (
    BridgeModel,
    Found,
    Rectangle,
    Watch,
    load_bridge,
    run_sae_vis,
)
from autointerp_core.extraction.summary import reference_median, write_counted
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.files import write_bytes, writing
from autointerp_core.store.study import Pass, Study, TokenStore

if TYPE_CHECKING:
    from sae_dashboard.sae_vis_data import SaeVisData

    from autointerp_core.sources.model import TruncatedModel

ENGINE = "sae-dashboard"
_LISTED = 2
"""Tokens asked of ``SaeVisData`` for each example wanted."""
_MAX_POSITIONS = 1 << 24
"""``torch.quantile``, which sae-dashboard runs over all positions, takes no more."""


def extract_with_dashboard(
    request: ExtractionRequest, studies: Path, progress: ProgressCallback = silent
) -> Extraction:
    """Extract what is missing of ``request``, by sae-dashboard, into its own study.

    ``block_features`` and ``batch_sequences`` are its ``minibatch_size_features`` and
    ``minibatch_size_tokens``. The model is run anew for every block of features.

    Raises:
        BadInput: as the message says; nothing was written.
        MissingDependency: sae-dashboard is not installed.
        DiskFull: finished blocks stay.
        Cancelled: raised by ``progress``; finished blocks stay.
    """
    if find_spec("sae_dashboard") is None:
        raise MissingDependency(
            "engine='sae-dashboard' needs sae-dashboard; install it with: "
            "pip install --no-deps -r requirements-nodeps.txt"
        )
    plan = _resolve(request, progress)
    folder = studies / f"{plan.folder_name}-dashboard"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(studies / f".{folder.name}.lock", progress):
        computed = _DashboardWriter(folder, plan, progress).run()
    return Extraction(Study(folder), computed)


class _DashboardWriter(_Writer):
    """As the native writer, but a pass is one block of features run through sae-dashboard."""

    def _pass(self, features: NDArray[np.int32]) -> None:
        plan, masks = self.plan, self.plan.request.masks
        tokens = self._tokens()
        with self._bridge() as model:
            if not self.record:
                self._begin(model, tokens)
            median = self.record["sinks"]["reference_median"]
            sink_norm = masks.sink_factor * median if masks.sinks and median > 0 else float("inf")
            rectangle = Rectangle.of(tokens, masks)
            if rectangle.tokens.numel() > _MAX_POSITIONS:
                raise AutointerpError(
                    f"{rectangle.tokens.numel()} positions, padding included, are more than "
                    f"sae-dashboard can take ({_MAX_POSITIONS}); lower n_samples or "
                    "context_size, or use engine='native'"
                )
            size = plan.request.block_features
            for done in range(0, len(features), size):
                block = features[done : done + size]
                found, data = self._run(
                    model, tokens, rectangle, block, sink_norm, done, len(features)
                )
                self._store(tokens, rectangle, block, found, data)
        self.progress(Progress(ENGINE, len(features), len(features), "features"))

    @contextmanager
    def _bridge(self) -> Iterator[BridgeModel]:
        import torch

        plan = self.plan
        self.progress(Progress("preparing", message=f"loading {plan.model.name}"))
        model = BridgeModel(load_bridge(plan.model, plan.tokenizer, plan.dtype, plan.device))
        try:
            yield model
        finally:
            del model
            if plan.device.type == "cuda":
                torch.cuda.empty_cache()

    def _begin(self, model: BridgeModel, tokens: TokenStore) -> None:
        """Sink threshold and health, by the bridge: what a new study's record starts with."""
        plan, masks = self.plan, self.plan.request.masks
        head = Rectangle.of(tokens, masks, REFERENCE_SEQUENCES)
        norms = []
        for low in range(0, len(head.tokens), plan.request.batch_sequences):
            rows = slice(low, low + plan.request.batch_sequences)
            x = model.run(head.tokens[rows], [plan.hook])[plan.hook]
            norms.append(x.norm(dim=-1)[head.real[rows].to(x.device)].cpu().numpy())
        median = reference_median(tokens, np.concatenate(norms)) if norms else 0.0
        health = measure_health(
            # It asks of the model only ``run`` and ``device``, which BridgeModel has.
            cast("TruncatedModel", model),
            plan.sae,
            plan.hook,
            plan.hook.neighbours(plan.model.n_layers),
            tokens,
            masks,
            median,
        )
        for warning in health.warnings:
            self.progress(Progress("health", message=f"warning: {warning['message']}"))
        record = _record(plan, tokens, median, health.to_json())
        record["id"] = self.folder.name
        record["identity"] |= {"engine": ENGINE}
        record["versions"] |= {name: _version(name) for name in (ENGINE, "transformer-lens")}
        self.record = record

    def _run(
        self,
        model: BridgeModel,
        tokens: TokenStore,
        rectangle: Rectangle,
        block: NDArray[np.int32],
        sink_norm: float,
        done: int,
        total: int,
    ) -> tuple[Found, SaeVisData]:
        """One block; with half the batch, for good, when the device runs out of memory."""
        import torch

        request, n_rows = self.plan.request, len(rectangle.tokens)

        def report(rows: int) -> None:
            message = f"{rows} of {n_rows} sequences"
            self.progress(Progress(ENGINE, done, total, "features", message=message))

        while True:
            watch = Watch(rectangle, tokens.n_tokens, block, sink_norm, report)
            try:
                data = run_sae_vis(
                    model.bridge,
                    self.plan.sae.sae,
                    rectangle.tokens,
                    self.plan.hook.name,
                    block.tolist(),
                    minibatch_size_features=len(block),
                    minibatch_size_tokens=request.batch_sequences,
                    top_tokens=_LISTED * request.n_examples,
                    watch=watch,
                )
                return watch.found(), data
            except torch.cuda.OutOfMemoryError as error:
                if request.batch_sequences == 1:
                    raise AutointerpError(
                        f"out of memory on {self.plan.device} with a single sequence of "
                        f"{rectangle.tokens.shape[1]} tokens; lower context_size or "
                        "minibatch_size_features, or give another device"
                    ) from error
            torch.cuda.empty_cache()
            request = replace(request, batch_sequences=request.batch_sequences // 2)
            self.plan = replace(self.plan, request=request)

    def _store(
        self,
        tokens: TokenStore,
        rectangle: Rectangle,
        block: NDArray[np.int32],
        found: Found,
        data: SaeVisData,
    ) -> None:
        """Write the block's pass, and check it against what ``SaeVisData`` says."""
        if not np.isfinite(found.norm).all():
            raise AutointerpError(
                f"activations at {self.plan.hook.name} are not finite; try dtype='float32'"
            )
        name = _pass_name(block)
        folder = self.folder / "passes" / name
        write_bytes(folder / "features.npy", _npy(block))
        shard = save(
            {
                "indptr": found.indptr,
                "token": found.token.astype(np.uint32),
                "activation": found.activation,
                "norm": found.norm,
            },
            metadata={"first_token": "0"},
        )
        write_bytes(Shard(0, 0, tokens.n_sequences).path(folder), shard)
        if not self.record["passes"]:
            self.record["counts"]["counted"] = write_counted(
                tokens,
                Pass(folder),
                self.plan.request.masks,
                self.record["sinks"]["reference_median"],
            )
        self._summarise(name)
        check_peaks(TokenStore(self.folder / "tokens"), rectangle, Pass(folder), found, data)
        self.record["passes"].append(
            {
                "name": name,
                "n_features": len(block),
                "n_shards": 1,
                "n_examples": self.plan.request.n_examples,
            }
        )
        self._save()
        self._drop_unfinished()
