"""One writer a study."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from autointerp_core.progress import Progress, ProgressCallback

_LOOK_EVERY = 0.5


@contextmanager
def study_lock(folder: Path, progress: ProgressCallback) -> Iterator[None]:
    """One writer a study: a second run waits for the first, then finds its work done.

    Raises:
        Cancelled: raised by ``progress`` while waiting.
    """
    # Beside the folder, so that a study can be deleted and made again under its lock.
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            progress(Progress("waiting", message="another run is writing this study"))
            time.sleep(_LOOK_EVERY)
    try:
        yield
    finally:
        lock.release()
