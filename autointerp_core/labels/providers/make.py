"""Which label providers there are, and how one is made from options."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp_core.errors import ParameterError
from autointerp_core.labels.providers.base import NO_BOUND, Budget, LabelProvider, Price

PROVIDERS = ("local", "openai", "scripted")


@dataclass(frozen=True)
class ProviderOptions:
    """What a provider is made from; each takes what concerns it.

    Args:
        model_path: hub id, local folder or ``demo`` (local); the server's name for it (openai).
        device: of a local model; None takes CUDA where there is one.
        dtype: of a local model.
        base_url: of a server; None: ``OPENAI_BASE_URL``, else OpenAI.
        price: of tokens, where known.
        budget: when to stop.
        concurrency: requests at a server at one time.
        timeout: seconds a server has for one reply.
    """

    model_path: str
    device: str | None = None
    dtype: str = "auto"
    base_url: str | None = None
    price: Price | None = None
    budget: Budget = NO_BOUND
    concurrency: int = 8
    timeout: float = 60.0


def make_provider(name: str, options: ProviderOptions) -> LabelProvider:
    """The provider called ``name``; loads no model and sends nothing yet.

    Raises:
        ParameterError: there is no such provider, or an option means nothing.
    """
    price, budget = options.price, options.budget
    if name == "local":
        from autointerp_core.labels.providers.local import LocalProvider

        return LocalProvider(
            options.model_path,
            device=options.device,
            dtype=options.dtype,
            price=price,
            budget=budget,
        )
    if name == "scripted":
        from autointerp_core.labels.providers.scripted import ScriptedProvider, shares_a_word

        return ScriptedProvider(verdicts=shares_a_word, price=price, budget=budget)
    if name == "openai":
        from autointerp_core.labels.providers.openai_api import OpenAIProvider
        from autointerp_core.labels.providers.openai_requests import Limits

        return OpenAIProvider(
            options.model_path,
            base_url=options.base_url,
            limits=Limits(concurrency=options.concurrency, timeout=options.timeout),
            price=price,
            budget=budget,
        )
    raise ParameterError(f"no label provider {name!r}; choose from {', '.join(PROVIDERS)}")
