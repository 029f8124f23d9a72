"""Which label providers there are, and how one is made from options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autointerp_core.labels.providers.base import NO_BOUND, Budget, LabelProvider, Price
from autointerp_core.labels.registry import Registry

NONE = "none"
"""Instead of a provider's name: nobody is asked."""


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


@dataclass(frozen=True)
class ProviderKind:
    """One kind of label provider."""

    title: str
    """For people."""
    make: Callable[[ProviderOptions], LabelProvider]
    """Loads no model and sends nothing yet."""
    paid: bool = False
    """Whether somebody may want money for answers."""
    takes_price: bool = True
    """False where nobody is paid, so that a price is left out."""
    has_model: bool = True
    """False where there is no model to name."""
    ranks: bool = False
    """Whether it gives probabilities of whole answers."""


PROVIDERS: Registry[ProviderKind] = Registry(
    "label provider", "autointerp_core.labels.providers.kinds"
)


def takes_money(*names: str | None) -> bool:
    """Whether any of the providers called so may want money for answers."""
    return any(name in PROVIDERS and PROVIDERS[name].paid for name in names if name)


def make_provider(name: str, options: ProviderOptions) -> LabelProvider:
    """The provider called ``name``; loads no model and sends nothing yet.

    Raises:
        ParameterError: there is no such provider, or an option means nothing.
    """
    return PROVIDERS.named(name).make(options)
