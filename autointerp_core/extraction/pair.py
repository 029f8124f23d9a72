"""A model and an SAE, found, read and checked against each other, and how texts are read for them.

What an extraction and the live model have in common: the same pair gives the same activations,
whether the texts are a dataset's or typed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import SAESourceError
from autointerp_core.extraction.tokens import Tokenisation
from autointerp_core.progress import Progress, ProgressCallback, silent

if TYPE_CHECKING:
    import torch

    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.model import ModelConfig, TruncatedModel
    from autointerp_core.sources.sae import LoadedSAE
    from autointerp_core.sources.sae_config import SAEConfig


@dataclass(frozen=True)
class PairRequest:
    """What names a pair; fields as those of an extraction's configuration."""

    model_path: str
    sae_path: str
    sae_id: str | None = None
    context_size: int | None = None
    prepend_bos: bool | None = None
    pack: bool = False
    dtype: str = "auto"
    device: str | None = None
    computes_on: str | None = None
    """Kind of device that the model runs on, where that is another machine's."""


@dataclass(frozen=True)
class Pair:
    """A model, by its configuration, and a loaded SAE that fit together."""

    model: ModelConfig
    sae: LoadedSAE
    tokenizer: Any
    tokenisation: Tokenisation
    device: torch.device
    dtype: torch.dtype

    @property
    def hook(self) -> HookPoint:
        """Where the SAE reads."""
        return self.sae.config.hook


def resolve_pair(
    asked: PairRequest,
    sae_config: SAEConfig | None = None,
    progress: ProgressCallback = silent,
) -> Pair:
    """Find a model and an SAE, check that they fit, and load the SAE and the tokenizer.

    Args:
        sae_config: that of the SAE, where it was read before.

    Raises:
        BadInput: as the message says.
        Cancelled: raised by ``progress``.
    """
    import torch

    from autointerp_core.sources.model import (
        embedding_rows,
        find_hook,
        inspect_model,
        load_tokenizer,
        resolve_device,
        resolve_dtype,
    )
    from autointerp_core.sources.sae import check_fits, context_size, inspect_sae, load_sae

    if sae_config is None:
        sae_config = inspect_sae(asked.sae_path, asked.sae_id)
    model = inspect_model(asked.model_path, progress)
    check_fits(sae_config, model)
    for hook, width in ((sae_config.hook, sae_config.d_in), (sae_config.hook_out, None)):
        found = find_hook(model, hook) if hook is not None else None
        if found is not None and width is not None and found != width:
            raise SAESourceError(
                f"the SAE {sae_config.source} reads vectors of width {width}, but {model.name} is "
                f"{found} wide at {sae_config.hook.name}; give the model this SAE was trained on"
            )
    if asked.computes_on is None:
        device = resolve_device(asked.device)
        dtype = resolve_dtype(asked.dtype, model, device)
    else:  # what is done here, logits and the like, is done on what is here
        device = resolve_device(None if asked.computes_on == "cuda" else "cpu")
        dtype = resolve_dtype(asked.dtype, model, torch.device(asked.computes_on))
    prepend = sae_config.prepend_bos if asked.prepend_bos is None else asked.prepend_bos
    context = context_size(sae_config, asked.context_size, model.context_size, prepend)
    progress(Progress("preparing", message="loading the SAE"))
    sae = load_sae(asked.sae_path, asked.sae_id, device)
    tokenizer = load_tokenizer(model)
    tokenisation = Tokenisation.of(
        tokenizer, context, prepend, pack=asked.pack, embedding_rows=embedding_rows(model)
    )
    for notice in tokenisation.notices:
        progress(Progress("preparing", message=f"note: {notice}"))
    return Pair(model, sae, tokenizer, tokenisation, device, dtype)


def load_to_hook(pair: Pair, more: int = 0, progress: ProgressCallback = silent) -> TruncatedModel:
    """The model up to the SAE's hook, and ``more`` blocks behind it where it has them.

    Raises:
        ModelSourceError: its weights cannot be loaded.
    """
    from autointerp_core.sources.model import load_truncated

    progress(Progress("preparing", message=f"loading {pair.model.name}"))
    blocks = min(pair.hook.blocks_needed + more, pair.model.n_layers)
    return load_truncated(pair.model, blocks, pair.dtype, pair.device)


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """``sha256:…`` over everything a fast tokenizer does to a text."""
    raw = tokenizer.backend_tokenizer.to_str().encode("utf-8", "surrogatepass")
    return "sha256:" + hashlib.sha256(raw).hexdigest()
