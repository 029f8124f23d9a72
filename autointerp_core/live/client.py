"""Asking the process that keeps a study's model warm; starting it where there is none.

Imports neither torch nor anything that does: this is what the app uses. One worker serves all
sessions, tabs and commands of a home folder that ask about a study.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from filelock import FileLock

from autointerp_core.errors import LiveError, OutOfMemory
from autointerp_core.home import CODE_ROOT, home
from autointerp_core.live import wire
from autointerp_core.live.encoded import EncodedText
from autointerp_core.live.turns import SteerConfig, Steered, Turn
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.files import writing

IDLE_MINUTES = 10.0
"""How long a worker stays without a question."""
_START_SECONDS = 60.0
"""Until a new process listens (it loads after that)."""
_LEAST_BATCH = 128
_FIRST_LOWER = 2048
"""Half of the tokens a batch has on a CPU; what a worker that ended at work begins with."""
DIED = (
    "The process that holds the model had ended without a word (stopped from outside, or the "
    "machine was short of memory); it was started again"
)


@dataclass(frozen=True)
class Answer:
    """What a worker said, and what happened on the way that a person should know."""

    result: dict[str, Any]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """Texts as the model and the SAE read them, in the order asked."""

    texts: tuple[EncodedText, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class SteerAnswer:
    """A prompt gone on with, steered and unsteered."""

    found: Steered
    notices: tuple[str, ...] = ()


class LiveClient:
    """The live model of one study, in a process of its own."""

    def __init__(
        self,
        study_folder: Path,
        *,
        idle_minutes: float | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        """Nothing is started before the first question.

        Args:
            idle_minutes: how long a worker started here stays without a question.
            on_notice: told at once what an answer's ``notices`` tell at its end, for callers who
                may not wait for the answer.
        """
        self.on_notice = on_notice
        given = os.environ.get("AUTOINTERP_LIVE_MINUTES", "")
        minutes = float(given) if given.replace(".", "", 1).isdigit() else IDLE_MINUTES
        self._study = study_folder
        self._file = wire.place_file(study_folder)
        self._idle_seconds = 60 * (minutes if idle_minutes is None else idle_minutes)

    def encode(
        self,
        texts: Sequence[str],
        features: Sequence[int] | None = None,
        progress: ProgressCallback = silent,
    ) -> Encoded:
        """As :meth:`autointerp_core.live.model.LiveModel.encode`, in the worker.

        Raises:
            AutointerpError: as there; or the worker cannot be started (:class:`LiveError`).
            Cancelled: raised by ``progress``; the worker stays.
        """
        params = {"texts": list(texts), "features": None if features is None else list(features)}
        answer = self.ask("encode", params, progress)
        found = tuple(EncodedText.from_json(each) for each in answer.result["texts"])
        return Encoded(found, answer.notices)

    def chat_text(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        to_answer: bool = False,
        progress: ProgressCallback = silent,
    ) -> str:
        """As :meth:`autointerp_core.live.model.LiveModel.chat_text`, in the worker."""
        params = {"messages": [dict(each) for each in messages], "to_answer": to_answer}
        return str(self.ask("chat", params, progress).result["text"])

    def steer(
        self, turns: Sequence[Turn], config: SteerConfig, progress: ProgressCallback = silent
    ) -> SteerAnswer:
        """As :meth:`autointerp_core.live.steering.Steerer.steer`, in the worker.

        Raises:
            AutointerpError: as there; or the worker cannot be started (:class:`LiveError`).
            Cancelled: raised by ``progress``; the worker stays.
        """
        params = {"turns": [asdict(turn) for turn in turns], "config": asdict(config)}
        answer = self.ask("steer", params, progress)
        return SteerAnswer(Steered.from_json(answer.result), answer.notices)

    def ask(
        self, what: str, params: Mapping[str, Any], progress: ProgressCallback = silent
    ) -> Answer:
        """One question; a worker that ends over it is started again, once, with smaller batches.

        Raises:
            AutointerpError: what the worker answered, or :class:`LiveError`.
            Cancelled: raised by ``progress``.
        """
        notices = _Notices(self.on_notice)
        for again in (False, True):
            connection = self._connected(notices, progress)
            try:
                with connection:
                    result = _asked(connection, what, params, progress)
                return Answer(result, tuple(notices))
            except OutOfMemory as error:
                if again:
                    raise
                notices.append(
                    f"The model's process ran out of memory ({error}); it was started again with "
                    f"{self._lower():,} tokens at a time"
                )
            except (EOFError, OSError) as error:
                if again:
                    raise LiveError(
                        "the process that holds the model ended twice over this: the machine is "
                        f"probably short of memory ({self._last_words()}); give a shorter text, "
                        "or close what else needs memory"
                    ) from error
                notices.append(f"{DIED} with {self._lower():,} tokens at a time")
        raise AssertionError("not reached")

    def stop(self) -> None:
        """End the worker and free its memory; nothing where there is none."""
        place = wire.read_place(self._file)
        connection = None if place is None else _reach(place)
        if connection is not None:
            with connection, suppress(EOFError, OSError):
                wire.send(connection, {"ask": "stop"})
                wire.receive(connection)
        self._file.unlink(missing_ok=True)

    def running(self) -> bool:
        """Whether a worker is there (it may still be loading)."""
        place = wire.read_place(self._file)
        return place is not None and _alive(place.pid)

    def _connected(self, notices: _Notices, progress: ProgressCallback) -> Connection:
        """A connection to the worker; starts one where there is none that can be used.

        Raises:
            LiveError: it could not be started.
        """
        connection = self._reach_current()
        if connection is not None:
            return connection
        progress(Progress("starting", message="starting a process for the model"))
        with writing(self._file):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.parent.chmod(0o700)
        with FileLock(self._file.with_suffix(".lock")):
            connection = self._reach_current()  # somebody else may have been faster
            if connection is not None:
                return connection
            before = wire.read_place(self._file)
            if before is not None and not _alive(before.pid) and not notices:
                notices.append(DIED)
            self._start(None if before is None else before.batch_tokens)
            connection = self._reach_current()
        if connection is None:
            raise LiveError(f"the process for the model does not answer ({self._last_words()})")
        return connection

    def _reach_current(self) -> Connection | None:
        """A connection to a worker of this code; one of other code is told to end."""
        place = wire.read_place(self._file)
        if place is not None and place.code != wire.code_stamp():
            self.stop()
            return None
        return None if place is None else _reach(place)

    def _start(self, batch_tokens: int | None) -> None:
        self._file.unlink(missing_ok=True)
        path = os.pathsep.join(filter(None, [str(CODE_ROOT), os.environ.get("PYTHONPATH", "")]))
        environment = {
            **os.environ,
            "AUTOINTERP_HOME": str(home()),
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            "TRANSFORMERS_VERBOSITY": "error",
        }
        command = [sys.executable, "-m", "autointerp_core.live.worker"]
        command += [str(self._study.resolve()), str(self._file.resolve())]
        command += ["--idle-seconds", str(self._idle_seconds)]
        if batch_tokens is not None:
            command += ["--batch-tokens", str(batch_tokens)]
        try:
            with open(self._file.with_suffix(".log"), "wb") as log:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise LiveError(f"no process could be started for the model: {error}") from error
        # Collect its exit status whenever it ends, so that no zombie stays with a server.
        threading.Thread(target=process.wait, name="live", daemon=True).start()
        deadline = time.monotonic() + _START_SECONDS
        while wire.read_place(self._file) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise LiveError(f"the process for the model ended ({self._last_words()})")
            time.sleep(0.02)

    def _lower(self) -> int:
        """Leave word for the next worker to take half as much at a time; returns how much."""
        place = wire.read_place(self._file)
        had = None if place is None else place.batch_tokens
        lower = _FIRST_LOWER if had is None else max(had // 2, _LEAST_BATCH)
        if place is None:
            place = wire.Place(0, 0, "", wire.code_stamp(), None)
        self._end_of(place)
        wire.write_place(self._file, wire.Place(0, 0, "", place.code, lower))
        return lower

    def _end_of(self, place: wire.Place) -> None:
        """Wait until a worker that is ending has ended: its memory is needed."""
        deadline = time.monotonic() + 5
        while place.pid and _alive(place.pid) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _last_words(self) -> str:
        """The last line of the worker's log."""
        try:
            lines = self._file.with_suffix(".log").read_text("utf-8", "replace").split("\n")
        except OSError:
            lines = []
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return said[:300]


class _Notices(list[str]):
    """What happened, told to ``heard`` as it happens."""

    def __init__(self, heard: Callable[[str], None] | None) -> None:
        super().__init__()
        self._heard = heard

    def append(self, notice: str) -> None:
        super().append(notice)
        if self._heard is not None:
            self._heard(notice)


def _asked(
    connection: Connection, what: str, params: Mapping[str, Any], progress: Callable[..., None]
) -> dict[str, Any]:
    wire.send(connection, {"ask": what, "params": dict(params)})
    while True:
        message = wire.receive(connection)
        if "progress" in message:
            progress(Progress(**message["progress"]))
        elif "error" in message:
            raise wire.as_error(message["error"])
        else:
            result: dict[str, Any] = message["result"]
            return result


def _reach(place: wire.Place) -> Connection | None:
    """A connection to a worker that knows its own key; None where nobody does."""
    if not place.port:
        return None
    try:
        return Client((wire.HOST, place.port), "AF_INET", authkey=bytes.fromhex(place.key))
    except (OSError, EOFError, AuthenticationError, ValueError):
        return None


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
