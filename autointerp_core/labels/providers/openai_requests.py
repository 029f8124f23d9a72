"""The requests of one call: many at a time, tried again, stopped by the budget.

They are run by an event loop in a thread of its own, so that the caller reads answers from an
ordinary iterator. A prompt waiting for its next attempt holds no place in the line.
"""

from __future__ import annotations

import asyncio
import queue
import random
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import ProviderError, ProviderSetupError
from autointerp_core.labels.providers import openai_errors as errors
from autointerp_core.labels.providers import openai_wire as wire
from autointerp_core.labels.providers.base import ChatPrompt, Completion, Settings
from autointerp_core.labels.providers.openai_errors import (
    Again,
    Fatal,
    Refused,
    Unreachable,
    Unreadable,
)

if TYPE_CHECKING:
    from autointerp_core.labels.providers.openai_api import OpenAIProvider

LONGEST_WAIT = 60.0
"""Seconds; a server that asks for more is asked again after this."""
SHAPES = 10
"""Times one attempt is shaped anew for what a server takes; more than there are parameters."""


@dataclass(frozen=True)
class Reply:
    """An answer, and the probability of yes where one was asked for and given."""

    answer: Completion
    probability: float | None = None


@dataclass(frozen=True)
class Question:
    """One prompt to send; ``indices`` are the places it has in the call, at least one."""

    indices: tuple[int, ...]
    prompt: ChatPrompt
    key: str
    """Its hash, for the cache."""


class Line:
    """Places for requests; a prompt that is tried again goes to the front.

    At the back, the failures of a whole run would be tried again one after the other at its
    end, with most places empty.
    """

    def __init__(self, places: int):
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self, *, again: bool) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            (self._waiting.appendleft if again else self._waiting.append)(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave()
                raise
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


@dataclass
class Requests:
    """One call.

    Args:
        provider: whose server, limits, budget and cache are used.
        questions: each is answered once, however many places it has.
        settings: of generation.
        judged: ask for the probability of yes.
    """

    provider: OpenAIProvider
    questions: Sequence[Question]
    settings: Settings
    judged: bool = False
    _out: queue.SimpleQueue[Reply | Exception | None] = field(default_factory=queue.SimpleQueue)
    _loop: asyncio.AbstractEventLoop | None = None
    _main: asyncio.Task[None] | None = None
    _thread: threading.Thread | None = None
    _ready: threading.Event = field(default_factory=threading.Event)
    _under_way: list[int] = field(default_factory=lambda: [0, 0])
    """Tokens in and out that the requests now under way may use."""
    _answered: int = 0
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    def replies(self) -> Iterator[Reply]:
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
        thread = self._thread
        if thread is None:
            return
        self._ready.wait()
        if self._loop is not None and self._main is not None and not self._main.done():
            with suppress(RuntimeError):  # the loop ended between the two lines
                self._loop.call_soon_threadsafe(self._main.cancel)
        thread.join()

    def _run(self, client: Any) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._main = asyncio.current_task()
            self._ready.set()
            async with client:
                await self._all(client)

        try:
            asyncio.run(main())
            self._out.put(None)
        except asyncio.CancelledError:
            self._out.put(None)
        except Fatal as error:
            # Made anew: what it came from holds the request, and with it the key.
            begun = bool(self.provider.usage.tokens_in)
            self._out.put((ProviderError if begun else ProviderSetupError)(str(error)))
        # Whatever else: it must reach the caller's thread, or the caller waits for ever.
        except Exception as error:
            self._out.put(error)
        finally:
            self._ready.set()

    async def _all(self, client: Any) -> None:
        line = Line(self.provider.limits.concurrency)
        tasks = [
            asyncio.ensure_future(self._one(client, line, question)) for question in self.questions
        ]
        try:
            for finished in asyncio.as_completed(tasks):
                for reply in await finished:
                    self._out.put(reply)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, client: Any, line: Line, question: Question) -> list[Reply]:
        """What there is to say about one prompt; nothing where the budget ended before it."""
        limits = self.provider.limits
        worked = 0.0
        lost = False
        before = self._answered
        reason = ""
        for attempt in range(limits.attempts):
            async with line.place(again=attempt > 0):
                if not await self._may_ask(question):
                    return []
                began = time.perf_counter()
                try:
                    reply = await self._ask(client, question, worked)
                    return self._everywhere(question, reply)
                except Again as error:
                    reason, wait, lost = str(error), error.wait, isinstance(error, Unreachable)
                    if error.possibly_paid:
                        self._possibly_paid(question)
                except Unreadable as error:
                    self._possibly_paid(question)
                    unreadable = Completion(question.indices[0], None, str(error))
                    self.provider.keep(question.key, unreadable, None)
                    worked += time.perf_counter() - began
                    return self._failed(question, str(error), worked)
                except Refused as error:
                    worked += time.perf_counter() - began
                    return self._failed(question, str(error), worked, too_long=error.too_long)
                finally:
                    self._settle(question)
                worked += time.perf_counter() - began
            if attempt + 1 < limits.attempts:
                pause = limits.first_wait * 2**attempt * random.uniform(0.75, 1.25)
                await asyncio.sleep(min(wait if wait is not None else pause, LONGEST_WAIT))
        if lost and self._answered == before:
            raise errors.unreachable(self.provider.base_url)
        return self._failed(
            question, f"no answer after {limits.attempts} attempts ({reason})", worked
        )

    def _everywhere(self, question: Question, reply: Reply) -> list[Reply]:
        """A reply in every place of its question; what it cost is counted at the first."""
        free = replace(reply.answer, tokens_in=0, tokens_out=0, seconds=0.0, cost=None)
        rest = [replace(reply, answer=replace(free, index=n)) for n in question.indices[1:]]
        return [reply, *rest]

    def _failed(
        self, question: Question, error: str, seconds: float, *, too_long: bool = False
    ) -> list[Reply]:
        answer = Completion(question.indices[0], None, error, seconds=seconds, too_long=too_long)
        return self._everywhere(question, Reply(answer))

    async def _may_ask(self, question: Question) -> bool:
        """Waits until what is under way leaves room in the budget; False where none is left.

        So no more than one request can go past the budget, and that one by its own size.
        """
        provider = self.provider
        while (stop := provider.over_budget(*self._under_way)) is not None:
            if not any(self._under_way):
                provider.stopped = stop
                return False
            self._settled.clear()
            await self._settled.wait()
        self._reserve(question, 1)
        return True

    def _reserve(self, question: Question, sign: int) -> None:
        self._under_way[0] += sign * self._size(question)
        self._under_way[1] += sign * self.settings.max_new_tokens

    def _settle(self, question: Question) -> None:
        self._reserve(question, -1)
        self._settled.set()

    def _size(self, question: Question) -> int:
        return self.provider.count_tokens(question.prompt.text)

    def _possibly_paid(self, question: Question) -> None:
        self.provider.usage.possibly_paid += 1
        self.provider.usage.possibly_paid_tokens += self._size(question)

    async def _ask(self, client: Any, question: Question, worked: float) -> Reply:
        """The reply to one attempt; kept on disk before anybody sees it."""
        provider, settings = self.provider, self.settings
        began = time.perf_counter()
        try:
            raw = await self._send(client, question)
        except asyncio.CancelledError:
            self._possibly_paid(question)
            raise
        text = wire.content(raw)
        if text is None:
            problem = getattr(raw, "error", None)
            why = problem.get("message") if isinstance(problem, dict) else None
            if why:
                # An error, whatever its status: nothing was generated, and a rerun may ask again.
                raise Refused(f"the server answered with an error: {errors.tidy(str(why))}")
            raise Unreadable
        probability, given = wire.chance_of_yes(raw) if self.judged else (None, True)
        # An empty reply or a refusal holds no token that could have had a probability.
        if not given and wire.has_words(raw):
            provider.learn(replace(provider.dialect, top_logprobs=0))
        usage = getattr(raw, "usage", None)
        tokens_in = getattr(usage, "prompt_tokens", None)
        tokens_out = getattr(usage, "completion_tokens", None)
        if not isinstance(tokens_in, int) or not isinstance(tokens_out, int):
            provider.say(f"{provider.model}: the server counts no tokens; they are estimated")
            tokens_in, tokens_out = self._size(question), provider.count_tokens(text)
        answer = Completion(
            question.indices[0],
            wire.unwrap(text, settings.json_field),
            None,
            tokens_in,
            tokens_out,
            worked + time.perf_counter() - began,
            provider.cost(tokens_in, tokens_out),
        )
        self._answered += 1
        provider.count(tokens_in, tokens_out)
        provider.keep(question.key, answer, probability)
        return Reply(answer, probability)

    async def _send(self, client: Any, question: Question) -> Any:
        """The server's reply to a prompt, asked in the way that this server takes."""
        import openai

        provider = self.provider
        bare = False
        for _ in range(SHAPES):
            dialect = provider.dialect.bare(self.judged) if bare else provider.dialect
            sent = dialect.request(question.prompt, self.settings, self.judged)
            provider.usage.requests += 1
            try:
                raw = await client.chat.completions.create(model=provider.model, **sent)
            except openai.APIStatusError as error:
                meaning = errors.from_status(error, provider.base_url, provider.model)
                if self._adapts(dialect, sent, error, meaning):
                    continue
                if not bare and self._may_be_too_much(dialect, error, meaning):
                    bare = True
                    continue
                raise meaning from error
            except openai.APIConnectionError as error:
                first = not provider.reached
                meaning = errors.from_connection(error, provider.base_url, first=first)
                raise meaning from error
            # A body that is not JSON, for which the SDK has no error of its own, included.
            except (openai.APIResponseValidationError, ValueError) as error:
                provider.reached = True
                raise Unreadable from error
            provider.reached = True
            if bare:
                provider.learn(provider.dialect.bare(self.judged))
            return raw
        raise Refused(f"the server takes none of the ways {provider.model} was asked")

    def _adapts(
        self, dialect: wire.Dialect, sent: dict[str, Any], error: Any, meaning: Exception
    ) -> bool:
        """Learn from a refusal that names a parameter; False where it names none."""
        provider = self.provider
        provider.reached = True
        too_long = isinstance(meaning, Refused) and meaning.too_long
        if too_long or error.status_code not in (400, 404, 422, 501):
            return False
        name = wire.refused(sent, error.param, errors.said(error))
        if name is None:
            return False
        now = provider.dialect
        # Of several requests refused alike at one time, the first is learnt from.
        if now.same(dialect, name):
            provider.learn(now.without(name))
        return True

    def _may_be_too_much(self, dialect: wire.Dialect, error: Any, meaning: Exception) -> bool:
        """Whether a refusal that names nothing may be about what few servers take."""
        if error.status_code in (400, 422):
            vague = isinstance(meaning, Refused) and not meaning.too_long
        else:
            vague = error.status_code == 404 and "support" in errors.said(error).casefold()
        return vague and dialect.asks_extra(self.settings, self.judged)
