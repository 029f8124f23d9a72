"""A model of transformers, on this machine."""

from __future__ import annotations

from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.labels.providers.make import PROVIDERS, ProviderKind, ProviderOptions


def _make(options: ProviderOptions) -> LabelProvider:
    from autointerp_core.labels.providers.local import LocalProvider

    return LocalProvider(
        options.model_path,
        device=options.device,
        dtype=options.dtype,
        price=options.price,
        budget=options.budget,
    )


PROVIDERS.register("local", ProviderKind("Local model", _make, ranks=True, takes_price=False))
