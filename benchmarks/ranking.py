"""What encoding a shared context once saves a local model: ranking phrases, and writing freely.

Both ways of each are timed in turns in one process, on the same prompts; only ratios are
reported, with the answers compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.labels.providers.local import LocalProvider

_T = TypeVar("_T")


@dataclass(frozen=True)
class Saving:
    """``ratio`` is the slow way's time over the quick way's, median over ``repeats``."""

    ratio: float
    repeats: int
    worst_difference: float
    """Between the two ways' log-probabilities, or the share of answers that differ."""


def rank_saving(
    provider: LocalProvider, asked: Sequence[tuple[ChatPrompt, Sequence[str]]]
) -> Saving:
    """One cached context for all phrases of a prompt, against the context encoded per phrase."""
    ratios, worst = [], 0.0
    prompt, phrases = asked[0]
    provider.rank(prompt, phrases[:2])  # loads the model
    for prompt, phrases in asked:
        together, quick = _timed(partial(provider.rank, prompt, phrases))
        alone, slow = _timed(partial(_one_by_one, provider, prompt, phrases))
        ratios.append(slow / quick)
        worst = max(worst, *(abs(a - b) for a, b in zip(together, alone, strict=True)))
    return Saving(statistics.median(ratios), len(ratios), worst)


def batching_saving(model_path: str, prompts: Sequence[ChatPrompt], repeats: int = 3) -> Saving:
    """Free-form answers in batches with a shared beginning, against one prompt at a time."""
    batched, single = LocalProvider(model_path), LocalProvider(model_path, batch_size=1)
    ratios, differing = [], 0.0
    for provider in (batched, single):
        list(provider.complete(prompts[:1]))  # loads the model
    for _ in range(repeats):
        quick_answers, quick = _timed(partial(_answers, batched, prompts))
        slow_answers, slow = _timed(partial(_each_alone, single, prompts))
        ratios.append(slow / quick)
        same = sum(a == b for a, b in zip(quick_answers, slow_answers, strict=True))
        differing = max(differing, 1 - same / len(prompts))
    batched.close()
    single.close()
    return Saving(statistics.median(ratios), repeats, differing)


def _one_by_one(provider: LocalProvider, prompt: ChatPrompt, phrases: Sequence[str]) -> list[float]:
    return [provider.rank(prompt, [phrase])[0] for phrase in phrases]


def _each_alone(provider: LocalProvider, prompts: Sequence[ChatPrompt]) -> list[str | None]:
    return [_answers(provider, [prompt])[0] for prompt in prompts]


def _answers(provider: LocalProvider, prompts: Sequence[ChatPrompt]) -> list[str | None]:
    found = {answer.index: answer.text for answer in provider.complete(prompts)}
    return [found[i] for i in range(len(prompts))]


def _timed(act: Callable[[], _T]) -> tuple[_T, float]:
    started = time.perf_counter()
    result = act()
    return result, time.perf_counter() - started
