"""Several proposals a feature: which questions to ask, and labels chosen by likelihood.

A model too small to write a good label can still tell which of some phrases fits: counting
finds the phrases (:meth:`SearchLabeler.candidates`), the model says how much likelier each
becomes once it has seen the examples. The examples are encoded once for all phrases.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from autointerp_core.errors import PromptTooLong
from autointerp_core.labels.document_split import Split, shown_examples
from autointerp_core.labels.explain.asked_before import (
    failed_questions,
    known_questions,
    llm_source,
)
from autointerp_core.labels.explain.held_out import NothingToShow
from autointerp_core.labels.explain.prompts import METHODS, PromptMethod, get_method
from autointerp_core.labels.explain.report import GenerationReport
from autointerp_core.labels.providers.base import (
    ChatPrompt,
    LabelProvider,
    Message,
    Settings,
    prompt_hash,
)
from autointerp_core.labels.search.labeler import SearchLabeler
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.event_details import FAILED_BY_ANSWER, RankingDetails
from autointerp_core.store.events import FAILED, GENERATED
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Example

RANKED = "ranked"
"""The method that lets a model choose among phrases that counting found, by likelihood."""
PHRASES = 16
"""Phrases ranked a feature."""
WARM = 0.8
"""Temperature of proposals that ask a question a second time."""
_ASKED_WITH = "words"
"""The prompt that phrases are ranked under: the shortest, which small models follow best."""

Ask = tuple[str, Settings]


def plan(method: str, candidates: int, *, ranks: bool) -> list[Ask]:
    """The questions to put for ``candidates`` proposals, the search label being one of them.

    The method that was asked for comes last, so that its label is the newest.
    """
    wanted = max(1, candidates - 1)
    first: list[Ask] = [(method, Settings() if method == RANKED else get_method(method).settings)]
    more: list[Ask] = [(RANKED, Settings())] if ranks and method != RANKED else []
    more += [
        (other.name, other.settings)
        for other in METHODS.values()
        if other.further is not None and other.name != method
    ]
    base = get_method(method if method in METHODS else _ASKED_WITH)
    for seed in range(1, wanted + 1):
        more.append((base.name, replace(base.settings, temperature=WARM, seed=seed)))
    return [*reversed(more[: wanted - 1]), *first]


def can_rank(provider: LabelProvider) -> bool:
    """True for providers that give probabilities of whole answers."""
    return type(provider).rank is not LabelProvider.rank


def rank_labels(
    split: Split,
    features: Sequence[int],
    provider: LabelProvider,
    history: LabelHistory,
    labeler: SearchLabeler,
    *,
    max_examples: int = 10,
    hint: str | None = None,
    regenerate: bool = False,
    progress: ProgressCallback = silent,
) -> GenerationReport:
    """Record, for each feature, the phrase that its examples make likeliest.

    Likelihood given the examples, less the phrase's likelihood given none: a phrase that is
    likely anyway says nothing about them.

    Raises:
        ProviderError: the provider gives no probabilities.
        BadInput: a feature is not in the study, or the model cannot be loaded.
    """
    study, method = split.study, get_method(_ASKED_WITH)
    sae, source = study.info.sae_fingerprint, llm_source(provider)
    report = GenerationReport()
    asked_before = (history, split, RANKED, source)
    known = set() if regenerate else known_questions(*asked_before)
    failed = set() if regenerate else failed_questions(*asked_before)
    too_long = f"the prompt is too long for {provider.model}, even with one example"
    nothing = NothingToShow(split, history, source, RANKED, report)
    started = time.perf_counter()
    for done, feature in enumerate(features):
        progress(Progress("ranked labels", done, len(features), "features"))
        examples = shown_examples(split, feature, limit=max_examples)
        phrases = labeler.candidates(feature, PHRASES) if examples else []
        if not phrases:
            nothing.add(feature)
            continue
        prompt = method.build(study, feature, examples, hint)
        key = prompt_hash(prompt.with_last("\n".join(phrases)), Settings())
        if (feature, key) in known:
            report.reused += 1
            continue
        if (feature, key) in failed:
            report.fail(too_long)
            continue
        before, used = time.perf_counter(), provider.usage.tokens_in
        gains = _gains(provider, method, split, feature, examples, phrases, hint)
        tokens = provider.usage.tokens_in - used
        report.tokens_in += tokens
        if provider.stopped:
            report.stopped = provider.stopped
            break
        if not gains:
            details = RankingDetails(
                prompt_hash=key, documents=split.shown, failure=FAILED_BY_ANSWER
            )
            history.record(
                sae,
                feature,
                FAILED,
                source=source,
                method=RANKED,
                reason=too_long,
                details=details.to_json(),
                study=study.id,
            )
            report.fail(too_long)
            continue
        best = max(range(len(phrases)), key=lambda i: gains[i])
        details = RankingDetails(
            prompt_hash=key,
            documents=split.shown,
            phrases=dict(zip(phrases, gains, strict=True)),
            seconds=time.perf_counter() - before,
            tokens_in=tokens,
        )
        history.record(
            sae,
            feature,
            GENERATED,
            phrases[best],
            source=source,
            method=RANKED,
            details=details.to_json(),
            study=study.id,
        )
        report.made += 1
    nothing.record()
    progress(Progress("ranked labels", len(features), len(features), "features"))
    report.seconds = time.perf_counter() - started
    report.notices = list(provider.notices)
    return report


def _gains(
    provider: LabelProvider,
    method: PromptMethod,
    split: Split,
    feature: int,
    examples: Sequence[Example],
    phrases: Sequence[str],
    hint: str | None,
) -> list[float]:
    """:func:`likelihood_gain`, with fewer examples where they are too long; empty: none fit."""
    while examples:
        prompt = method.build(split.study, feature, examples, hint)
        try:
            return likelihood_gain(provider, prompt, phrases)
        except PromptTooLong:
            examples = examples[: len(examples) // 2]
    return []


def likelihood_gain(
    provider: LabelProvider, prompt: ChatPrompt, phrases: Sequence[str]
) -> list[float]:
    """How much likelier (log, summed over tokens) each phrase is under ``prompt`` than without.

    Empty where a budget ended it: ``provider.stopped`` says so.

    Raises:
        PromptTooLong: the prompt and a phrase do not fit.
    """
    given = provider.rank(prompt, phrases)
    empty = provider.rank(without_examples(prompt), phrases) if given else []
    if not empty:
        return []
    return [a - b for a, b in zip(given, empty, strict=True)]


def without_examples(prompt: ChatPrompt) -> ChatPrompt:
    """The same question about nothing: instructions and demonstrations stay."""
    return ChatPrompt((*prompt.messages[:-1], Message("user", "Words:")))
