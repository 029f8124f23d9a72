"""Background jobs, with real worker processes."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autointerp_core import jobs
from autointerp_core.errors import Cancelled, JobError
from autointerp_core.home import CODE_ROOT, jobs_dir
from autointerp_core.jobs import state as files
from autointerp_core.jobs import worker as worker_module
from autointerp_core.jobs.kinds import KINDS
from autointerp_core.jobs.worker import Pace, Worker
from autointerp_core.progress import Progress

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def until(job_id: str, true: Callable[[jobs.JobState], bool]) -> jobs.JobState:
    deadline = time.monotonic() + PATIENCE
    while not true(job := jobs.get(job_id)):
        assert time.monotonic() < deadline, (job, job.log_tail(50))
        time.sleep(0.02)
    return job


def ended(job_id: str) -> jobs.JobState:
    return until(job_id, lambda job: not job.active)


def worker_pid(job: jobs.JobState) -> int:
    """The process of this job, found by its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"autointerp_core.jobs.worker" in command and job.id.encode() in command:
                return int(entry.name)
    raise AssertionError(f"no worker for {job.id}")


def test_a_job_runs_reports_and_keeps_its_result(own_home: Path) -> None:
    job = jobs.submit("selftest", {"steps": 4, "pause": 0.01}, "Count to four")
    assert job.status == "queued"
    assert job.folder == own_home / "jobs" / job.id
    done = ended(job.id)
    assert done.status == "done", done.log_tail()
    assert (done.stage, done.done, done.total, done.unit) == ("count", 4, 4, "steps")
    assert done.result == {"counted": 4, "resumed_from": 0}
    assert done.title == "Count to four"
    assert done.started is not None
    assert done.finished is not None
    assert done.created <= done.started <= done.finished
    assert done.error is None
    assert "counting from 0 to 4" in done.log_tail()
    assert [listed.id for listed in jobs.list_jobs()] == [job.id]


def test_bad_input_is_one_line_and_a_crash_keeps_its_traceback_in_the_log() -> None:
    told = jobs.submit("selftest", {"fail_at": 1}, "told")
    crashed = jobs.submit("selftest", {"fail_at": 0, "failure": "crash"}, "crash")
    left = jobs.submit("selftest", {"fail_at": 0, "failure": "exit"}, "exit")
    assert ended(told.id).status == "failed"
    assert ended(told.id).error == "the selftest was told to fail"
    crash = ended(crashed.id)
    assert crash.error == "RuntimeError: the selftest was told to crash"
    assert any("Traceback" in line for line in crash.log_tail(50))
    assert ended(left.id).error == "SystemExit: 3"


@pytest.mark.slow
def test_kill_9_is_seen_as_interrupted_and_retry_resumes(tmp_path: Path) -> None:
    trail, checkpoint = tmp_path / "trail", tmp_path / "checkpoint"
    params = {
        "steps": 12,
        "pause": 0.1,
        "checkpoint": str(checkpoint),
        "trail": str(trail),
        "name": "a",
    }
    job = jobs.submit("selftest", params, "resumable")
    until(job.id, lambda state: state.done >= 3)
    with pytest.raises(JobError, match="cancel it first"):
        jobs.retry(job.id)
    with pytest.raises(JobError, match="cancel it first"):
        jobs.delete(job.id)
    os.kill(worker_pid(job), signal.SIGKILL)
    dead = ended(job.id)
    assert dead.status == "interrupted"
    assert dead.error is not None
    assert "retry resumes" in dead.error

    again = jobs.retry(job.id)
    assert (again.attempt, again.created) == (2, job.created)
    done = ended(job.id)
    assert done.status == "done", (done.error, done.log_tail())
    assert done.result["resumed_from"] >= 3
    assert trail.read_text().split("\n")[:-1] == [f"a {step}" for step in range(12)]
    with pytest.raises(JobError, match="is done"):
        jobs.retry(job.id)
    jobs.delete(job.id)
    assert jobs.list_jobs() == []


@pytest.mark.parametrize("how", ["flag", "sigterm"])
@pytest.mark.slow
def test_cancel_while_running(how: str) -> None:
    job = jobs.submit("selftest", {"steps": 1000, "pause": 0.02}, "long")
    until(job.id, lambda state: state.status == "running" and state.stage == "count")
    if how == "flag":
        jobs.cancel(job.id)
    else:
        os.kill(worker_pid(job), signal.SIGTERM)
    cancelled = ended(job.id)
    assert cancelled.status == "cancelled"
    assert cancelled.error is None
    assert "retry resumes" in cancelled.message
    jobs.cancel(job.id)  # no effect on a job that ended
    assert jobs.get(job.id).status == "cancelled"


@pytest.mark.slow
def test_one_runs_at_a_time_in_order_and_a_waiting_one_can_be_cancelled(tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    submitted = [
        jobs.submit(
            "selftest", {"steps": 3, "pause": 0.15, "trail": str(trail), "name": name}, name
        )
        for name in ("first", "dropped", "second", "third")
    ]
    jobs.cancel(submitted[1].id)
    ends = [ended(job.id) for job in submitted]
    assert [job.status for job in ends] == ["done", "cancelled", "done", "done"]
    assert trail.read_text().split() == [
        word
        for name in ("first", "second", "third")
        for step in range(3)
        for word in (name, str(step))
    ]
    assert [job.title for job in jobs.list_jobs()] == ["third", "second", "dropped", "first"]


@pytest.mark.slow
def test_the_job_outlives_the_process_that_submitted_it(own_home: Path) -> None:
    code = (
        "from autointerp_core import jobs; "
        "print(jobs.submit('selftest', {'steps': 5, 'pause': 0.1}, 'orphan').id, flush=True); "
        "import os; os._exit(0)"
    )
    job_id = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CODE_ROOT,
        env={**os.environ, "AUTOINTERP_HOME": str(own_home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert jobs.get(job_id).active
    assert ended(job_id).status == "done"


def test_a_job_whose_submitter_died_before_the_worker_started_is_interrupted() -> None:
    folder = jobs_dir() / "half"
    files.write(folder, files.REQUEST, {"kind": "selftest", "title": "half", "params": {}})
    files.write(folder, files.STATE, {"status": "queued", "queued": 1, "created": files.now()})
    assert jobs.get("half").status == "interrupted"
    # It holds up nobody, and can be retried.
    assert ended(jobs.submit("selftest", {}, "next").id).status == "done"
    jobs.retry("half")
    assert ended("half").status == "done"


def test_unknown_kind_unknown_job_and_damaged_folder() -> None:
    with pytest.raises(JobError, match=r"no kind of job; one of: .*label"):
        jobs.submit("dance", {}, "no")
    for wrong in ("nothing", "../home", "", "a/b"):
        with pytest.raises(JobError, match="there is no job"):
            jobs.get(wrong)
    job = jobs.submit("selftest", {}, "damaged")
    ended(job.id)
    (job.folder / files.STATE).write_bytes(b"{half")
    with pytest.raises(JobError, match="damaged"):
        jobs.get(job.id)
    (listed,) = jobs.list_jobs()
    assert listed.status == "failed"
    assert "damaged" in (listed.error or "")


def test_progress_writes_are_throttled_and_hostile_text_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "job"
    files.write(folder, files.REQUEST, {"kind": "selftest", "title": "t", "params": {}})
    files.write(folder, files.STATE, {"status": "queued", "queued": 1, "created": files.now()})
    writes: list[dict[str, Any]] = []
    write = files.write

    def counted(folder: Path, name: str, value: dict[str, Any]) -> None:
        writes.append(dict(value))
        write(folder, name, value)

    def work(_params: dict[str, Any], progress: Callable[[Progress], None]) -> dict[str, Any]:
        for step in range(500):
            progress(Progress("s", step, 500, message="bad \ud800 text", rate=float("nan")))
        return {"path": Path("/x"), "nan": float("nan"), "set": {"deep"}}

    monkeypatch.setattr(files, "write", counted)
    monkeypatch.setattr(worker_module, "load", lambda _kind: work)
    descriptor = files.open_alive(folder)
    assert files.try_lock(descriptor)
    try:
        assert Worker(folder).run() == 0
    finally:
        os.close(descriptor)
    assert len(writes) <= 4 + 500 * 0.01  # start, first report, end, and one every 0.2 s
    state = files.load(folder)
    assert (state.status, state.done, state.rate) == ("done", 499, None)
    assert state.message == "bad \ufffd text"
    assert state.result["path"] == "/x"
    assert state.result["nan"] is None


@pytest.mark.slow
def test_the_last_report_before_a_silence_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "job"
    files.write(folder, files.REQUEST, {"kind": "selftest", "title": "t", "params": {}})
    files.write(folder, files.STATE, {"status": "queued", "queued": 1, "created": files.now()})
    seen: list[str] = []

    def work(_params: dict[str, Any], progress: Callable[[Progress], None]) -> dict[str, Any]:
        for stage in ("a", "b", "loading"):
            progress(Progress(stage))
        time.sleep(2 * worker_module.WRITE_EVERY)
        seen.append(files.read_json(folder, files.STATE)["stage"])
        return {}

    monkeypatch.setattr(worker_module, "load", lambda _kind: work)
    assert Worker(folder).run() == 0
    assert seen == ["loading"]


def test_cancel_reaches_the_work_as_an_exception(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    files.write(folder, files.REQUEST, {"kind": "selftest", "title": "t", "params": {}})
    files.write(folder, files.STATE, {"status": "queued", "queued": 1, "created": files.now()})
    worker = Worker(folder)
    worker.progress(Progress("s", 1, 2))
    (folder / files.CANCEL).touch()
    with pytest.raises(Cancelled):
        worker.progress(Progress("s", 2, 2))


def test_log_tail_shows_what_a_terminal_would(tmp_path: Path) -> None:
    job = jobs.JobState("x", "selftest", "t", tmp_path)
    assert job.log_tail() == []
    (tmp_path / files.LOG).write_bytes(b"one\n\x1b[31mtwo\x1b[0m\n 1%\r 50%\r100%\n\xff\n")
    assert job.log_tail(3) == ["two", "100%", "\ufffd"]
    assert job.log_tail(0) == []


def test_the_lock_is_the_folders_own(tmp_path: Path) -> None:
    assert not files.is_alive(tmp_path)
    descriptor = files.open_alive(tmp_path)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert files.is_alive(tmp_path)
    os.close(descriptor)
    assert not files.is_alive(tmp_path)


def test_every_kind_names_a_module_and_a_function() -> None:
    for kind, where in KINDS.items():
        module, _, name = where.partition(":")
        assert module.startswith("autointerp_core."), kind
        assert name.isidentifier(), kind


@pytest.mark.slow
def test_work_that_reports_nothing_is_interrupted_when_cancelled() -> None:
    job = jobs.submit("selftest", {"steps": 2, "pause": 60}, "silent for a minute")
    deadline = time.monotonic() + 60
    while jobs.get(job.id).stage != "count":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    jobs.cancel(job.id)
    begun = time.monotonic()
    while jobs.get(job.id).active:
        assert time.monotonic() - begun < 20, "it went on as if nothing had been said"
        time.sleep(0.05)
    ended = jobs.get(job.id)
    assert ended.status == "cancelled"
    assert "retry resumes" in ended.message


def test_a_stage_that_does_not_say_how_long_it_takes_is_timed() -> None:
    pace = Pace()
    assert pace.with_time_left(Progress("a", 0, 100)).seconds_left is None
    pace._begun -= 10  # ten seconds ago
    assert pace.with_time_left(Progress("a", 25, 100)).seconds_left == pytest.approx(30, rel=0.05)
    said = Progress("a", 50, 100, seconds_left=7.0)
    assert pace.with_time_left(said) is said
    assert pace.with_time_left(Progress("b", 50, 100)).seconds_left is None  # a new stage
    assert pace.with_time_left(Progress("b", 60, 0)).seconds_left is None
