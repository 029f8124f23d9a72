"""Sources found, read and checked against each other, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import FeatureRequestError
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.health import Reading
from autointerp_core.extraction.pair import (
    Pair,
    PairRequest,
    resolve_pair,
    tokenizer_fingerprint,
)
from autointerp_core.extraction.tokens import Tokenisation
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.sources.chat import parse_roles
from autointerp_core.store.study_record import Identity

if TYPE_CHECKING:
    import torch

    from autointerp_core.sources.dataset import Rows
    from autointerp_core.sources.documents import Documents
    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.model import ModelConfig
    from autointerp_core.sources.sae import LoadedSAE


@dataclass(frozen=True)
class ResolvedExtraction:
    """An extraction whose sources are there and fit together; the SAE is loaded."""

    config: ExtractionConfig
    pair: Pair
    rows: Rows
    documents: Documents
    identity: Identity
    features: NDArray[np.int32]
    """Those asked for, sorted."""

    @property
    def model(self) -> ModelConfig:
        return self.pair.model

    @property
    def sae(self) -> LoadedSAE:
        return self.pair.sae

    @property
    def hook(self) -> HookPoint:
        return self.pair.hook

    @property
    def tokenizer(self) -> Any:
        return self.pair.tokenizer

    @property
    def tokenisation(self) -> Tokenisation:
        return self.pair.tokenisation

    @property
    def device(self) -> torch.device:
        return self.pair.device

    @property
    def dtype(self) -> torch.dtype:
        return self.pair.dtype

    @property
    def study_id(self) -> str:
        """Id of the study that our own engine's numbers go to."""
        return self.identity.study_id(self.model.name, self.hook.slug)

    @property
    def reading(self) -> Reading:
        """What the health check may change on purpose."""
        bos = self.tokenizer.bos_token_id  # id 0 is a real BOS (Pythia)
        rows = self.tokenisation.embedding_rows
        return Reading(
            model_name=self.model.name,
            vocabulary=min(len(self.tokenizer), rows or self.model.vocab_size),
            bos_id=self.tokenizer.eos_token_id if bos is None else bos,
            prepends_bos=self.tokenisation.prepend_bos,
        )


def resolve(
    config: ExtractionConfig,
    progress: ProgressCallback = silent,
    computes_on: str | None = None,
) -> ResolvedExtraction:
    """Find model, SAE and dataset, check that they fit, and work out which study it is.

    Args:
        computes_on: kind of device that the model runs on, where that is another machine's.

    Raises:
        BadInput: as the message says.
        Cancelled: raised by ``progress``.
    """
    from autointerp_core.sources.control_sae import read_control
    from autointerp_core.sources.dataset import open_dataset
    from autointerp_core.sources.documents import Documents
    from autointerp_core.sources.model import model_fingerprint
    from autointerp_core.sources.sae import inspect_sae

    progress(Progress("preparing", message="reading configurations"))
    sae_config = inspect_sae(config.sae_path, config.sae_id)
    features = _features(config.features, sae_config.d_sae)
    rows = open_dataset(config.dataset_path, config.column, config.n_rows)
    pair = resolve_pair(
        PairRequest(
            config.model_path,
            config.sae_path,
            config.sae_id,
            context_size=config.context_size,
            prepend_bos=config.prepend_bos,
            pack=config.pack,
            dtype=config.dtype,
            device=config.device,
            computes_on=computes_on,
        ),
        sae_config,
        progress,
    )
    tokenizer, tokenisation = pair.tokenizer, pair.tokenisation
    documents = Documents(rows, tokenizer, parse_roles(config.chat_roles))
    prepend = tokenisation.prepend_bos
    # Such texts once got a second BOS: what was made then is another study.
    once = prepend and tokenizer.bos_token and documents.holds(str(tokenizer.bos_token))
    control = read_control(config.sae_path)
    identity = Identity(
        model=model_fingerprint(pair.model),
        tokenizer=tokenizer_fingerprint(tokenizer),
        sae=pair.sae.fingerprint,
        hook=sae_config.hook.name,
        dataset=rows.fingerprint,
        column=rows.column,
        rows=rows.n_rows,
        context_size=tokenisation.context_size,
        prepend_bos=prepend,
        masks=config.masks,
        dtype=str(pair.dtype).removeprefix("torch."),
        pack=config.pack or None,
        bos_once=True if once else None,
        control=None if control is None else control.name,
        **documents.identity,
    )
    return ResolvedExtraction(
        config=config,
        pair=pair,
        rows=rows,
        documents=documents,
        identity=identity,
        features=features,
    )


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
