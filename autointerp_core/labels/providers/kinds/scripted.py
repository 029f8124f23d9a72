"""Canned answers: for trying the program without a model."""

from __future__ import annotations

from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.labels.providers.make import PROVIDERS, ProviderKind, ProviderOptions


def _make(options: ProviderOptions) -> LabelProvider:
    from autointerp_core.labels.providers.scripted import ScriptedProvider, shares_a_word

    return ScriptedProvider(verdicts=shares_a_word, price=options.price, budget=options.budget)


PROVIDERS.register(
    "scripted", ProviderKind("Scripted: canned answers, no model", _make, has_model=False)
)
