"""Labels from any server that speaks the OpenAI protocol.

OpenAI itself, vLLM, Ollama, llama.cpp, OpenRouter. Many requests at a time; a request that
has to wait before it is tried again holds no place in the line. A reply that was received
completely is kept on disk and never asked for again. The key is read when it is needed and
stored, logged or shown nowhere.
"""

from __future__ import annotations

import asyncio
import math
import os
import queue
import random
import threading
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from autointerp_core.errors import MissingDependency, ParameterError, ProviderError
from autointerp_core.home import PROJECT_ROOT
from autointerp_core.labels.answers import AnswerCache
from autointerp_core.labels.provider import (
    GREEDY,
    Budget,
    ChatPrompt,
    Completion,
    LabelProvider,
    Price,
    Settings,
    prompt_hash,
)

DEFAULT_SERVER = "https://api.openai.com/v1"
KEY_NAME = "OPENAI_API_KEY"
LONGEST_WAIT = 60.0
"""Seconds; a server that asks for more is asked again after this."""


@dataclass(frozen=True)
class Limits:
    """How hard a server is asked."""

    concurrency: int = 8
    timeout: float = 60.0
    attempts: int = 6
    first_wait: float = 0.5

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.attempts < 1 or self.timeout <= 0:
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
        self.limits = limits or Limits()
        self._cache = cache or AnswerCache(self.base_url, model)

    @property
    def model(self) -> str:
        return self._model

    def complete(
        self, prompts: Sequence[ChatPrompt], settings: Settings = GREEDY, *, fresh: bool = False
    ) -> Iterator[Completion]:
        self.stopped = None
        waiting: list[tuple[int, str]] = []
        for index, prompt in enumerate(prompts):
            key = prompt_hash(prompt, settings)
            known = None if fresh else self._cache.get(key, index)
            if known is not None:
                yield known
            else:
                waiting.append((index, key))
        if waiting:
            run = _Requests(self, prompts, settings, waiting)
            try:
                yield from run.answers()
            finally:
                run.stop()

    def keep(self, key: str, answer: Completion) -> None:
        self._cache.put(key, answer)

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
            api_key=_key(self.base_url),
            base_url=self.base_url,
            timeout=self.limits.timeout,
            max_retries=0,
        )


def _key(base_url: str) -> str:
    """The key for a server, from the environment or ``.streamlit/secrets.toml``."""
    found = os.environ.get(KEY_NAME, "").strip()
    secrets = PROJECT_ROOT / ".streamlit" / "secrets.toml"
    if not found and secrets.is_file():
        with suppress(tomllib.TOMLDecodeError):
            found = str(tomllib.loads(secrets.read_text("utf-8")).get(KEY_NAME, "")).strip()
    if found:
        return found
    if base_url.startswith(DEFAULT_SERVER):
        raise ProviderError(
            f"no API key: set {KEY_NAME} in the environment, or in .streamlit/secrets.toml"
        )
    return "none"  # local servers want a header, any header


class _Fatal(Exception):
    """Nothing further will succeed; the message is for the person."""


@dataclass
class _Requests:
    """One call's requests, run by an event loop in a thread of its own."""

    provider: OpenAIProvider
    prompts: Sequence[ChatPrompt]
    settings: Settings
    waiting: list[tuple[int, str]]
    _out: queue.SimpleQueue[Completion | Exception | None] = field(
        default_factory=queue.SimpleQueue
    )
    _loop: asyncio.AbstractEventLoop | None = None
    _main: asyncio.Task[None] | None = None
    _thread: threading.Thread | None = None

    def answers(self) -> Iterator[Completion]:
        client = self.provider.client()
        self._thread = threading.Thread(target=self._run, args=(client,), daemon=True)
        self._thread.start()
        while True:
            item = self._out.get()
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item

    def stop(self) -> None:
        """Cancel what is under way; returns when the thread has ended."""
        loop, main, thread = self._loop, self._main, self._thread
        if loop is not None and main is not None and not main.done():
            with suppress(RuntimeError):  # the loop ended between the two lines
                loop.call_soon_threadsafe(main.cancel)
        if thread is not None:
            thread.join()

    def _run(self, client: Any) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._main = asyncio.current_task()
            async with client:
                await self._all(client)

        try:
            asyncio.run(main())
            self._out.put(None)
        except asyncio.CancelledError:
            self._out.put(None)
        except _Fatal as error:
            self._out.put(ProviderError(str(error)))
        # Whatever else: it must reach the caller's thread, or the caller waits for ever.
        except Exception as error:
            self._out.put(error)

    async def _all(self, client: Any) -> None:
        places = asyncio.Semaphore(self.provider.limits.concurrency)
        tasks = [
            asyncio.ensure_future(self._one(client, places, index, key))
            for index, key in self.waiting
        ]
        try:
            for finished in asyncio.as_completed(tasks):
                answer = await finished
                if answer is not None:
                    self._out.put(answer)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(
        self, client: Any, places: asyncio.Semaphore, index: int, key: str
    ) -> Completion | None:
        """The answer to one prompt; None where the budget ended before it was asked."""
        limits, spent = self.provider.limits, self.provider.usage
        started = time.perf_counter()
        reason = ""
        for attempt in range(limits.attempts):
            async with places:
                stop = self.provider.over_budget()
                if stop is not None:
                    self.provider.stopped = stop
                    return None
                spent.requests += 1
                try:
                    return await self._ask(client, index, key, started)
                except _Again as error:
                    reason, wait = str(error), error.wait
                    if error.possibly_paid:
                        spent.possibly_paid += 1
                        spent.possibly_paid_tokens += len(self.prompts[index].text) // 4
                except _Refused as error:
                    return Completion(
                        index, None, str(error), seconds=time.perf_counter() - started
                    )
            if attempt + 1 < limits.attempts:
                pause = limits.first_wait * 2**attempt * random.uniform(0.75, 1.25)
                await asyncio.sleep(min(wait if wait is not None else pause, LONGEST_WAIT))
        return Completion(
            index,
            None,
            f"no answer after {limits.attempts} attempts ({reason})",
            seconds=time.perf_counter() - started,
        )

    async def _ask(self, client: Any, index: int, key: str, started: float) -> Completion:
        import openai

        provider, settings = self.provider, self.settings
        try:
            reply = await client.chat.completions.create(
                model=provider.model,
                messages=[
                    {"role": m.role, "content": m.content} for m in self.prompts[index].messages
                ],
                max_tokens=settings.max_new_tokens,
                temperature=settings.temperature,
                seed=settings.seed,
            )
        except openai.APIStatusError as error:
            raise _from_status(error, provider) from error
        except openai.APIResponseValidationError as error:
            raise _Refused("the server's reply could not be read") from error
        except openai.APIConnectionError as error:
            raise _from_connection(error, provider) from error
        # A body that is not JSON; the SDK has no error of its own for it.
        except ValueError as error:
            raise _Refused("the server's reply could not be read") from error
        text = _content(reply)
        usage = getattr(reply, "usage", None)
        tokens_in = int(getattr(usage, "prompt_tokens", 0) or 0)
        tokens_out = int(getattr(usage, "completion_tokens", 0) or 0)
        answer = Completion(
            index,
            text,
            None,
            tokens_in,
            tokens_out,
            time.perf_counter() - started,
            provider.cost(tokens_in, tokens_out),
        )
        provider.keep(key, answer)
        provider.count(tokens_in, tokens_out)
        return answer


class _Again(Exception):
    """Worth another attempt, after ``wait`` seconds where the server said so."""

    def __init__(self, message: str, wait: float | None = None, *, possibly_paid: bool = False):
        super().__init__(message)
        self.wait, self.possibly_paid = wait, possibly_paid


class _Refused(Exception):
    """This prompt will not be answered."""


def _content(reply: Any) -> str:
    """The text of a reply; empty where the model said nothing."""
    try:
        return str(reply.choices[0].message.content or "")
    except (AttributeError, IndexError, TypeError) as error:
        raise _Refused("the server's reply could not be read") from error


def _from_status(error: Any, provider: OpenAIProvider) -> Exception:
    status, said = int(error.status_code), _said(error)
    if status in (401, 403):
        return _Fatal(f"{provider.base_url} refused the API key ({status}): check {KEY_NAME}")
    if status == 404:
        return _Fatal(f"{provider.base_url} has no model {provider.model!r} ({said})")
    if status == 429 and "insufficient_quota" in said:
        return _Fatal(f"{provider.base_url}: the account has no quota left ({said})")
    if status in (408, 409, 429) or status >= 500:
        return _Again(f"status {status}", _retry_after(error.response.headers))
    return _Refused(f"the server refused the prompt ({status}): {said}")


def _from_connection(error: Any, provider: OpenAIProvider) -> Exception:
    import openai

    if isinstance(error, openai.APITimeoutError):
        return _Again("timed out", possibly_paid=True)
    cause = type(error.__cause__).__name__
    if cause in ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"):
        if provider.usage.requests <= provider.limits.concurrency and not provider.usage.tokens_in:
            return _Fatal(f"cannot reach {provider.base_url}: is the server running?")
        return _Again("connection refused")
    return _Again("connection cut", possibly_paid=True)


def _retry_after(headers: Any) -> float | None:
    """Seconds a server asks to wait; dates, which chat servers do not send, count as unknown."""
    try:
        wait = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return wait if math.isfinite(wait) and wait >= 0 else None


def _said(error: Any) -> str:
    """The server's message on one line, short."""
    return " ".join(str(error.message).split())[:200]
