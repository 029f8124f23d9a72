"""Starting, listing, stopping and repeating background jobs; safe from several processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autointerp_core.errors import JobError
from autointerp_core.home import CODE_ROOT, home, jobs_dir, studies_dir
from autointerp_core.jobs import state as files
from autointerp_core.jobs.kinds import check_kind
from autointerp_core.jobs.old_scores import adopt_scores_of_jobs
from autointerp_core.jobs.state import JobState
from autointerp_core.store.study_record import FILE_NAME

_ID = re.compile(r"[0-9A-Za-z_-]+")
_LOOK_SECONDS = 0.2
_END_SECONDS = 10.0


def submit(kind: str, params: Mapping[str, Any], title: str) -> JobState:
    """Queue a job and start its worker, which waits for its turn.

    Raises:
        JobError: unknown kind, or the worker could not be started.
        OutputError: the home folder cannot be written.
    """
    check_kind(kind)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S-%f")
    folder = jobs_dir() / f"{stamp}-{uuid.uuid4().hex[:6]}"
    created = files.now()
    files.write(
        folder,
        files.REQUEST,
        {"kind": kind, "title": title, "params": dict(params), "home": str(home())},
    )
    with _held(folder) as alive:
        files.write(
            folder,
            files.STATE,
            {"status": "queued", "created": created, "queued": _ticket(), "attempt": 1},
        )
        _start_worker(folder, alive)
    return files.load(folder)


def list_jobs() -> list[JobState]:
    """Every job, newest first; a damaged folder shows up as a failed job."""
    if not jobs_dir().exists():
        return []
    found = []
    for folder in sorted(jobs_dir().iterdir(), reverse=True):
        if (folder / files.STATE).exists():
            try:
                found.append(files.load(folder))
            except JobError as error:
                found.append(
                    JobState(folder.name, "", folder.name, folder, "failed", error=str(error))
                )
    return found


def get(job_id: str) -> JobState:
    """One job.

    Raises:
        JobError: no such job, or its folder is damaged.
    """
    return files.load(_folder(job_id))


def cancel(job_id: str) -> None:
    """Ask a job to stop; it does at its next report of progress. No effect on one that ended.

    Raises:
        JobError: no such job.
    """
    if files.load(_folder(job_id)).active:
        (_folder(job_id) / files.CANCEL).touch()


def retry(job_id: str) -> JobState:
    """Run a job that failed, was cancelled or interrupted again; it resumes what it had done.

    Raises:
        JobError: no such job, still running, or done.
    """
    folder = _folder(job_id)
    with _held(folder) as alive:
        job = files.load(folder)
        status = files.read_json(folder, files.STATE).get("status")
        if status == "done":
            raise JobError(f"job {job.title!r} is done; submit a new one to do it again")
        (folder / files.CANCEL).unlink(missing_ok=True)
        files.write(
            folder,
            files.STATE,
            {
                "status": "queued",
                "created": job.created,
                "queued": _ticket(),
                "attempt": job.attempt + 1,
            },
        )
        _start_worker(folder, alive)
    return files.load(folder)


def delete(job_id: str) -> None:
    """Remove a job that ended, with its log (never what it made).

    Raises:
        JobError: no such job, or it is still queued or running.
    """
    folder = _folder(job_id)
    with _held(folder):
        name = Path(str(files.load(folder).result.get("study_path", ""))).name
        if name and (studies_dir() / name / FILE_NAME).exists():
            adopt_scores_of_jobs(studies_dir() / name, list_jobs)
        shutil.rmtree(folder)


def _ticket() -> int:
    """A place in the queue. Wall clock, as tickets are drawn by several processes."""
    return time.time_ns()


def _folder(job_id: str) -> Path:
    folder = jobs_dir() / job_id
    if not _ID.fullmatch(job_id) or not (folder / files.STATE).exists():
        raise JobError(f"there is no job {job_id!r}")
    return folder


@contextmanager
def _held(folder: Path) -> Iterator[int]:
    """Hold the folder's ``alive`` lock; a worker started meanwhile inherits and keeps it.

    Raises:
        JobError: a worker holds it.
    """
    descriptor = files.open_alive(folder)
    try:
        began = time.monotonic()
        while not files.try_lock(descriptor):
            # Somebody who only looks holds it for microseconds, a worker that has written its
            # last state for a moment, a worker at work for long.
            status = files.read_json(folder, files.STATE).get("status")
            patience = _LOOK_SECONDS if status in files.ACTIVE else _END_SECONDS
            if time.monotonic() - began > patience:
                raise JobError(f"job {folder.name} is still busy ({status}); cancel it first")
            time.sleep(0.01)
        yield descriptor
    finally:
        os.close(descriptor)


def _start_worker(folder: Path, alive: int) -> None:
    path = os.pathsep.join(filter(None, [str(CODE_ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {
        **os.environ,
        "AUTOINTERP_HOME": str(home()),
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "autointerp_core.jobs.worker", str(folder), str(alive)]
    try:
        with open(folder / files.LOG, "ab") as log:
            # The lock on `alive` belongs to the descriptor passed on, so there is no moment at
            # which the job is queued and nobody holds it.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                pass_fds=(alive,),
            )
    except OSError as error:
        raise JobError(f"the worker process could not be started: {error.strerror}") from error
    # Collect its exit status whenever it ends, so that no zombie stays with a long-lived server.
    threading.Thread(target=process.wait, name=f"job-{folder.name}", daemon=True).start()
