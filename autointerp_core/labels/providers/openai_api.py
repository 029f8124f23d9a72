"""Labels, and yes or no, from any server that speaks the OpenAI protocol.

OpenAI itself, vLLM, Ollama, llama.cpp, OpenRouter. What is here: the provider, its limits and
its memory. :mod:`.openai_requests` sends, :mod:`.openai_wire` knows requests and replies,
:mod:`.openai_errors` what went wrong, :mod:`.openai_key` the key.

A reply that was received completely is kept on disk, also where it could not be read, and is not
asked for again unless a caller wants a fresh one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from autointerp_core.errors import MissingDependency, ParameterError
from autointerp_core.labels.providers import openai_wire as wire
from autointerp_core.labels.providers.answer_cache import AnswerCache
from autointerp_core.labels.providers.base import (
    GREEDY,
    YES_NO,
    Budget,
    ChatPrompt,
    Completion,
    LabelProvider,
    Price,
    Settings,
    Verdict,
    prompt_hash,
    verdict,
)
from autointerp_core.labels.providers.openai_key import DEFAULT_SERVER, find_key, shown
from autointerp_core.labels.providers.openai_requests import Question, Reply, Requests


@dataclass(frozen=True)
class Limits:
    """How hard a server is asked."""

    concurrency: int = 8
    timeout: float = 60.0
    attempts: int = 6
    first_wait: float = 0.5

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.attempts < 1 or not self.timeout > 0:
            raise ParameterError("concurrency, attempts and timeout must be positive")


class OpenAIProvider(LabelProvider):
    """Chat completions over HTTP.

    Args:
        model: as the server names it.
        base_url: of the server; by default ``OPENAI_BASE_URL``, else OpenAI.
        limits: concurrency, timeouts and attempts.
        price: where known; without it costs are unknown, and a money budget is refused.
        budget: what this object may spend before a call ends early.
        cache: where answers are kept; None: under the home folder.

    Raises:
        ParameterError: the address is none, or there is a money budget without a price.
    """

    name = "openai"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        limits: Limits | None = None,
        price: Price | None = None,
        budget: Budget | None = None,
        cache: AnswerCache | None = None,
    ):
        super().__init__(price=price, budget=budget)
        self._model = model
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_SERVER
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ParameterError(
                f"the base URL {shown(self.base_url)!r} is no address; it begins with http:// or "
                "https:// and usually ends with /v1"
            )
        self.limits = limits or Limits()
        self._cache = cache or AnswerCache(self.base_url, model)
        self.dialect = wire.Dialect()
        """What the server was found to take."""
        self.reached = False
        """Whether the server ever answered anything."""

    @property
    def model(self) -> str:
        return self._model

    def complete(
        self, prompts: Sequence[ChatPrompt], settings: Settings = GREEDY, *, fresh: bool = False
    ) -> Iterator[Completion]:
        keys = [prompt_hash(prompt, settings) for prompt in prompts]
        for reply in self._replies(prompts, keys, settings, judged=False, fresh=fresh):
            yield reply.answer

    def yes_no(self, prompts: Sequence[ChatPrompt], *, fresh: bool = False) -> Iterator[Verdict]:
        """Probability of yes among the likeliest first tokens, where the server gives those.

        Elsewhere the word that it answers.
        """
        keys = [prompt_hash(prompt, YES_NO, kind="yes_no") for prompt in prompts]
        for reply in self._replies(prompts, keys, YES_NO, judged=True, fresh=fresh):
            yield verdict(reply.answer, reply.probability)

    def _replies(
        self,
        prompts: Sequence[ChatPrompt],
        keys: Sequence[str],
        settings: Settings,
        *,
        judged: bool,
        fresh: bool,
    ) -> Iterator[Reply]:
        """Known answers first, then what the server says, equal prompts asked once."""
        self.stopped = None
        places: dict[str, list[int]] = {}
        for index, key in enumerate(keys):
            known = None if fresh else self._cache.find(key, index)
            if known is not None:
                yield Reply(*known)
            else:
                places.setdefault(key, []).append(index)
        if not places:
            return
        questions = [
            Question(tuple(indices), prompts[indices[0]], key) for key, indices in places.items()
        ]
        run = Requests(self, questions, settings, judged)
        try:
            yield from run.replies()
        finally:
            run.stop()

    def keep(self, key: str, answer: Completion, probability: float | None) -> None:
        """Never ask for this again."""
        self._cache.put(key, answer, probability)

    def learn(self, dialect: wire.Dialect) -> None:
        """Ask in this way from now on; what a person should know of it is said once."""
        for name in wire.changed(self.dialect, dialect):
            self.say(wire.SAID_ONCE[name].format(model=self.model))
        self.dialect = dialect

    def say(self, notice: str) -> None:
        """Add a notice, once."""
        if notice not in self.notices:
            self.notices.append(notice)

    def check(self) -> None:
        find_key(self.base_url)

    def client(self) -> Any:
        """The SDK's asynchronous client; it makes no attempts of its own.

        Raises:
            MissingDependency: the SDK is not installed.
            ProviderError: there is no key.
        """
        try:
            from openai import AsyncOpenAI
        except ImportError as error:
            raise MissingDependency(
                "the openai provider needs the openai package: pip install openai"
            ) from error
        return AsyncOpenAI(
            api_key=find_key(self.base_url),
            base_url=self.base_url,
            timeout=self.limits.timeout,
            max_retries=0,
        )
