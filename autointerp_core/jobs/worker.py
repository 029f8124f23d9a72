"""The process that does one job: ``python -m autointerp_core.jobs.worker <folder>``.

It waits for its turn, imports the work, writes how far it is into ``state.json`` and ends.
Whatever it prints goes to ``log.txt``. SIGTERM and the ``cancel`` file mean the same: stop at
the next report of progress. Work that reports nothing for a while (loading a model) is
interrupted where it is, as Ctrl-C would; what it had finished is kept.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

import orjson
from filelock import FileLock, Timeout

from autointerp_core.errors import AutointerpError, Cancelled, JobError
from autointerp_core.jobs import state as files
from autointerp_core.jobs.kinds import load
from autointerp_core.progress import Progress
from autointerp_core.store.text_cleaning import one_line, safe_json

WRITE_EVERY = 0.2
_LOOK_EVERY = 0.1
_PATIENCE = 0.6
"""Seconds that work told to stop has until its next report, before it is interrupted."""
_CANCELLED = "cancelled; what was finished is kept, retry resumes from it"
RUN_LOCK = "run.lock"


class Pace:
    """How fast a stage goes, for reports that do not say themselves how long it takes yet."""

    def __init__(self) -> None:
        self._stage = ""
        self._begun = 0.0
        self._first = 0

    def with_time_left(self, report: Progress) -> Progress:
        """The report, with the seconds its stage takes at the pace it had so far."""
        now = time.monotonic()
        if report.stage != self._stage:
            self._stage, self._begun, self._first = report.stage, now, report.done
        passed, done = now - self._begun, report.done - self._first
        if report.seconds_left is not None or not report.total or done <= 0 or passed < 1:
            return report
        return replace(report, seconds_left=max(report.total - report.done, 0) * passed / done)


class Worker:
    """One job being done; owns its ``state.json`` while it lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._request = files.read_json(folder, files.REQUEST)
        self._state = files.read_json(folder, files.STATE)
        self._told_to_stop = False
        self._written = 0.0
        self._writing = threading.Lock()
        self._later: threading.Timer | None = None
        self._pace = Pace()
        self._working = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._told_to_stop = True

    def progress(self, report: Progress) -> None:
        """Note a report; written at most every 0.2 s, the last one for certain.

        Raises:
            Cancelled: the person asked for it.
        """
        self._stop_if_told()
        with self._writing:
            self._state.update(asdict(self._pace.with_time_left(report)))
            wait = self._written + WRITE_EVERY - time.monotonic()
            if wait <= 0:
                self._write()
            elif self._later is None:
                # The work may be silent for minutes after this report (loading a model).
                self._later = threading.Timer(wait, self._write_late)
                self._later.daemon = True
                self._later.start()

    def run(self) -> int:
        """Wait, work, record how it ended; returns the exit status."""
        before = signal.getsignal(signal.SIGINT)
        try:
            return self._run()
        finally:
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)

    def _run(self) -> int:
        try:
            lock = self._wait_for_turn()
            try:
                with self._writing:
                    self._state.update(status="running", started=files.now(), message="")
                    self._write()
                self._watch()
                work = load(str(self._request["kind"]))
                result = work(dict(self._request.get("params", {})), self.progress)
            finally:
                self._working = False
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # too late to be interrupted
                lock.release()
        except (Cancelled, KeyboardInterrupt) as error:
            self._state["message"] = one_line(str(error)) or _CANCELLED
            return self._ended("cancelled", None, 130)
        except AutointerpError as error:
            traceback.print_exc()
            return self._ended("failed", one_line(str(error)), error.exit_code)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            return self._ended("failed", one_line(f"{type(error).__name__}: {error}"), 1)
        self._state["result"] = orjson.loads(safe_json(dict(result or {})))
        return self._ended("done", None, 0)

    def _wait_for_turn(self) -> FileLock:
        """The run lock, once every job queued before this one has had its turn.

        Raises:
            Cancelled: told to stop while waiting.
        """
        lock = FileLock(self._folder.parent / RUN_LOCK)
        waited = False
        while True:
            self._stop_if_told()
            with suppress(Timeout):
                lock.acquire(blocking=False)
                if self._is_first():
                    return lock
                lock.release()
            if not waited:
                waited = True
                self._state["message"] = "waiting for another job to end"
                self._write()
            time.sleep(_LOOK_EVERY)

    def _is_first(self) -> bool:
        mine = (self._state.get("queued", 0), self._folder.name)
        for folder in self._folder.parent.iterdir():
            if folder == self._folder or not (folder / files.STATE).exists():
                continue
            try:
                other = files.read_json(folder, files.STATE)
            except JobError:  # deleted meanwhile, or damaged: it waits for nothing
                continue
            if other.get("status") != "queued" or (other.get("queued", 0), folder.name) > mine:
                continue
            if files.is_alive(folder):
                return False
        return True

    def _stop_if_told(self) -> None:
        if self._told_to_stop or (self._folder / files.CANCEL).exists():
            raise Cancelled(_CANCELLED)

    def _watch(self) -> None:
        """Interrupt work that goes on after it was told to stop."""
        # What starts in the background of a shell may have been told to ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._working = True

        def look() -> None:
            cancel, told = self._folder / files.CANCEL, 0.0
            while self._working:
                time.sleep(_LOOK_EVERY)
                if not (self._told_to_stop or cancel.exists()):
                    continue
                told = told or time.monotonic()
                if time.monotonic() - told > _PATIENCE and self._working:
                    _interrupt_main()
                    return

        threading.Thread(target=look, name="cancel", daemon=True).start()

    def _ended(self, status: str, error: str | None, code: int) -> int:
        with self._writing:
            if self._later is not None:
                self._later.cancel()
            self._state.update(status=status, error=error, finished=files.now(), seconds_left=None)
            self._write()
        print(f"{status}{f': {error}' if error else ''}", flush=True)
        return code

    def _write_late(self) -> None:
        with self._writing:
            self._later = None
            if self._state["status"] == "running":
                self._write()

    def _write(self) -> None:
        files.write(self._folder, files.STATE, self._state)
        self._written = time.monotonic()


def _interrupt_main() -> None:
    """As Ctrl-C does; where the system can, also out of a call that waits."""
    main_thread = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main_thread is not None:
        signal.pthread_kill(main_thread, signal.SIGINT)
    else:
        _thread.interrupt_main()


def main(arguments: list[str]) -> int:
    """Do the job in the folder given; the second argument is an inherited lock on ``alive``.

    Raises:
        JobError: the folder is damaged, or another worker has this job.
    """
    folder = Path(arguments[0]).resolve()
    alive = int(arguments[1]) if len(arguments) > 1 else files.open_alive(folder)
    if not files.try_lock(alive):
        raise JobError(f"another worker is doing the job in {folder}")
    # Processes started by the work must not keep the job alive after this one.
    os.set_inheritable(alive, False)
    os.register_at_fork(after_in_child=lambda: os.close(alive))
    worker = Worker(folder)
    signal.signal(signal.SIGTERM, worker.on_signal)
    return worker.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
