"""How labels are to be made and scored: one frozen record from the caller to the providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from autointerp_core.errors import ParameterError
from autointerp_core.labels.explain.prompts import METHODS
from autointerp_core.labels.providers.base import Budget, LabelProvider, Price
from autointerp_core.labels.providers.make import PROVIDERS, ProviderOptions, make_provider
from autointerp_core.labels.scoring.names import JUDGED, NONE, SCORERS, one_of
from autointerp_core.store.study import GROUPS

RANKED = "ranked"
"""The method that lets a model choose among phrases that counting found, by likelihood."""


@dataclass(frozen=True)
class LabelOptions:
    """What :func:`~autointerp_core.labels.run.label_features` is to do.

    ``candidates`` counts proposals a feature, the search label among them; ``price_*`` are US
    dollars a million tokens; budgets bound the whole run. ``hold_out=False`` shows the labeller
    every document, and then nothing can be scored.
    """

    provider: str = "local"
    model_path: str = ""
    method: str = "peaks"
    max_examples: int = 10
    group: str = "top"
    hint: str | None = None
    candidates: int = 2
    regenerate: bool = False
    hold_out: bool = True
    scorers: tuple[str, ...] = ()
    score_windows: int = 20
    judge_provider: str | None = None
    judge_model_path: str | None = None
    base_url: str | None = None
    device: str | None = None
    dtype: str = "auto"
    price_in: float | None = None
    price_out: float | None = None
    budget_dollars: float | None = None
    budget_tokens: int | None = None
    concurrency: int = 8
    embedder: str = "wordllama"

    def __post_init__(self) -> None:
        one_of("label_provider", self.provider, (*PROVIDERS, NONE))
        one_of("label_method", self.method, (*METHODS, RANKED))
        one_of("example group", self.group, GROUPS)
        if self.judge_provider is not None:
            one_of("judge_provider", self.judge_provider, PROVIDERS)
        for name, value, least in (
            ("max_examples_for_labeling", self.max_examples, 1),
            ("candidates", self.candidates, 1),
            ("score_windows", self.score_windows, 5),
            ("label_concurrency", self.concurrency, 1),
        ):
            if value < least:
                raise ParameterError(f"{name} is {value}; give at least {least}")
        for scorer in self.scorers:
            one_of("scoring", scorer, SCORERS)
        if self.method == RANKED and self.provider not in ("local", NONE):
            raise ParameterError(
                f"label_method 'ranked' needs probabilities of whole phrases, which the "
                f"{self.provider} provider does not give; use label_provider 'local'"
            )
        other = self.judge_provider not in (None, self.provider, "scripted")
        if self.judged and other and self.provider != NONE and self.judge_model_path is None:
            raise ParameterError(
                f"judge_provider {self.judge_provider!r} is another one than label_provider's; "
                "say which model judges: judge_model_path"
            )
        if self.scorers and not self.hold_out:
            raise ParameterError(
                "scores need documents that the labeller has not seen; give hold_out or scoring, "
                "not scoring without hold_out"
            )
        if self.judged and self.provider == NONE and self.judge_provider is None:
            raise ParameterError(
                f"scoring by {', '.join(self.judged)} asks a language model; with label_provider "
                "'none' give judge_provider and judge_model_path, or score by embedding alone"
            )
        self.provider_options(self.provider)

    @property
    def judged(self) -> tuple[str, ...]:
        """The scorers that need a judge."""
        return tuple(scorer for scorer in self.scorers if scorer in JUDGED)

    @property
    def paid(self) -> bool:
        """Whether a server is asked, which may want money."""
        return "openai" in (self.provider, self.judge_provider if self.judged else None)

    @property
    def price(self) -> Price | None:
        if self.price_in is None and self.price_out is None:
            return None
        if self.price_in is None or self.price_out is None:
            raise ParameterError("give both prices, price_in and price_out, or neither")
        return Price(self.price_in, self.price_out)

    def provider_options(self, name: str) -> ProviderOptions:
        """What the provider called ``name`` needs to know; only a server has prices.

        Raises:
            ParameterError: half a price, a budget of 0, a money budget without a price.
        """
        price = self.price
        budget = Budget(tokens=self.budget_tokens, dollars=self.budget_dollars)
        if budget.dollars is not None and price is None:
            raise ParameterError(
                "a money budget needs prices: give price_in and price_out, or budget_tokens"
            )
        if name == "local":  # nobody is paid, so money bounds nothing
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
        """Who writes labels, not yet loaded; None where nobody does."""
        if self.provider == NONE:
            return None
        return make_provider(self.provider, self.provider_options(self.provider))

    def check(self) -> None:
        """See that whoever writes and judges can be asked, before anything is computed.

        Raises:
            ProviderSetupError: no key.
            BadInput: no such model.
        """
        writer = self.make_provider()
        judge = self.make_judge_provider(writer)
        for provider in (writer, judge):
            if provider is not None:
                provider.check()

    def make_judge_provider(self, labeller: LabelProvider | None) -> LabelProvider | None:
        """Who judges labels: the labeller itself unless another is named.

        Another one may spend what the labeller left of the budget. None where nothing is judged
        or nothing is left.
        """
        if not self.judged:
            return None
        same_model = self.judge_model_path in (None, self.model_path)
        if self.judge_provider in (None, self.provider) and same_model:
            return labeller
        name = self.judge_provider or self.provider
        model = self.judge_model_path or self.model_path
        options = replace(self.provider_options(name), model_path=model)
        if labeller is not None:
            left = options.budget.less(labeller.usage)
            if left is None:
                return None
            options = replace(options, budget=left)
        return make_provider(name, options)

    @classmethod
    def from_params(cls, params: Mapping[str, Any], **defaults: Any) -> LabelOptions:
        """From a job's parameters: keys that are no option are left alone, null means default."""
        names = {field.name for field in fields(cls)}
        given = {k: v for k, v in params.items() if k in names and v is not None}
        if "scorers" in given:
            given["scorers"] = tuple(given["scorers"])
        return cls(**{**defaults, **given})
