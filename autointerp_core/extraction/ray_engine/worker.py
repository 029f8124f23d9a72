"""What runs in a worker: one truncated model and SAE, turning shards of token ids into firings."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import AutointerpError, ModelSourceError
from autointerp_core.extraction.firings import (
    BATCH_TOKENS,
    CUDA_BATCH_TOKENS,
    Batching,
    Extractor,
    Shard,
)
from autointerp_core.extraction.memory import release_memory
from autointerp_core.store.feature_shards import ShardFirings
from autointerp_core.store.tokenstore import TokenPart

if TYPE_CHECKING:
    import torch

    from autointerp_core.extraction.health import Health, Reading
    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.model import ModelConfig, TruncatedModel
    from autointerp_core.sources.sae import LoadedSAE
    from autointerp_core.store.study_record import Masks


@dataclass(frozen=True)
class Setup:
    """All that a worker needs but the SAE."""

    model: ModelConfig
    hook: HookPoint
    dtype: torch.dtype
    device: str
    threads: int
    """Of torch, on a CPU."""
    batch_sequences: int


class Done(NamedTuple):
    """A shard's firings, its token numbers counted from its own start."""

    firings: ShardFirings
    seconds: float


class Worker:
    """Made once a process; ``extract`` is called for shard after shard."""

    def __init__(self, setup: Setup, sae: LoadedSAE):
        self.setup, self.sae = setup, sae
        self.extractor: Extractor | None = None
        self._loaded: TruncatedModel | None = None

    def ready(self) -> str:
        """Load everything; the host.

        Not when the worker is made: what goes wrong there Ray tells as a loss of the worker.

        Raises:
            AutointerpError: the model or the GPU is not there.
        """
        import torch

        device = torch.device(self.setup.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise AutointerpError(
                f"the Ray worker on {platform.node()} has no GPU that torch can use; check its "
                "driver and torch build, or give device cpu"
            )
        if device.type == "cpu":
            torch.set_num_threads(self.setup.threads)
        self.sae.sae.to(device=self.setup.device)
        self._loaded = self._model(self.setup.hook.blocks_needed)
        return platform.node()

    def extract(self, part: TokenPart, features: NDArray[np.int32]) -> Done:
        """Firings of ``features`` in one shard's sequences."""
        started = time.monotonic()
        if self.extractor is None or not np.array_equal(self.extractor.features, features):
            assert self._loaded is not None
            limit = CUDA_BATCH_TOKENS if self.setup.device == "cuda" else BATCH_TOKENS
            batching = Batching(self.setup.batch_sequences, limit)
            self.extractor = Extractor(self._loaded, self.sae, self.setup.hook, features, batching)
        found = self.extractor.extract(part, Shard(0, 0, len(part.sequences) - 1))
        release_memory()
        return Done(found, time.monotonic() - started)

    def health(self, part: TokenPart, masks: Masks, median: float, reading: Reading) -> Health:
        """As the native engine measures it, on the study's first sequences."""
        from autointerp_core.extraction.health import measure_health

        hook, n_layers = self.setup.hook, self.setup.model.n_layers
        # The neighbouring layer's block is needed for this alone.
        model = self._model(min(hook.blocks_needed + 1, n_layers))
        return measure_health(
            model, self.sae, hook, hook.neighbours(n_layers), part, masks, median, reading
        )

    def _model(self, blocks: int) -> TruncatedModel:
        import torch

        from autointerp_core.sources.model import load_truncated

        setup = self.setup
        try:
            return load_truncated(setup.model, blocks, setup.dtype, torch.device(setup.device))
        except ModelSourceError as error:
            raise AutointerpError(
                f"the Ray worker on {platform.node()} cannot load {setup.model.name}: "
                f"{error}; give a hub id that it can reach, or put the model at the same path "
                "on every machine"
            ) from error
