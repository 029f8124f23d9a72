"""The requests of one call: many at a time, tried again, stopped by the budget.

They are run by an event loop in a thread of its own, so that the caller reads answers from an
ordinary iterator. A prompt waiting for its next attempt holds no place in the line.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from autointerp_core.errors import ProviderError, ProviderSetupError
from autointerp_core.labels.providers import openai_errors as errors
from autointerp_core.labels.providers import openai_wire as wire
from autointerp_core.labels.providers.base import Completion, Settings, cut_off
from autointerp_core.labels.providers.json_reply import ends_in_json
from autointerp_core.labels.providers.openai_errors import (
    Again,
    Fatal,
    Refused,
    Unreachable,
    Unreadable,
)
from autointerp_core.labels.providers.openai_line import Line
from autointerp_core.labels.providers.openai_server import Question, Reply, Server
from autointerp_core.labels.providers.reply_markup import spoken
from autointerp_core.labels.providers.thought_aloud import looks_like_thought

LONGEST_WAIT = 60.0
"""Seconds; a server that asks for more is asked again after this."""
SHAPES = 14
"""Times one attempt is shaped anew for what a server takes; more than there are parameters."""


@dataclass
class Requests:
    """One call.

    Args:
        server: who is asked.
        questions: each is answered once, however many places it has.
        settings: of generation.
        judged: ask for the probability of yes.
    """

    server: Server
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
        client = self.server.client()
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
            begun = bool(self.server.usage.tokens_in)
            self._out.put((ProviderError if begun else ProviderSetupError)(str(error)))
        # Whatever else: it must reach the caller's thread, or the caller waits for ever.
        except Exception as error:
            self._out.put(error)
        finally:
            self._ready.set()

    async def _all(self, client: Any) -> None:
        line = Line(self.server.limits.concurrency)
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
        limits = self.server.limits
        before, spent = self._answered, _Spent()
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(Again),
                stop=stop_after_attempt(limits.attempts),
                wait=_pause(limits.first_wait),
                reraise=True,
            ):
                with attempt:
                    again = attempt.retry_state.attempt_number > 1
                    async with line.place(again=again), self._reserved(question) as may_ask:
                        reply = await self._ask(client, question, spent) if may_ask else None
            return [] if reply is None else self._everywhere(question, reply)
        except Again as error:
            if isinstance(error, Unreachable) and self._answered == before:
                raise errors.unreachable(self.server.base_url) from error
            reason = f"no answer after {limits.attempts} attempts ({error})"
            return self._failed(question, reason, spent)
        except Unreadable as error:
            self.server.keep(question.key, Completion(question.indices[0], None, str(error)), None)
            return self._failed(question, str(error), spent)
        except Refused as error:
            return self._failed(question, str(error), spent, too_long=error.too_long)

    def _everywhere(self, question: Question, reply: Reply) -> list[Reply]:
        """A reply in every place of its question; what it cost is counted at the first."""
        free = replace(reply.answer, tokens_in=0, tokens_out=0, seconds=0.0, cost=None)
        rest = [replace(reply, answer=replace(free, index=n)) for n in question.indices[1:]]
        return [reply, *rest]

    def _failed(
        self, question: Question, error: str, spent: _Spent, *, too_long: bool = False
    ) -> list[Reply]:
        """An error in every place; what was paid for on the way to it is counted with it."""
        return self._everywhere(question, Reply(self._completion(question, spent, error, too_long)))

    def _completion(
        self, question: Question, spent: _Spent, error: str | None = None, too_long: bool = False
    ) -> Completion:
        paid = spent.tokens_in or spent.tokens_out
        return Completion(
            question.indices[0],
            None,
            error,
            spent.tokens_in,
            spent.tokens_out,
            spent.seconds,
            self.server.cost(spent.tokens_in, spent.tokens_out) if paid or error is None else None,
            too_long,
        )

    @asynccontextmanager
    async def _reserved(self, question: Question) -> AsyncIterator[bool]:
        """Waits until what is under way leaves room in the budget; False where none is left.

        So no more than one request can go past the budget, and that one by its own size.
        """
        server = self.server
        while (stop := server.over_budget(*self._under_way)) is not None:
            if not any(self._under_way):
                server.stopped = stop
                yield False
                return
            self._settled.clear()
            await self._settled.wait()
        tokens = self._size(question), server.dialect.room(self.settings, self.judged)
        self._under_way = [now + more for now, more in zip(self._under_way, tokens, strict=True)]
        try:
            yield True
        finally:
            self._under_way = [now - n for now, n in zip(self._under_way, tokens, strict=True)]
            self._settled.set()

    def _size(self, question: Question) -> int:
        return self.server.count_tokens(question.prompt.text)

    def _possibly_paid(self, question: Question) -> None:
        self.server.usage.possibly_paid += 1
        self.server.usage.possibly_paid_tokens += self._size(question)

    async def _ask(self, client: Any, question: Question, spent: _Spent) -> Reply:
        """The reply to one attempt; kept on disk before anybody sees it."""
        server = self.server
        with spent.clock():
            try:
                raw = await self._send(client, question, spent)
                self._count(question, raw, spent)
                if self._is_cut_off(raw):
                    raw = await self._with_more_room(client, question, raw, spent)
                if wire.finish(raw) == "broken":
                    words = errors.tidy(errors.in_body(wire.why_broken(raw)).text)
                    raise Again(f"the server broke its answer off{': ' * bool(words)}{words}")
            except asyncio.CancelledError:
                self._possibly_paid(question)
                raise
            except Again as error:
                if error.possibly_paid:
                    self._possibly_paid(question)
                raise
            except Unreadable:
                self._possibly_paid(question)
                raise
        answer, probability = self._read(question, raw, spent)
        self._answered += 1
        server.keep(question.key, answer, probability)
        return Reply(answer, probability)

    def _read(self, question: Question, raw: Any, spent: _Spent) -> tuple[Completion, float | None]:
        """The answer in a reply, or what is wrong with it, and the probability of yes."""
        server, settings = self.server, self.settings
        chance = wire.chance_of_yes(raw) if self.judged else None
        # An empty reply or a refusal holds no token that could have had a probability.
        if chance is not None and not chance.given and wire.has_words(raw):
            server.learn(replace(server.dialect, top_logprobs=0))
        ending = wire.finish(raw)
        error = None
        if chance is not None and chance.given:
            error = chance.error
            if chance.thinks:
                server.say(
                    f"{server.model} thinks before it answers, so that yes or no cannot be read "
                    "from its first token: use a judge that does not, or switch its thinking off"
                )
        elif self._is_cut_off(raw):
            error = cut_off(spent.room)
        elif ending == "filter":
            error = "the server's content filter cut the answer off"
        answer = self._completion(question, spent, error)
        if error is not None:
            return answer, None
        said = spoken(wire.content(raw) or "").text
        text = wire.unwrap(said, settings.json_field)
        return replace(answer, text=text), None if chance is None else chance.probability

    def _is_cut_off(self, raw: Any) -> bool:
        """Whether the token limit came in a thought, or in an object that holds the answer."""
        if wire.finish(raw) != "length" or (self.judged and wire.chance_of_yes(raw).given):
            return False
        said = spoken(wire.content(raw) or "")
        thought = said.unfinished or not said.text or looks_like_thought(said.text)
        return thought or ends_in_json(said.text)

    async def _with_more_room(
        self, client: Any, question: Question, raw: Any, spent: _Spent
    ) -> Any:
        """The reply to the same prompt with room to think; ``raw`` where there is no more."""
        server = self.server
        if spent.roomy:
            return raw
        spent.roomy = True
        server.learn(replace(server.dialect, thinks=True))
        try:
            raw = await self._send(client, question, spent, roomy=True)
        except Refused:
            return raw
        self._count(question, raw, spent)
        return raw

    def _count(self, question: Question, raw: Any, spent: _Spent) -> None:
        """What a reply used, as the server counts it or as its length says."""
        server = self.server
        usage = getattr(raw, "usage", None)
        tokens_in = getattr(usage, "prompt_tokens", None)
        tokens_out = getattr(usage, "completion_tokens", None)
        if not isinstance(tokens_in, int) or not isinstance(tokens_out, int):
            server.say(f"{server.model}: the server counts no tokens; they are estimated")
            tokens_in = self._size(question)
            tokens_out = server.count_tokens(wire.content(raw) or "")
        spent.tokens_in += tokens_in
        spent.tokens_out += tokens_out
        server.count(tokens_in, tokens_out)

    async def _send(
        self, client: Any, question: Question, spent: _Spent, *, roomy: bool = False
    ) -> Any:
        """The server's reply to a prompt, asked in the way that this server takes.

        ``roomy`` insists on the room that a model needs to think; without it, a request that is
        too large with that room is sent without.
        """
        import openai

        server = self.server
        bare = tight = False
        for _ in range(SHAPES):
            dialect = server.dialect.bare(self.judged) if bare else server.dialect
            dialect = replace(dialect, thinks=False) if tight else dialect
            sent = dialect.request(question.prompt, self.settings, self.judged)
            server.usage.requests += 1
            try:
                raw = await client.chat.completions.create(model=server.model, **sent)
            except openai.APIStatusError as error:
                server.reached = True
                meaning = errors.from_status(error, server.base_url, server.model)
                if self._adapts(
                    dialect, sent, errors.words(error), int(error.status_code), meaning
                ):
                    continue
                if not bare and self._may_be_too_much(dialect, error, meaning):
                    bare = True
                    continue
                if dialect.thinks and not roomy and isinstance(meaning, Refused):
                    tight = spent.roomy = True
                    continue
                raise meaning from error
            except openai.APIConnectionError as error:
                first = not server.reached
                raise errors.from_connection(error, server.base_url, first=first) from error
            # A body that is not JSON, for which the SDK has no error of its own, included.
            except (openai.APIResponseValidationError, ValueError) as error:
                server.reached = True
                raise Unreadable from error
            server.reached = True
            if wire.content(raw) is None:
                words = errors.in_body(getattr(raw, "error", None))
                if not words.text:
                    raise Unreadable
                # An error, whatever its status: nothing was generated, and a rerun may ask again.
                meaning = Refused(f"the server answered with an error: {errors.tidy(words.text)}")
                if self._adapts(dialect, sent, words, 400, meaning):
                    continue
                raise meaning
            if bare:
                server.learn(server.dialect.bare(self.judged))
            spent.room = dialect.room(self.settings, self.judged)
            return raw
        raise Refused(f"the server takes none of the ways {server.model} was asked")

    def _adapts(
        self,
        dialect: wire.Dialect,
        sent: dict[str, Any],
        words: errors.Words,
        status: int,
        meaning: Exception,
    ) -> bool:
        """Learn from a refusal that names a parameter; False where it names none."""
        server = self.server
        too_long = isinstance(meaning, Refused) and meaning.too_long
        if too_long or status not in (400, 404, 422, 500, 501):
            return False
        now = server.dialect
        limit = sent.get("max_tokens") or sent.get("max_completion_tokens") or 0
        least = wire.fewest_tokens(words.text)
        if least is not None and least > limit:
            server.learn(replace(now, least_tokens=max(least, now.least_tokens)))
            return True
        name = wire.refused(sent, words.parameters, words.text)
        if name is None or (
            name == "completion_limit" and wire.is_too_much_room(dialect, words.text)
        ):
            return False
        # Of several requests refused alike at one time, the first is learnt from.
        if now.same(dialect, name):
            server.learn(now.without(name), errors.tidy(words.text))
        return True

    def _may_be_too_much(self, dialect: wire.Dialect, error: Any, meaning: Exception) -> bool:
        """Whether a refusal that names nothing may be about what few servers take."""
        if error.status_code in (400, 422):
            vague = isinstance(meaning, Refused) and not meaning.too_long
        else:
            vague = error.status_code == 404 and "support" in errors.said(error).casefold()
        return vague and dialect.asks_extra(self.settings, self.judged)


@dataclass
class _Spent:
    """What one prompt has used so far, over all its attempts."""

    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    roomy: bool = False
    """It was given more room; that is done once."""
    room: int = 0
    """Tokens that its last answer might have had."""

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Add the time within to :attr:`seconds`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began


def _pause(first: float) -> Callable[[RetryCallState], float]:
    """How long to wait for the next attempt: as the server says, else twice as long each time."""
    usual = wait_exponential_jitter(multiplier=0.875 * first, max=LONGEST_WAIT, jitter=first / 4)

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.wait if isinstance(error, Again) else None
        return min(usual(state) if asked is None else asked, LONGEST_WAIT)

    return pause
