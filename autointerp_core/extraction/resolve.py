"""Sources found, read and checked against each other, before anything is written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import FeatureRequestError, SAESourceError
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.health import Reading
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
    model: ModelConfig
    sae: LoadedSAE
    hook: HookPoint
    rows: Rows
    documents: Documents
    tokenizer: Any
    tokenisation: Tokenisation
    device: torch.device
    dtype: torch.dtype
    identity: Identity
    features: NDArray[np.int32]
    """Those asked for, sorted."""

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
    import torch

    from autointerp_core.sources.dataset import open_dataset
    from autointerp_core.sources.documents import Documents
    from autointerp_core.sources.model import (
        embedding_rows,
        find_hook,
        inspect_model,
        load_tokenizer,
        model_fingerprint,
        resolve_device,
        resolve_dtype,
    )
    from autointerp_core.sources.sae import check_fits, context_size, inspect_sae, load_sae

    progress(Progress("preparing", message="reading configurations"))
    sae_config = inspect_sae(config.sae_path, config.sae_id)
    features = _features(config.features, sae_config.d_sae)
    rows = open_dataset(config.dataset_path, config.column, config.n_rows)
    model = inspect_model(config.model_path, progress)
    check_fits(sae_config, model)
    for hook, width in ((sae_config.hook, sae_config.d_in), (sae_config.hook_out, None)):
        found = find_hook(model, hook) if hook is not None else None
        if found is not None and width is not None and found != width:
            raise SAESourceError(
                f"the SAE {sae_config.source} reads vectors of width {width}, but {model.name} is "
                f"{found} wide at {sae_config.hook.name}; give the model this SAE was trained on"
            )
    if computes_on is None:
        device = resolve_device(config.device)
        dtype = resolve_dtype(config.dtype, model, device)
    else:  # what is done here, logits and the like, is done on what is here
        device = resolve_device(None if computes_on == "cuda" else "cpu")
        dtype = resolve_dtype(config.dtype, model, torch.device(computes_on))
    prepend = sae_config.prepend_bos if config.prepend_bos is None else config.prepend_bos
    context = context_size(sae_config, config.context_size, model.context_size, prepend)
    progress(Progress("preparing", message="loading the SAE"))
    sae = load_sae(config.sae_path, config.sae_id, device)
    tokenizer = load_tokenizer(model)
    documents = Documents(rows, tokenizer, parse_roles(config.chat_roles))
    tokenisation = Tokenisation.of(
        tokenizer, context, prepend, pack=config.pack, embedding_rows=embedding_rows(model)
    )
    for notice in tokenisation.notices:
        progress(Progress("preparing", message=f"note: {notice}"))
    # Such texts once got a second BOS: what was made then is another study.
    once = prepend and tokenizer.bos_token and documents.holds(str(tokenizer.bos_token))
    identity = Identity(
        model=model_fingerprint(model),
        tokenizer=tokenizer_fingerprint(tokenizer),
        sae=sae.fingerprint,
        hook=sae_config.hook.name,
        dataset=rows.fingerprint,
        column=rows.column,
        rows=rows.n_rows,
        context_size=context,
        prepend_bos=prepend,
        masks=config.masks,
        dtype=str(dtype).removeprefix("torch."),
        pack=config.pack or None,
        bos_once=True if once else None,
        **documents.identity,
    )
    return ResolvedExtraction(
        config=config,
        model=model,
        sae=sae,
        hook=sae_config.hook,
        rows=rows,
        documents=documents,
        tokenizer=tokenizer,
        tokenisation=tokenisation,
        device=device,
        dtype=dtype,
        identity=identity,
        features=features,
    )


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """``sha256:…`` over everything a fast tokenizer does to a text."""
    raw = tokenizer.backend_tokenizer.to_str().encode("utf-8", "surrogatepass")
    return "sha256:" + hashlib.sha256(raw).hexdigest()


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
