"""Answers already paid for, kept on disk by the hash of the question.

One JSON line an answer, appended and flushed the moment it is complete: a killed process
loses none that it received. A line cut by a full disk is skipped when read. A reply that came
completely and could not be read is kept as an error, so that it is not paid for again.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import NamedTuple

import orjson

from autointerp_core.home import home
from autointerp_core.labels.providers.base import Completion
from autointerp_core.store.files import writing


class _Known(NamedTuple):
    text: str | None
    probability: float | None = None
    error: str | None = None


class AnswerCache:
    """Answers of one model at one server."""

    def __init__(self, server: str, model: str, folder: Path | None = None):
        name = hashlib.sha256(f"{server}\n{model}".encode()).hexdigest()[:24]
        self.path = (folder or home() / "answers") / f"{name}.jsonl"
        self._lock = threading.Lock()
        self._known: dict[str, _Known] | None = None

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
        return Completion(index, found.text, found.error), found.probability

    def put(self, key: str, answer: Completion, probability: float | None = None) -> None:
        """Keep an answer, and the probability of yes of a judgement; or the error of a reply.

        An error takes the place of no answer that is known.

        Raises:
            DiskFull, OutputError: it could not be written.
        """
        kept: dict[str, object] = {"key": key}
        if answer.error is not None:
            kept["error"] = answer.error  # and no text: an older version skips such a line
        else:
            kept |= {
                "text": answer.text,
                "tokens_in": answer.tokens_in,
                "tokens_out": answer.tokens_out,
                "cost": answer.cost,
            }
            if probability is not None:
                kept["probability"] = probability
        line = orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE)
        with self._lock, writing(self.path):
            _add(self._load(), key, _Known(answer.text, probability, answer.error))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # One write call on a file opened for appending: lines of two processes never mix.
            with self.path.open("a+b", buffering=0) as handle:
                # Behind a line that somebody died in, this one would be lost as well.
                if handle.seek(0, os.SEEK_END):
                    handle.seek(-1, os.SEEK_END)
                    if handle.read(1) != b"\n":
                        line = b"\n" + line
                handle.write(line)

    def _load(self) -> dict[str, _Known]:
        if self._known is None:
            self._known = {}
            raw = self.path.read_bytes() if self.path.exists() else b""
            for line in raw.splitlines():
                try:
                    found = orjson.loads(line)
                    error = found.get("error")
                    text = found["text"] if error is None else None
                    known = _Known(text, found.get("probability"), error)
                    _add(self._known, found["key"], known)
                except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
                    continue  # the last line of a process that died while writing it
        return self._known


def _add(known: dict[str, _Known], key: str, new: _Known) -> None:
    """The last answer counts; asked anew with no success, the one before."""
    if new.error is None or key not in known:
        known[key] = new
