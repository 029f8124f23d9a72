"""How labels are to be made, and how they are to be scored: frozen records, checked once.

The same ones from the command line, the app's form, a job and Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from annotated_doc import Doc

from autointerp_core.errors import KnobError
from autointerp_core.labels.embedders import WORDLLAMA, make_embedder
from autointerp_core.labels.explain.prompts import METHODS
from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.labels.providers.config import ProviderConfig, at_least
from autointerp_core.labels.providers.make import NONE, PROVIDERS, make_provider
from autointerp_core.labels.registry import one_of
from autointerp_core.labels.scoring.config import ScoreConfig, ScoringConfig
from autointerp_core.labels.search.rank_phrases import RANKED
from autointerp_core.store.study import GROUPS

__all__ = ["PARAMETERS", "LabelConfig", "ProviderConfig", "ScoreConfig"]

PARAMETERS: Mapping[str, str] = {
    "provider": "label_provider",
    "model_path": "label_model_path",
    "base_url": "label_base_url",
    "concurrency": "label_concurrency",
    "method": "label_method",
    "max_examples": "max_examples_for_labeling",
    "hint": "label_hint",
    "scorers": "scoring",
}
"""Fields of :class:`LabelConfig` that ``run_labeling`` and the command know by another name."""


@dataclass(frozen=True, kw_only=True)
class LabelConfig(ScoringConfig):
    """How to label features: who writes, from what, and how the labels are scored.

    Budgets bound the whole run, the scores with it.
    """

    method: Annotated[
        str,
        Doc(
            f"Prompt method of the LLM label: {', '.join(METHODS)}, or {RANKED} (phrases found by "
            "counting, chosen by likelihood: for models too small to write)."
        ),
    ] = "peaks"
    max_examples: Annotated[int, Doc("Examples shown to the model that writes labels.")] = 10
    group: Annotated[
        str, Doc("Which examples it is shown: top, or quantile_1 (strongest) to quantile_4.")
    ] = "top"
    hint: Annotated[
        str | None, Doc("What the texts are about, say finance; told to the labeller.")
    ] = None
    candidates: Annotated[
        int,
        Doc(
            "Proposals a feature: the search label, and at least one of the model; with scores "
            "the best one on validation documents is the label."
        ),
    ] = 2
    output_labels: Annotated[
        bool,
        Doc(
            "Also propose the tokens that the feature's decoder direction makes likelier (needs "
            "the study's logits)."
        ),
    ] = False
    regenerate: Annotated[
        bool, Doc("Make labels anew that exist already. Never changes an accepted one.")
    ] = False
    search_embedder: Annotated[
        str,
        Doc(
            "Chooses the words of search labels: wordllama (seconds); minilm or auto, which read "
            "windows with the model that scores and take ten times as long."
        ),
    ] = WORDLLAMA
    hold_out: Annotated[
        bool,
        Doc(
            "Keep half of the documents from the labeller, to score labels on. Without it labels "
            "are made from all documents and cannot be scored."
        ),
    ] = True
    judge_provider: Annotated[
        str | None, Doc("Provider of the judge; by default the labeller's.")
    ] = None
    judge_model_path: Annotated[
        str | None, Doc("Model that judges; by default the labeller's.")
    ] = None

    def validate(self) -> None:
        super().validate()
        one_of("method", self.method, (*METHODS, RANKED))
        one_of("group", self.group, GROUPS)
        at_least("max_examples", self.max_examples, 1)
        at_least("candidates", self.candidates, 1)
        make_embedder(self.search_embedder)
        if self.judge_provider is not None:
            one_of("judge_provider", self.judge_provider, PROVIDERS.names)
        if self.method == RANKED and self.provider != NONE and not PROVIDERS[self.provider].ranks:
            raise KnobError(
                "{0} 'ranked' needs probabilities of whole phrases, which the "
                f"{self.provider} provider does not give; use {{1}} 'local'",
                *("method", "provider"),
            )
        if self.scorers and not self.hold_out:
            raise KnobError(
                "scores need documents that the labeller has not seen; give {0} or {1}, not {1} "
                "without {0}",
                *("hold_out", "scorers"),
            )
        if self.judged:
            self._check_judge()

    def _check_judge(self) -> None:
        if self.provider == NONE and self.judge_provider is None:
            raise KnobError(
                f"{{0}} by {', '.join(self.judged)} asks a language model; with {{1}} 'none' give "
                "{2} and {3}, or score by embedding alone",
                *("scorers", "provider", "judge_provider", "judge_model_path"),
            )
        judge = self.judge_provider or self.provider
        other = judge != self.provider and self.provider != NONE and PROVIDERS[judge].has_model
        if other and self.judge_model_path is None:
            raise KnobError(
                f"{{0}} {judge!r} is another one than {{1}}'s; say which model judges: {{2}}",
                *("judge_provider", "provider", "judge_model_path"),
            )

    @property
    def paid(self) -> bool:
        judge = self.judge_provider if self.judged else None
        return super().paid or (judge is not None and PROVIDERS[judge].paid)

    @property
    def scoring(self) -> ScoreConfig | None:
        """How the labels are scored once they are made; None where they are not."""
        if not self.scorers:
            return None
        return ScoreConfig(
            provider=self.judge_provider or self.provider,
            model_path=self.judge_model_path or self.model_path,
            base_url=self.base_url,
            concurrency=self.concurrency,
            device=self.device,
            dtype=self.dtype,
            price_in=self.price_in,
            price_out=self.price_out,
            budget_dollars=self.budget_dollars,
            budget_tokens=self.budget_tokens,
            scorers=self.scorers,
            score_windows=self.score_windows,
            embedder=self.embedder,
            harder_windows=self.harder_windows,
        )

    def providers(self) -> list[LabelProvider]:
        made = self.make_provider()
        judge = self.make_judge_provider(made)
        found = [made, None if judge is made else judge]
        return [provider for provider in found if provider is not None]

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
        options = replace(self.options(name), model_path=self.judge_model_path or self.model_path)
        if labeller is not None:
            left = options.budget.less(labeller.usage)
            if left is None:
                return None
            options = replace(options, budget=left)
        return make_provider(name, options)
