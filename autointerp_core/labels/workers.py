"""Work on many features by several processes of this package's own: the one way labels have for it.

Blocks of features go to the processes one at a time, and what comes of them is given back in
order, so that the result does not depend on their number; whoever asked records it, and it alone
holds the label database. A process has one thread and reads the corpus itself, but it loads no
embedding model: texts whose vectors it lacks it asks of the process that started it, which has
one model for all of them, on all cores or a GPU, while those that ask wait. (wordllama's table is
small and quick: each has its own.)

Both sides write JSON, a line each: a task, then any number of ``{"embed": [texts]}`` and their
``{"vectors": base64}``, then ``{"done": …}``.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import orjson

from autointerp_core.arrays import Float32Array
from autointerp_core.children import check_ended, children, cores
from autointerp_core.errors import AutointerpError, ParameterError
from autointerp_core.labels.embedders import Embedder, make_embedder
from autointerp_core.store.files import write_json

EACH = 500
"""Features a process from which starting one, which reads the corpus for itself, pays."""
_AHEAD = 2
"""Blocks a process that are done or being done before the first of them is taken."""

Task = Callable[[Sequence[int]], Any]
"""What is sent of a block of features."""


class AskedEmbedder(Embedder):
    """Has its vectors from the process that started this one."""

    def __init__(self, own: Embedder, ask: Callable[[dict[str, Any]], dict[str, Any]]):
        self.name, self.weights, self.usual = own.name, own.weights, own.usual
        self.usual_share, self._own, self._ask = own.usual_share, own, ask

    def pieces(self, text: str) -> list[str]:
        return self._own.pieces(text)

    def embed(self, texts: Sequence[str]) -> Float32Array:
        if not len(texts):
            return np.zeros((0, 1), dtype=np.float32)
        raw = base64.b64decode(self._ask({"embed": list(texts)})["vectors"])
        return np.frombuffer(raw, dtype=np.float32).reshape(len(texts), -1).copy()


def worth_having(features: int) -> int:
    """Processes for so many features: one a core at most."""
    return max(1, min(cores(), features // EACH))


def can_share(embedder: Embedder) -> bool:
    """Whether another process would make the same one of its name."""
    try:
        return type(make_embedder(embedder.name)) is type(embedder)
    except ParameterError:
        return False  # one that is registered nowhere


def in_processes(
    module: str,
    job: dict[str, Any],
    blocks: Sequence[Sequence[int]],
    count: int,
    *,
    embedder: Embedder,
    doing: str,
    task: Task = list,
) -> Generator[Any]:
    """What processes make of each block, in the order of the blocks.

    Args:
        module: calls :func:`serve` where it is run.
        job: what every process needs to know; JSON.
        blocks: features.
        count: processes.
        embedder: embeds for all of them.
        doing: for messages: "making search labels".
        task: what is sent of a block; called in threads.

    Raises:
        AutointerpError: a process failed or was killed; blocks given back before stay.
    """
    lock = Lock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        write_json(path, {**job, "embedder": embedder.name, "asks": embedder.one_for_all})
        with (
            ThreadPoolExecutor(count) as threads,
            children(module, path, count, asking=True) as started,
            _ended(started),
        ):
            idle: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
            for child in started:
                idle.put(child)

            def one(block: Sequence[int]) -> Any:
                child = idle.get()
                try:
                    return _asked(child, task(block), embedder, lock, doing)
                finally:
                    idle.put(child)

            waiting: deque[Future[Any]] = deque()
            for block in blocks:
                waiting.append(threads.submit(one, block))
                if len(waiting) == _AHEAD * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


@contextmanager
def _ended(started: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    """End the processes where the work ends early, so that no thread waits for one."""
    try:
        yield
    finally:
        for child in started:
            child.kill()


def _asked(
    child: subprocess.Popen[str], task: Any, embedder: Embedder, lock: Lock, doing: str
) -> Any:
    """What a process makes of one task, its questions answered meanwhile."""
    assert child.stdin is not None
    assert child.stdout is not None
    said = {"task": task}
    while True:
        with suppress(OSError):  # it has ended: no line comes, and what it printed says why
            child.stdin.write(_line(said))
            child.stdin.flush()
        line = child.stdout.readline()
        if not line:
            check_ended(child, doing)
            raise AutointerpError(f"{doing}: a process of its own ended without an answer")
        answer = orjson.loads(line)
        if "embed" not in answer:
            return answer["done"]
        with lock:
            vectors = np.ascontiguousarray(embedder.embed(answer["embed"]), dtype=np.float32)
        said = {"vectors": base64.b64encode(vectors.tobytes()).decode()}


def serve(arguments: Sequence[str], make: Callable[[dict[str, Any], Embedder], Task]) -> int:
    """The other side: do tasks until there are no more.

    Args:
        arguments: the program's: the job's file first.
        make: from the job and an embedder, what does one task.
    """
    out, sys.stdout = sys.stdout, sys.stderr  # lines of this talk are all that goes there
    job = json.loads(Path(arguments[0]).read_bytes())

    def tell(said: dict[str, Any]) -> None:
        out.write(_line(said))
        out.flush()

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        tell(question)
        answer: dict[str, Any] = orjson.loads(sys.stdin.readline())
        return answer

    own = make_embedder(job["embedder"])
    do = make(job, AskedEmbedder(own, ask) if job["asks"] else own)
    while line := sys.stdin.readline():
        tell({"done": do(orjson.loads(line)["task"])})
    return 0


def _line(said: dict[str, Any]) -> str:
    return orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY).decode() + "\n"
