"""A server that speaks OpenAI's protocol."""

from __future__ import annotations

from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.labels.providers.make import PROVIDERS, ProviderKind, ProviderOptions


def _make(options: ProviderOptions) -> LabelProvider:
    from autointerp_core.labels.providers.openai_api import OpenAIProvider
    from autointerp_core.labels.providers.openai_server import Limits

    return OpenAIProvider(
        options.model_path,
        base_url=options.base_url,
        limits=Limits(concurrency=options.concurrency, timeout=options.timeout),
        price=options.price,
        budget=options.budget,
    )


PROVIDERS.register("openai", ProviderKind("OpenAI or compatible server", _make, paid=True))
