"""The process that keeps a study's model warm: ``python -m autointerp_core.live.worker``.

It listens at once and loads meanwhile, so that whoever asks is told how far it is. Questions are
answered one at a time, however many ask. It ends, and with it goes its memory, when nobody has
asked for a while, when its place in the home folder is gone, or when loading failed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import (
    Connection,
    Listener,
    answer_challenge,
    deliver_challenge,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import Cancelled, LiveError, OutOfMemory, ParameterError
from autointerp_core.live import wire
from autointerp_core.progress import Progress

if TYPE_CHECKING:
    from autointerp_core.live.answers import Answers

_TELL_EVERY = 0.2
"""Seconds between reports while somebody waits."""
_LOOK_EVERY = 0.5
_LAST_WORDS = 3.0
"""Seconds that a worker which could not load stays to say why."""


class Worker:
    """One listening process."""

    def __init__(
        self, study: Path, place: Path, *, batch_tokens: int | None, idle_seconds: float
    ) -> None:
        self._study, self._place_file = study, place
        self._idle_seconds = idle_seconds
        self._key = secrets.token_bytes(32)
        # Without a key: a caller that stays silent would hold up accept() in its handshake.
        self._listener = Listener((wire.HOST, 0), "AF_INET")
        port = int(self._listener.address[1])
        self.place = wire.Place(os.getpid(), port, self._key.hex(), wire.code_stamp(), batch_tokens)
        self._answers: Answers | None = None
        self._failed: Exception | None = None
        self._loaded = threading.Event()
        self._told = Progress("loading", message="starting")
        self._one_at_a_time = threading.Lock()
        self._counting = threading.Lock()
        self._busy = 0
        self._last = time.monotonic()

    def run(self) -> None:
        """Listen until the process ends."""
        wire.write_place(self._place_file, self.place)
        threading.Thread(target=self._load, name="load", daemon=True).start()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        while True:
            with suppress(OSError):  # a caller that went away while it was let in
                connection = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _load(self) -> None:
        def tell(report: Progress) -> None:
            self._told = Progress("loading", message=report.message)

        try:
            tell(Progress("loading", message="loading the libraries"))
            from autointerp_core.live.answers import Answers

            self._answers = Answers(self._study, self.place.batch_tokens, tell)
        # Whatever it is, whoever asks must be told.
        except Exception as error:
            traceback.print_exc()
            self._failed = error
        self._loaded.set()
        if self._failed is not None:
            time.sleep(_LAST_WORDS)
            self._end()

    def _watch(self) -> None:
        """End when nobody asks any more, or when another worker, or nobody, has our place."""
        while True:
            time.sleep(_LOOK_EVERY)
            with self._counting:
                idle = not self._busy and time.monotonic() - self._last > self._idle_seconds
            if idle or wire.read_place(self._place_file) != self.place:
                self._end()

    def _end(self) -> None:
        if wire.read_place(self._place_file) == self.place:
            self._place_file.unlink(missing_ok=True)
        sys.stdout.flush()
        os._exit(0)  # threads that compute for nobody are not waited for

    def _serve(self, connection: Connection) -> None:
        with self._counting:
            self._busy += 1
        try:
            with connection:
                deliver_challenge(connection, self._key)
                answer_challenge(connection, self._key)
                while True:
                    question = wire.receive(connection)
                    self._answer(connection, question)
                    self._last = time.monotonic()
        # Gone, or nobody we know: there is nobody to tell.
        except (EOFError, OSError, AuthenticationError, LiveError):
            return
        finally:
            with self._counting:
                self._busy -= 1
                self._last = time.monotonic()

    def _answer(self, connection: Connection, question: dict[str, Any]) -> None:
        told = _Teller(connection)
        try:
            asked = question.get("ask")
            if asked == "stop":
                wire.send(connection, {"result": {}})
                self._end()
            self._wait(told)
            assert self._answers is not None
            work = self._answers.find(str(asked))
            result = self._alone(told, lambda: work(question.get("params") or {}, told.progress))
            wire.send(connection, {"result": result})
        except Cancelled:
            return  # the caller is gone
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            if not isinstance(error, ParameterError):
                traceback.print_exc()
            wire.send(connection, {"error": wire.as_message(error)})
            if isinstance(error, OutOfMemory):
                self._end()  # another process begins with the memory that this one holds

    def _wait(self, told: _Teller) -> None:
        """Until the model is loaded.

        Raises:
            Exception: what loading failed with.
        """
        while not self._loaded.wait(_TELL_EVERY):
            told.progress(self._told)
        if self._failed is not None:
            raise self._failed

    def _alone(self, told: _Teller, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        while not self._one_at_a_time.acquire(timeout=_TELL_EVERY):
            told.progress(Progress("waiting", message="another question is being answered"))
        try:
            return work()
        finally:
            self._one_at_a_time.release()


class _Teller:
    """Reports of progress to one caller, not more often than a person can read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = 0.0

    def progress(self, report: Progress) -> None:
        """Tell how far it is.

        Raises:
            Cancelled: the caller is gone.
        """
        now = time.monotonic()
        if now - self._last < _TELL_EVERY / 2:
            return
        self._last = now
        told = {
            "stage": report.stage,
            "message": report.message,
            "done": report.done,
            "total": report.total,
        }
        try:
            wire.send(self._connection, {"progress": told})
        except OSError as error:
            raise Cancelled("whoever asked is gone") from error


def main(arguments: list[str] | None = None) -> None:
    """Listen for one study."""
    parser = argparse.ArgumentParser(description="Keep the model of a study warm.")
    parser.add_argument("study", type=Path)
    parser.add_argument("place", type=Path)
    parser.add_argument("--batch-tokens", type=int)
    parser.add_argument("--idle-seconds", type=float, required=True)
    given = parser.parse_args(arguments)
    Worker(
        given.study,
        given.place,
        batch_tokens=given.batch_tokens,
        idle_seconds=given.idle_seconds,
    ).run()


if __name__ == "__main__":
    main()
