"""Work that is ended while the next is begun: one piece at a time, in order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any


class Behind:
    """A context in which pieces of work are done, each in two steps, in the order given.

    The first step may run in a thread of its own while the caller goes on; the second always in
    the caller's, before the next piece is begun. So no more than one piece is on its way.
    """

    def __init__(self, apart: bool):
        """``apart``: whether there is a thread at all; without, everything is done at once."""
        self._pool = ThreadPoolExecutor(1) if apart else None
        self._running: tuple[Future[None], Callable[[], None]] | None = None

    def give(self, work: Callable[[], None], then: Callable[[], None]) -> None:
        """Do ``work``, and ``then`` what has to wait for it.

        Raises:
            Exception: what this piece, or the one before it, ended with.
        """
        self.wait()
        if self._pool is None:
            work()
            then()
        else:
            self._running = self._pool.submit(work), then

    def wait(self) -> None:
        """Until nothing is on its way.

        Raises:
            Exception: what it ended with.
        """
        if self._running is not None:
            (future, then), self._running = self._running, None
            future.result()
            then()

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any | TracebackType) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            if self._pool is not None:
                self._pool.shutdown()  # what is half done is ended: a shard that is whole stays
