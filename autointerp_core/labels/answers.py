"""Answers already paid for, kept on disk by the hash of the question.

One JSON line an answer, appended and flushed the moment it is complete: a killed process
loses none that it received. A line cut by a full disk is skipped when read.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import orjson

from autointerp_core.home import home
from autointerp_core.labels.provider import Completion
from autointerp_core.store.files import writing


class AnswerCache:
    """Answers of one model at one server."""

    def __init__(self, server: str, model: str, folder: Path | None = None):
        name = hashlib.sha256(f"{server}\n{model}".encode()).hexdigest()[:24]
        self.path = (folder or home() / "answers") / f"{name}.jsonl"
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str | None, float | None]] | None = None

    def get(self, key: str, index: int) -> Completion | None:
        """The answer to the question with this hash, as number ``index``, at no new cost."""
        found = self.find(key, index)
        return None if found is None else found[0]

    def find(self, key: str, index: int) -> tuple[Completion, float | None] | None:
        """The same with the probability of yes, where one was kept with the answer."""
        with self._lock:
            found = self._load().get(key)
        if found is None:
            return None
        return Completion(index, found[0]), found[1]

    def put(self, key: str, answer: Completion, probability: float | None = None) -> None:
        """Keep an answer, and the probability of yes of a judgement.

        Raises:
            DiskFull, OutputError: it could not be written.
        """
        line = orjson.dumps(
            {
                "key": key,
                "text": answer.text,
                "tokens_in": answer.tokens_in,
                "tokens_out": answer.tokens_out,
                "cost": answer.cost,
                **({} if probability is None else {"probability": probability}),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        with self._lock, writing(self.path):
            self._load()[key] = (answer.text, probability)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # One write call on a file opened for appending: lines of two processes never mix.
            with self.path.open("ab", buffering=0) as handle:
                handle.write(line)

    def _load(self) -> dict[str, tuple[str | None, float | None]]:
        if self._known is None:
            self._known = {}
            raw = self.path.read_bytes() if self.path.exists() else b""
            for line in raw.splitlines():
                try:
                    found = orjson.loads(line)
                    self._known[found["key"]] = (found["text"], found.get("probability"))
                except (orjson.JSONDecodeError, KeyError, TypeError):
                    continue  # the last line of a process that died while writing it
        return self._known
