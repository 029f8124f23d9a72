"""Background work: one worker process a job, its folder, and what may be asked of it.

A job outlives the tab and the server that started it. Everything known about it is in
its folder (``home()/jobs/<id>/``): ``request.json`` (what to do), ``state.json`` (how far
it is, replaced atomically), ``log.txt``, ``cancel`` (a flag file) and ``alive``, a file the
worker keeps locked as long as it lives. So no daemon is needed, a worker that was killed
is told from one that is busy without guessing by process id, and several app servers may
share one home folder. Jobs run one at a time, in the order in which they were submitted.
"""

from autointerp_core.jobs.queue import cancel, delete, get, list_jobs, retry, submit
from autointerp_core.jobs.state import ACTIVE, Job, JobState

__all__ = [
    "ACTIVE",
    "Job",
    "JobState",
    "cancel",
    "delete",
    "get",
    "list_jobs",
    "retry",
    "submit",
]
