"""One extraction from start to end: into a new study, or into one that lacks features.

Everything that can be wrong with the input is found before anything is written; then tokens,
then what the engine computes, and last what needs no new activations.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

<<<<<<< HEAD
from autointerp_core.errors import FeatureRequestError, ParameterError
from autointerp_core.extraction.firings import (
    BATCH_TOKENS,
    CUDA_BATCH_TOKENS,
    REFERENCE_SEQUENCES,
    Batching,
    Extractor,
    Shard,
    plan_shards,
)
from autointerp_core.extraction.health import measure_health
from autointerp_core.extraction.logits import write_logits
from autointerp_core.extraction.memory import release_memory
from autointerp_core.extraction.request import ExtractionRequest, Identity
from autointerp_core.extraction.summary import reference_median, summarise, write_counted
from autointerp_core.extraction.tokens import Tokenisation, write_tokens
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.files import write_bytes, write_json, writing
from autointerp_core.store.study import SCHEMA, Pass, Study, TokenStore, read_info

if TYPE_CHECKING:
    import torch

    from autointerp_core.sources.dataset import Rows
    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.model import ModelConfig, TruncatedModel
    from autointerp_core.sources.sae import LoadedSAE

_PACKAGES = ("torch", "transformers", "sae-lens", "transformer-lens", "numpy", "tokenizers")
=======
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.engines import load_engine
from autointerp_core.extraction.resolve import ResolvedExtraction, resolve
from autointerp_core.extraction.study_writer import StudyWriter, study_lock
from autointerp_core.progress import ProgressCallback, silent
from autointerp_core.store.files import writing
from autointerp_core.store.study import Study
>>>>>>> hooks


@dataclass(frozen=True)
class Extraction:
    """What an extraction did. ``computed`` lists the features that needed the model."""

    study: Study
    computed: NDArray[np.int32]


def extract(
    config: ExtractionConfig, studies: Path, progress: ProgressCallback = silent
) -> Extraction:
    """Extract what is missing of ``config`` into its study under ``studies``.

    Same identity → same study; features already there are not computed again. A killed run
    goes on at the first shard that is not on disk.

    Raises:
        BadInput: as the message says; nothing was written.
        MissingDependency: the engine asked for is not installed; likewise.
        DiskFull: finished shards stay.
        Cancelled: raised by ``progress``; finished shards stay.
    """
    load_engine(config.engine)  # refuses one that cannot run here, before anything is read
    return extract_resolved(resolve(config, progress), studies, progress)


def extract_resolved(
    resolved: ResolvedExtraction, studies: Path, progress: ProgressCallback = silent
) -> Extraction:
    """As :func:`extract`, for sources that were resolved before."""
    engine = load_engine(resolved.config.engine)
    folder = studies / engine.study_id(resolved)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
<<<<<<< HEAD
    with _locked(studies / f".{folder.name}.lock", progress):
        writer = _Writer(folder, plan, progress)
        computed = writer.run()
    return Extraction(Study(folder), computed)


def _resolve(request: ExtractionRequest, progress: ProgressCallback) -> _Plan:
    from autointerp_core.sources.dataset import open_dataset
    from autointerp_core.sources.model import (
        inspect_model,
        load_tokenizer,
        model_fingerprint,
        resolve_device,
        resolve_dtype,
    )
    from autointerp_core.sources.sae import check_fits, context_size, inspect_sae, load_sae

    progress(Progress("preparing", message="reading configurations"))
    sae_config = inspect_sae(request.sae_path, request.sae_id)
    features = _features(request.features, sae_config.d_sae)
    rows = open_dataset(request.dataset_path, request.column, request.n_rows)
    model = inspect_model(request.model_path, progress)
    check_fits(sae_config, model)
    device = resolve_device(request.device)
    dtype = resolve_dtype(request.dtype, model, device)
    prepend = sae_config.prepend_bos if request.prepend_bos is None else request.prepend_bos
    context = context_size(sae_config, request.context_size, model.context_size, prepend)
    progress(Progress("preparing", message="loading the SAE"))
    sae = load_sae(request.sae_path, request.sae_id, device)
    tokenizer = load_tokenizer(model)
    tokenisation = Tokenisation.of(tokenizer, context, prepend)
    identity = Identity(
        model=model_fingerprint(model),
        tokenizer=_tokenizer_fingerprint(tokenizer),
        sae=sae.fingerprint,
        hook=sae_config.hook.name,
        dataset=rows.fingerprint,
        column=rows.column,
        rows=rows.n_rows,
        context_size=context,
        prepend_bos=prepend,
        masks=request.masks,
        dtype=str(dtype).removeprefix("torch."),
    )
    return _Plan(
        request, model, sae, sae_config.hook, rows, tokenizer, tokenisation, device, dtype,
        identity, features,
    )  # fmt: skip


def _features(asked: tuple[int, ...] | None, d_sae: int) -> NDArray[np.int32]:
    if asked is None:
        return np.arange(d_sae, dtype=np.int32)
    if not asked:
        raise FeatureRequestError("the list of features is empty; give at least one, or 'all'")
    outside = sorted({f for f in asked if not 0 <= f < d_sae})
    if outside:
        shown = ", ".join(map(str, outside[:10])) + (", …" if len(outside) > 10 else "")
        raise FeatureRequestError(
            f"features out of range: {shown}; this SAE has features 0 to {d_sae - 1}"
        )
    return np.unique(np.asarray(asked, dtype=np.int32))


class _Writer:
    """Brings one study folder, which this process holds the lock of, up to date."""

    def __init__(self, folder: Path, plan: _Plan, progress: ProgressCallback):
        self.folder, self.plan, self.progress = folder, plan, progress
        self.record: dict[str, Any] = {}
        if (folder / "study.json").exists():
            self.record = read_info(folder).raw

    def run(self) -> NDArray[np.int32]:
        request = self.plan.request
        stored = [
            Pass(self.folder / "passes" / entry["name"]) for entry in self.record.get("passes", [])
        ]
        have = np.concatenate([p.features for p in stored]) if stored else np.zeros(0, np.int32)
        missing = np.setdiff1d(self.plan.features, have).astype(np.int32)
        started = datetime.now(UTC)
        clock = time.monotonic()
=======
    with study_lock(folder, progress):
        started, clock = datetime.now(UTC), time.monotonic()
        writer = StudyWriter(folder, resolved, progress)
        missing = writer.missing()
>>>>>>> hooks
        if len(missing):
            engine.produce(missing, resolved, writer, progress)
        writer.complete()
        writer.log_run(started, time.monotonic() - clock, len(missing))
    return Extraction(Study(folder), missing)
