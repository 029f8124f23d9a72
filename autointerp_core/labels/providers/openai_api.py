"""Labels, and yes or no, from any server that speaks the OpenAI protocol.

OpenAI itself, vLLM, Ollama, llama.cpp, OpenRouter. What is here: the provider, its limits and
its memory. :mod:`.openai_requests` sends, :mod:`.openai_wire` knows requests and replies,
:mod:`.openai_errors` what went wrong, :mod:`.openai_key` the key.

A reply that was received completely is kept on disk, also where it could not be read, and is not
asked for again unless a caller wants a fresh one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from autointerp_core.errors import MissingDependency
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
    read_yes_no,
    verdict,
)
from autointerp_core.labels.providers.openai_key import find_key, server_address
from autointerp_core.labels.providers.openai_requests import Requests
from autointerp_core.labels.providers.openai_server import Limits, Question, Reply


class OpenAIProvider(LabelProvider):
    """Chat completions over HTTP.

    Args:
        model: as the server names it.
        base_url: of the server; by default ``OPENAI_BASE_URL``, else OpenAI. It is sent
            only a key that is bound to its host (:mod:`.openai_key`).
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
        self.base_url = server_address(base_url)
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
                yield _still_a_judgement(Reply(*known)) if judged else Reply(*known)
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

    def learn(self, dialect: wire.Dialect, said: str = "") -> None:
        """Ask in this way from now on; what a person should know of it is said once."""
        quoted = f" (it said: {said})" if said else ""
        for name in wire.changed(self.dialect, dialect):
            self.say(wire.SAID_ONCE[name].format(model=self.model) + quoted)
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


def _still_a_judgement(reply: Reply) -> Reply:
    """A judgement kept by a version that took any share of the probability for one.

    What it kept as text is the token that the model chose.
    """
    chosen = reply.answer.text or ""
    if reply.probability is None or not chosen.strip() or read_yes_no(chosen) is not None:
        return reply
    error = f"neither yes nor no (it answered: {' '.join(chosen.split())!r})"
    return Reply(replace(reply.answer, text=None, error=error))
