"""Who is asked, and what that may cost: the part that every configuration of labels shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Self

from annotated_doc import Doc

from autointerp_core.errors import KnobError
from autointerp_core.labels.providers.base import Budget, LabelProvider, Price
from autointerp_core.labels.providers.make import (
    NONE,
    PROVIDERS,
    ProviderOptions,
    make_provider,
)
from autointerp_core.labels.registry import one_of
from autointerp_core.store.study import Study, own_model


@dataclass(frozen=True, kw_only=True)
class ProviderConfig:
    """Which model is asked, where, and when to stop."""

    provider: Annotated[
        str,
        Doc(
            "Who is asked: local (transformers), openai (any compatible server), scripted (no "
            "model: canned answers, for trying things out), or none."
        ),
    ] = "local"
    model_path: Annotated[
        str,
        Doc(
            "Model that is asked: hub id, local folder or demo; on a server its name there. "
            "Empty: the model that the study is of."
        ),
    ] = ""
    base_url: Annotated[
        str | None, Doc("Server of the openai provider; by default OPENAI_BASE_URL, else OpenAI.")
    ] = None
    concurrency: Annotated[int, Doc("Requests to a server at a time.")] = 8
    device: Annotated[
        str | None, Doc("Of a local model: cuda, cuda:1, cpu; by default CUDA where there is one.")
    ] = None
    dtype: Annotated[str, Doc("Of a local model: auto, float32, bfloat16 or float16.")] = "auto"
    price_in: Annotated[
        float | None, Doc("US dollars a million prompt tokens; unknown prices give unknown costs.")
    ] = None
    price_out: Annotated[float | None, Doc("US dollars a million answer tokens.")] = None
    budget_dollars: Annotated[
        float | None, Doc("Stop asking models when this much is spent; needs the prices.")
    ] = None
    budget_tokens: Annotated[
        int | None, Doc("Stop asking models when this many tokens are used.")
    ] = None

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Refuse what means nothing. Called once, when the configuration is made.

        Raises:
            ParameterError: a setting is out of range or contradicts another.
        """
        one_of("provider", self.provider, (*PROVIDERS, NONE))
        at_least("concurrency", self.concurrency, 1)
        self.options(self.provider)

    @property
    def price(self) -> Price | None:
        """None where it is not known."""
        if self.price_in is None and self.price_out is None:
            return None
        if self.price_in is None or self.price_out is None:
            raise KnobError("give both prices, {0} and {1}, or neither", "price_in", "price_out")
        return Price(self.price_in, self.price_out)

    @property
    def paid(self) -> bool:
        """Whether a server is asked, which may want money."""
        return self.provider != NONE and PROVIDERS[self.provider].paid

    def options(self, name: str) -> ProviderOptions:
        """What the provider called ``name`` needs to know.

        Raises:
            ParameterError: half a price, a budget of 0, a money budget without a price.
        """
        price = self.price
        budget = Budget(tokens=self.budget_tokens, dollars=self.budget_dollars)
        if budget.dollars is not None and price is None:
            raise KnobError(
                "a money budget needs prices: give {0} and {1}, or {2}",
                *("price_in", "price_out", "budget_tokens"),
            )
        if name != NONE and not PROVIDERS[name].takes_price:  # nobody is paid
            price, budget = None, replace(budget, dollars=None)
        return ProviderOptions(
            model_path=self.model_path,
            device=self.device,
            dtype=self.dtype,
            base_url=self.base_url,
            price=price,
            budget=budget,
            concurrency=self.concurrency,
        )

    def make_provider(self) -> LabelProvider | None:
        """Who is asked, not yet loaded; None where nobody is."""
        if self.provider == NONE:
            return None
        return make_provider(self.provider, self.options(self.provider))

    def check(self) -> None:
        """See that whoever is asked can be asked, before anything is computed.

        Raises:
            ProviderSetupError: no key.
            BadInput: no such model.
        """
        for provider in self.providers():
            provider.check()

    def providers(self) -> list[LabelProvider]:
        """Everybody who will be asked, not yet loaded."""
        made = self.make_provider()
        return [] if made is None else [made]

    def on(self, study: Study) -> Self:
        """With the study's own model where none is named."""
        return self if self.model_path else replace(self, model_path=own_model(study))

    @classmethod
    def from_params(cls, params: Mapping[str, Any], **defaults: Any) -> Self:
        """From a job's parameters: keys that are no setting are left alone, null means default.

        Raises:
            ParameterError: as :meth:`validate`.
        """
        names = {field.name for field in fields(cls)}
        given = {key: value for key, value in params.items() if key in names and value is not None}
        return cls(**{**defaults, **given})


def at_least(knob: str, value: int, least: int) -> None:
    """Refuse a number that is too small.

    Raises:
        KnobError: it is.
    """
    if value < least:
        raise KnobError(f"{{0}} is {value}; give at least {least}", knob)
