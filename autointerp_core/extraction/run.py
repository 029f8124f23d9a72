"""One extraction from start to end: into a new study, or into one that lacks features.

Order: everything that can be wrong with the input is found before anything is written;
then tokens, then the shards that hold the reference sequences, the health check (so that a
wrong hook is told early), the other shards, and last what needs no model.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

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


@dataclass(frozen=True)
class Extraction:
    """What an extraction did. ``computed`` lists the features that needed the model."""

    study: Study
    computed: NDArray[np.int32]


@dataclass(frozen=True)
class _Plan:
    """Sources resolved and checked; nothing written yet."""

    request: ExtractionRequest
    model: ModelConfig
    sae: LoadedSAE
    hook: HookPoint
    rows: Rows
    tokenizer: Any
    tokenisation: Tokenisation
    device: torch.device
    dtype: torch.dtype
    identity: Identity
    features: NDArray[np.int32]

    @property
    def folder_name(self) -> str:
        return self.identity.study_id(self.model.name, self.hook)


def extract(
    request: ExtractionRequest, studies: Path, progress: ProgressCallback = silent
) -> Extraction:
    """Extract what is missing of ``request`` into its study under ``studies``.

    Same identity → same study; features already there are not computed again. A killed run
    goes on at the first shard that is not on disk.

    Raises:
        BadInput: as the message says; nothing was written.
        DiskFull: finished shards stay.
        Cancelled: raised by ``progress``; finished shards stay.
    """
    plan = _resolve(request, progress)
    folder = studies / plan.folder_name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
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
        if len(missing):
            self._pass(missing)
        for entry in self.record["passes"]:
            # Firings are on disk, so more examples, or logits, need no new extraction.
            if entry["n_examples"] < request.n_examples:
                self._summarise(entry["name"])
                entry["n_examples"] = request.n_examples
                self._save()
        if request.logits:
            self._logits()
        self._log_run(started, time.monotonic() - clock, len(missing))
        return missing

    # -- one pass -----------------------------------------------------------------------

    def _pass(self, features: NDArray[np.int32]) -> None:
        tokens = self._tokens()
        name = _pass_name(features)
        folder = self.folder / "passes" / name
        with writing(folder):
            (folder / "shards").mkdir(parents=True, exist_ok=True)
            for left_over in folder.glob("shards/.*.tmp"):
                left_over.unlink()
        shards = self._shards(folder, tokens, features)
        first_pass = not self.record
        todo = [shard for shard in shards if not _intact(shard.path(folder))]
        if todo or first_pass:
            # A call of its own: the model is freed when it returns, before the summary.
            self._compute(tokens, folder, features, shards, todo)
            release_memory()
        found = Pass(folder)
        if first_pass:
            self.record["counts"]["counted"] = write_counted(
                tokens, found, self.plan.request.masks, self.record["sinks"]["reference_median"]
            )
        self._summarise(name)
        self.record["passes"].append(
            {
                "name": name,
                "n_features": len(features),
                "n_shards": len(shards),
                "n_examples": self.plan.request.n_examples,
            }
        )
        self._save()
        self._drop_unfinished()

    def _compute(
        self,
        tokens: TokenStore,
        folder: Path,
        features: NDArray[np.int32],
        shards: list[Shard],
        todo: list[Shard],
    ) -> None:
        """Everything that needs the model: shards to do, and a new study's reference."""
        first_pass = not self.record
        with self._model(neighbour=first_pass) as model:
            extractor = Extractor(model, self.plan.sae, self.plan.hook, features, self._batching())
            meter = _Meter(self.progress, tokens, shards, todo)
            split = sum(shard.first < REFERENCE_SEQUENCES for shard in shards)
            for part in (shards[:split], shards[split:]):
                for shard in (s for s in part if s in todo):
                    extractor.extract(tokens, shard, folder)
                    release_memory()
                    meter.finished(shard)
                if first_pass and not self.record:
                    self._reference(model, tokens, folder, shards[:split])

    def _tokens(self) -> TokenStore:
        plan, folder = self.plan, self.folder / "tokens"
        if not folder.exists():
            texts = plan.rows.iterate()
            write_tokens(
                folder, texts, plan.rows.n_rows, plan.tokenizer, plan.tokenisation, self.progress
            )
        return TokenStore(folder)

    def _shards(self, folder: Path, tokens: TokenStore, features: NDArray[np.int32]) -> list[Shard]:
        """The pass's shards: as planned by the run that began it, so that resuming fits."""
        path = folder / "plan.json"
        if path.exists():
            size = int(json.loads(path.read_bytes())["shard_tokens"])
        else:
            size = self.plan.request.shard_tokens
            np_bytes = _npy(features)
            write_bytes(folder / "features.npy", np_bytes)
            write_json(path, {"shard_tokens": size})
        return plan_shards(np.asarray(tokens.sequences), size)

    def _batching(self) -> Batching:
        cuda = self.plan.device.type == "cuda"
        return Batching(
            self.plan.request.batch_sequences, CUDA_BATCH_TOKENS if cuda else BATCH_TOKENS
        )

    @contextmanager
    def _model(self, neighbour: bool) -> Iterator[TruncatedModel]:
        """The model up to the hook, and one block more while the health check needs it."""
        from autointerp_core.sources.model import load_truncated

        plan = self.plan
        self.progress(Progress("preparing", message=f"loading {plan.model.name}"))
        blocks = min(plan.hook.blocks_needed + neighbour, plan.model.n_layers)
        model = load_truncated(plan.model, blocks, plan.dtype, plan.device)
        try:
            yield model
        finally:
            del model
            if plan.device.type == "cuda":
                import torch

                torch.cuda.empty_cache()

    def _reference(
        self, model: TruncatedModel, tokens: TokenStore, folder: Path, shards: list[Shard]
    ) -> None:
        """Sink threshold and health: what the record of a new study starts with."""
        plan = self.plan
        norms = []
        for shard in shards:
            with safe_open(shard.path(folder), framework="np") as handle:
                norms.append(handle.get_tensor("norm"))
        median = reference_median(tokens, np.concatenate(norms)) if norms else 0.0
        health = measure_health(
            model,
            plan.sae,
            plan.hook,
            plan.hook.neighbours(plan.model.n_layers),
            tokens,
            plan.request.masks,
            median,
        )
        model.drop_blocks(plan.hook.blocks_needed)
        for warning in health.warnings:
            self.progress(Progress("health", message=f"warning: {warning['message']}"))
        self.record = _record(plan, tokens, median, health.to_json())

    def _summarise(self, name: str) -> None:
        tokens = TokenStore(self.folder / "tokens")
        found = Pass(self.folder / "passes" / name)
        summarise(
            tokens,
            found,
            self.record["counts"]["counted"],
            self.plan.request.n_examples,
            self.progress,
        )

    def _logits(self) -> None:
        """Logits of every pass that lacks them; the head is loaded only when one does."""
        from autointerp_core.sources.model import load_head

        lacking = [
            p
            for entry in self.record["passes"]
            if not (p := self.folder / "passes" / entry["name"] / "logits.safetensors").exists()
        ]
        if not lacking:
            return
        head = load_head(self.plan.model, self.plan.device)
        for path in lacking:
            features = np.load(path.parent / "features.npy", allow_pickle=False)
            write_logits(
                path,
                self.plan.sae.sae.W_dec.detach(),
                head,
                features,
                self.plan.request.block_features,
                self.progress,
            )

    # -- records ------------------------------------------------------------------------

    def _save(self) -> None:
        write_json(self.folder / "study.json", self.record)

    def _drop_unfinished(self) -> None:
        """Passes begun for other feature sets and never finished: nothing refers to them."""
        finished = {entry["name"] for entry in self.record["passes"]}
        for child in (self.folder / "passes").iterdir():
            if child.name not in finished:
                shutil.rmtree(child)

    def _log_run(self, started: datetime, seconds: float, computed: int) -> None:
        path = self.folder / "run.json"
        runs = json.loads(path.read_bytes())["runs"] if path.exists() else []
        runs.append(
            {
                "started": started.isoformat(timespec="seconds"),
                "seconds": round(seconds, 2),
                "features_computed": computed,
                "host": platform.node(),
                "device": str(self.plan.device),
                "pid": os.getpid(),
            }
        )
        write_json(path, {"runs": runs})


class _Meter:
    """Progress over shards: tokens done, tokens per second, time left."""

    def __init__(
        self, report: ProgressCallback, tokens: TokenStore, shards: list[Shard], todo: list[Shard]
    ):
        self.report, self.tokens = report, tokens
        self.total = tokens.n_tokens
        self.before = self.total - sum(map(self._size, todo))
        self.done = 0
        self.started = time.monotonic()
        self._say()

    def finished(self, shard: Shard) -> None:
        self.done += self._size(shard)
        self._say()

    def _size(self, shard: Shard) -> int:
        return int(self.tokens.sequences[shard.last] - self.tokens.sequences[shard.first])

    def _say(self) -> None:
        rate = self.done / max(time.monotonic() - self.started, 1e-9) if self.done else None
        done = self.before + self.done
        left = (self.total - done) / rate if rate else None
        self.report(Progress("extracting", done, self.total, "tokens", rate, left))


def _record(
    plan: _Plan, tokens: TokenStore, median: float, health: dict[str, Any]
) -> dict[str, Any]:
    sae, model = plan.sae.config, plan.model
    return {
        "schema": SCHEMA,
        "id": plan.folder_name,
        "identity": plan.identity.to_json(),
        "model": {
            "name": model.name,
            "path": str(plan.request.model_path),
            "n_layers": model.n_layers,
            "d_model": model.d_model,
            "fingerprint": plan.identity.model,
        },
        "sae": {
            "source": sae.source,
            "path": str(plan.request.sae_path),
            "sae_id": plan.request.sae_id,
            "layout": sae.layout,
            "architecture": sae.architecture,
            "k": sae.k,
            "d_in": sae.d_in,
            "d_sae": sae.d_sae,
            "fingerprint": plan.sae.fingerprint,
        },
        "hook": plan.hook.name,
        "dataset": {
            "name": plan.rows.name,
            "path": str(plan.request.dataset_path),
            "column": plan.rows.column,
            "n_rows": plan.rows.n_rows,
            "fingerprint": plan.rows.fingerprint,
        },
        "tokenisation": dataclasses.asdict(plan.tokenisation),
        "sinks": {"factor": plan.request.masks.sink_factor, "reference_median": median},
        "counts": {
            "documents": len(tokens.documents) - 1,
            "sequences": tokens.n_sequences,
            "tokens": tokens.n_tokens,
            "counted": 0,
        },
        "health": health,
        "versions": {name: _version(name) for name in _PACKAGES},
        "passes": [],
    }


def _intact(path: Path) -> bool:
    """Whether a shard's file is there and whole (a rename is atomic, a bad disk is not)."""
    if not path.exists():
        return False
    try:
        with safe_open(path, framework="np") as handle:
            return "first_token" in (handle.metadata() or {})
    except SafetensorError:
        return False


def _pass_name(features: NDArray[np.int32]) -> str:
    """Named by its features, so that the same request finds its unfinished pass again."""
    return hashlib.sha256(features.astype("<i4").tobytes()).hexdigest()[:12]


def _npy(array: NDArray[Any]) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _tokenizer_fingerprint(tokenizer: Any) -> str:
    raw = tokenizer.backend_tokenizer.to_str().encode("utf-8", "surrogatepass")
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@contextmanager
def _locked(path: Path, progress: ProgressCallback) -> Iterator[None]:
    """One writer a study: a second run waits for the first, then finds its work done."""
    with open(path, "w") as handle:
        waiting = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    waiting = True
                progress(Progress("waiting", message="another run is writing this study"))
                time.sleep(0.5)
        yield


__all__ = ["Extraction", "ExtractionRequest", "ParameterError", "extract"]
