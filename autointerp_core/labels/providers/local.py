"""Labels, and yes or no, from a transformers chat model on this machine.

Loads the model on the first prompt. Prompts are sorted by length and run together, and the
beginning that all of them share (instructions, demonstrations) is computed once; with greedy
decoding that changes no answer. Yes or no is no text: it is read from the probabilities of
the next token. CUDA out of memory halves the batch. A model without a chat template gets the
plain text, and that is said.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from autointerp_core.errors import PromptTooLong, ProviderError
from autointerp_core.labels.providers.base import (
    GREEDY,
    THINKING_ROOM,
    Budget,
    ChatPrompt,
    Completion,
    LabelProvider,
    Price,
    Settings,
    Verdict,
    cut_off,
)
from autointerp_core.labels.providers.json_reply import ends_in_json
from autointerp_core.labels.providers.local_compute import (
    SharedBeginning,
    chances,
    generate,
    tail_scores,
)
from autointerp_core.labels.providers.local_tokens import (
    continuation_ids,
    prompt_ids,
    stop_ids,
    yes_no_ids,
)
from autointerp_core.labels.providers.reply_markup import spoken
from autointerp_core.labels.providers.thought_aloud import looks_like_thought
from autointerp_core.labels.providers.yes_no_chance import LEAST_MASS, Chance
from autointerp_core.progress import ProgressCallback, silent

if TYPE_CHECKING:
    from autointerp_core.sources.model import ModelConfig

T = TypeVar("T")

BATCH = 8
JUDGED = 4
"""Times as many prompts are judged together as are generated: each is run once, not for every
token of an answer."""
RANK_BATCH = 16
"""Candidates ranked together; each holds a copy of the prompt's cache."""
DEMO_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"


class LocalProvider(LabelProvider):
    """A causal language model run by transformers.

    Args:
        model_path: hub id, local folder, or ``demo``.
        device: None takes CUDA where there is one.
        dtype: as in :func:`~autointerp_core.sources.model.resolve_dtype`.
        batch_size: prompts generated together.
        price: of a local model's tokens, for whoever pays for the machine by them.
        budget: checked before each batch.
        least_mass: of the next token's probability that yes and no must have together for a
            judgement, and one of them must be the likeliest token; 0 takes any share.
    """

    name = "local"

    def __init__(
        self,
        model_path: str,
        *,
        device: str | None = None,
        dtype: str = "auto",
        batch_size: int = BATCH,
        progress: ProgressCallback = silent,
        price: Price | None = None,
        budget: Budget | None = None,
        least_mass: float = LEAST_MASS,
    ):
        super().__init__(price=price, budget=budget)
        self.model_path = model_path
        self.least_mass = least_mass
        self._device_name, self._dtype_name = device, dtype
        self._batch = max(1, batch_size)
        self._progress = progress
        self._loaded: tuple[Any, Any] | None = None
        self._shared = SharedBeginning()
        self._thinks = False
        """It was seen to think before it answers."""

    @property
    def model(self) -> str:
        return DEMO_NAME if self.model_path == "demo" else self.model_path

    @cached_property
    def _config(self) -> ModelConfig:
        from autointerp_core.sources.model import inspect_model

        return inspect_model(self.model_path, self._progress)

    def _load(self) -> tuple[Any, Any]:
        """Model and tokenizer, loaded on the first call."""
        if self._loaded is None:
            from autointerp_core.sources.model import (
                load_chat_model,
                load_tokenizer,
                resolve_device,
                resolve_dtype,
            )

            device = resolve_device(self._device_name)
            tokenizer = load_tokenizer(self._config)
            model = load_chat_model(
                self._config, device, resolve_dtype(self._dtype_name, self._config, device)
            )
            self._loaded = model, tokenizer
            if not tokenizer.chat_template:
                self.notices.append(
                    f"{self.model} has no chat template: it gets the plain prompt, and its "
                    "labels may be poor (an instruction-tuned model does better)"
                )
        return self._loaded

    def check(self) -> None:
        _ = self._config  # read from disk or hub; raises where there is none

    def close(self) -> None:
        if self._loaded is None:
            return
        self._loaded, self._shared = None, SharedBeginning()
        gc.collect()
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def encode(self, prompt: ChatPrompt, cue: str = "Label") -> list[int]:
        """Token ids of a prompt, as the model is given them.

        ``cue`` stands before the answer where there is no chat template.
        """
        return prompt_ids(self._load()[1], prompt, cue)

    @cached_property
    def _yes_no_ids(self) -> tuple[list[int], list[int]] | None:
        """Tokens that say yes, and tokens that say no; None where they cannot be told apart."""
        return yes_no_ids(self._load()[1])

    @cached_property
    def _stops(self) -> list[int]:
        """Every token that ends an answer."""
        stops = stop_ids(*self._load())
        if not stops:
            raise ProviderError(f"{self.model} names no end-of-text token; it cannot write labels")
        return stops

    def complete(
        self, prompts: Sequence[ChatPrompt], settings: Settings = GREEDY, *, fresh: bool = False
    ) -> Iterator[Completion]:
        self.stopped = None
        if not prompts:
            return
        encoded = [self.encode(prompt) for prompt in prompts]
        more = THINKING_ROOM if self._thinks else 0
        cut: dict[int, Completion] = {}
        for i, answer, whole in self._answers(encoded, settings, more):
            if whole:
                yield answer
            elif more:
                yield replace(answer, text=None, error=cut_off(answer.tokens_out))
            else:
                cut[i] = answer
        if not cut or self.stopped is not None:
            return
        # Those whose thought was cut off get room for one, once; so do all prompts after them.
        self._thinks = True
        self._say(
            f"{self.model} thinks before it answers: it is given {THINKING_ROOM:,} tokens more"
        )
        again = list(cut)
        for n, answer, whole in self._answers([encoded[i] for i in again], settings, THINKING_ROOM):
            first = cut[again[n]]
            tokens_in = first.tokens_in + answer.tokens_in
            tokens_out = first.tokens_out + answer.tokens_out
            yield replace(
                answer,
                index=again[n],
                text=answer.text if whole else None,
                error=answer.error if whole else cut_off(answer.tokens_out),
                tokens_in=tokens_in,
                tokens_out=tokens_out,
                seconds=first.seconds + answer.seconds,
                cost=self.cost(tokens_in, tokens_out),
            )

    def _answers(
        self, encoded: Sequence[list[int]], settings: Settings, more: int
    ) -> Iterator[tuple[int, Completion, bool]]:
        """Number of the prompt, its answer, and whether that is whole.

        Not whole is a thought that the limit cut off. ``more`` are tokens beyond those of the
        settings, as far as the context has them.
        """
        context = self._config.context_size

        def answered(rows: list[list[int]]) -> list[tuple[str, int, bool]]:
            room = settings.max_new_tokens + more
            if context is not None:
                room = max(settings.max_new_tokens, min(room, context - max(map(len, rows))))
            made = generate(
                *self._load(),
                self._stops,
                self._shared,
                rows,
                replace(settings, max_new_tokens=room),
            )
            return [(text, size, size >= room) for text, size in made]

        for i, found, seconds in self._run(encoded, settings.max_new_tokens, self._batch, answered):
            size = len(encoded[i])
            if found is None:
                yield i, Completion(i, None, self._too_long(size), too_long=True), True
                continue
            written, n_out, full = found
            self.count(size, n_out)
            said = spoken(written)
            thought = said.unfinished or looks_like_thought(said.text) or ends_in_json(said.text)
            answer = Completion(i, said.text, None, size, n_out, seconds, self.cost(size, n_out))
            yield i, answer, not (full and thought)

    def _say(self, notice: str) -> None:
        if notice not in self.notices:
            self.notices.append(notice)

    def yes_no(self, prompts: Sequence[ChatPrompt], *, fresh: bool = False) -> Iterator[Verdict]:
        """Probability of yes, from those of the next token: yes / (yes + no), every spelling.

        Missing where the model would rather say something else (``least_mass``).
        """
        self.stopped = None
        if not prompts:
            return
        if self._yes_no_ids is None:
            # A vocabulary in which both words begin alike: the answer has to be written out.
            yield from super().yes_no(prompts, fresh=fresh)
            return
        encoded = [self.encode(prompt, "Answer") for prompt in prompts]
        words = self._yes_no_ids

        def judge(rows: list[list[int]]) -> list[Chance]:
            return chances(*self._load(), words, self._shared, rows, self.least_mass)

        for i, found, seconds in self._run(encoded, 0, JUDGED, judge):
            size = len(encoded[i])
            if found is None:
                yield Verdict(i, None, self._too_long(size), too_long=True)
                continue
            self.count(size, 0)
            cost = self.cost(size, 0)
            yield Verdict(i, found.probability, found.error, size, 0, seconds, cost)

    def _too_long(self, size: int) -> str:
        return f"the prompt has {size} tokens; {self.model} takes {self._config.context_size}"

    def _run(
        self,
        encoded: Sequence[list[int]],
        room: int,
        times: int,
        work: Callable[[list[list[int]]], list[T]],
    ) -> Iterator[tuple[int, T | None, float]]:
        """``work`` on all prompts, the short ones first.

        Args:
            encoded: token ids of each prompt.
            room: tokens that must be free behind a prompt.
            times: batches given to ``work`` together; halved while the GPU is too small.

        Yields:
            Number of the prompt, what came of it (None: it is too long), seconds.
        """
        limit = self._config.context_size
        order = sorted(range(len(encoded)), key=lambda i: (len(encoded[i]), i))
        fitting = []
        for i in order:
            if limit is not None and len(encoded[i]) + room > limit:
                yield i, None, 0.0
            else:
                fitting.append(i)
        self._shared.run(self._load()[0], [encoded[i] for i in fitting])
        at, batch = 0, times * self._batch
        while at < len(fitting):
            self.stopped = self.over_budget()
            if self.stopped is not None:
                return
            chosen = fitting[at : at + batch]
            started = time.perf_counter()
            try:
                found = work([encoded[i] for i in chosen])
            except _out_of_memory() as error:
                if len(chosen) == 1:
                    raise ProviderError(
                        f"not enough memory on the GPU for {self.model} and one prompt of "
                        f"{len(encoded[chosen[0]])} tokens; use a smaller model or device cpu"
                    ) from error
                batch = max(1, len(chosen) // 2)
                self._batch = max(1, batch // times)
                _free_cuda()
                continue
            each = (time.perf_counter() - started) / len(chosen)
            self.usage.requests += len(chosen)
            for i, result in zip(chosen, found, strict=True):
                yield i, result, each
            at += len(chosen)

    def rank(self, prompt: ChatPrompt, candidates: Sequence[str]) -> list[float]:
        """Log-probability of each candidate, followed by the end of the answer.

        The prompt is run once; its cache serves all candidates, and they are counted so. An
        empty list where there are candidates means that :attr:`stopped` says why.

        Raises:
            PromptTooLong: the prompt and the longest candidate do not fit the model's context.
            ProviderError: the memory does not hold one candidate.
        """
        self.stopped = None
        if not candidates:
            return []
        self.stopped = self.over_budget()
        if self.stopped is not None:
            return []
        model, tokenizer = self._load()
        head = self.encode(prompt)
        tails = [[*continuation_ids(tokenizer, text), self._stops[0]] for text in candidates]
        longest = len(head) + max(len(tail) for tail in tails)
        if self._config.context_size is not None and longest > self._config.context_size:
            raise PromptTooLong(
                f"the prompt and a candidate have {longest} tokens; {self.model} takes "
                f"{self._config.context_size}"
            )
        scores: list[float] = []
        batch = RANK_BATCH
        while len(scores) < len(tails):
            part = tails[len(scores) : len(scores) + batch]
            try:
                scores += tail_scores(model, head, part)
            except _out_of_memory() as error:
                if batch == 1:
                    raise ProviderError(
                        f"not enough memory on the GPU to rank with {self.model}; use a smaller "
                        "model or device cpu"
                    ) from error
                batch = max(1, min(batch, len(part)) // 2)
                _free_cuda()
        self.usage.requests += 1
        self.count(len(head) + sum(len(tail) for tail in tails), 0)
        return scores


def _out_of_memory() -> type[BaseException]:
    import torch

    return torch.OutOfMemoryError


def _free_cuda() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
