"""Writing a study in a format: batch by batch, atomic, going on where a killed export stopped."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from autointerp_core.errors import BadInput, OutputError
from autointerp_core.exchange.config import ExportConfig
from autointerp_core.exchange.format import Format, Plan
from autointerp_core.exchange.registry import export_format
from autointerp_core.exchange.run_names import LOCK, MANIFEST
from autointerp_core.exchange.subject import Subject
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.files import check_writable, write_bytes, writing
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

_HALF = re.compile(r"\..+\.[0-9a-f]{12}\.tmp")
"""What :func:`~autointerp_core.store.files.name_beside` calls a file before it is whole."""
_CLOSING = "closing"
"""Stands in the manifest for the files that are written once all batches are."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote."""

    format: str
    folder: Path
    features: int
    files: int
    batches: int
    reused: int
    """Batches that an earlier run, which was interrupted, had written."""
    left_out: tuple[str, ...] = ()
    sent: str | None = None
    closing: tuple[Path, ...] = ()
    """The files that were written last, such as an index."""

    def to_json(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "folder": str(self.folder),
            "features": self.features,
            "files": self.files,
            "batches": self.batches,
            "reused": self.reused,
            "left_out": list(self.left_out),
            "sent": self.sent,
        }


def preview(subject: Subject, format_name: str) -> Plan:
    """What an export would write.

    Raises:
        BadInput: no such format, or the study lacks what it needs.
    """
    return export_format(format_name).plan(subject)


def export_features(
    study: Study,
    history: LabelHistory,
    format_name: str,
    features: Sequence[int],
    output_dir: str | Path,
    config: ExportConfig | None = None,
    progress: ProgressCallback = silent,
    scores: Mapping[int, float] | None = None,
) -> Exported:
    """Write some features of a study in a format.

    Interrupted at any moment, the same call goes on with the batches that are missing, and the
    folder ends as if it had not been interrupted. A call that asks for something else (another
    format, other features, labels that changed since) replaces what this one wrote.

    Args:
        features: which, in any order; repeats count once.
        output_dir: a folder, made where it is not there.
        progress: called once a batch.
        scores: input scores that win over the study's.

    Raises:
        BadInput: no such format, a feature that is not in the study, or one of what it needs.
        OutputError: the folder cannot be written, or another export is at work in it.
        DiskFull: no space is left.
        MissingDependency: the format needs a package that is not installed.
    """
    chosen = export_format(format_name)
    asked = tuple(dict.fromkeys(int(feature) for feature in features))
    wanted = tuple(sorted(asked))
    if not wanted:
        raise BadInput("there is no feature to export; give at least one")
    for feature in wanted if len(wanted) < len(study.features) else ():
        study.locate(feature)  # raises
    subject = Subject(study, history, wanted, config or ExportConfig(), asked, dict(scores or {}))
    plan = chosen.plan(subject)
    folder = Path(output_dir).expanduser()
    check_writable(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        with lock.acquire(timeout=0):
            return _Export(chosen, subject, plan, folder, progress).run()
    except Timeout as error:
        raise OutputError(
            f"another export is writing to {folder}; wait for it, or give another folder"
        ) from error


class _Export:
    def __init__(
        self,
        chosen: Format,
        subject: Subject,
        plan: Plan,
        folder: Path,
        progress: ProgressCallback,
    ):
        self.format, self.subject, self.plan = chosen, subject, plan
        self.folder, self.progress = folder, progress
        self.key = _key(chosen, subject)

    def run(self) -> Exported:
        if not self.plan.batches:
            return self._at_once()
        self._sweep()
        done = self._resume()
        reused = len(done.keys() - {_CLOSING})
        total = len(self.subject.features)
        counted = 0
        started, begun_at = (
            time.perf_counter(),
            sum(len(b.features) for b in self.plan.batches if b.name in done),
        )
        self._say(begun_at, total, started, begun_at)
        for batch in self.plan.batches:
            counted += len(batch.features)
            if batch.name in done:
                continue
            more = self.format.write(self.subject, batch, self.folder) or ()
            done[batch.name] = [*batch.files, *more, *batch.parts]
            self._keep(done)
            self._say(counted, total, started, begun_at)
        if _CLOSING not in done:
            self.format.close(self.subject, self.plan, self.folder)
            done[_CLOSING] = list(self.plan.closing)
            self._keep(done)
        for part in [one for batch in self.plan.batches for one in batch.parts]:
            _remove(self.folder, part)
        sent = self.format.send(self.subject, self.plan, self.folder, self.progress)
        parts = sum(len(batch.parts) for batch in self.plan.batches)
        files = sum(map(len, done.values())) - parts
        return self._report(files, reused, None if sent is None else sent.line)

    def _sweep(self) -> None:
        """Remove what a killed export left half written, from the folders it writes to."""
        planned = [name for b in self.plan.batches for name in (*b.files, *b.parts)]
        folders = {(self.folder / name).parent for name in (*planned, *self.plan.closing)}
        folders |= {self.folder / name for name in self.plan.folders}
        for folder in folders:
            for path in folder.glob(".*.tmp") if folder.is_dir() else ():
                if _HALF.fullmatch(path.name):
                    with writing(path):
                        path.unlink(missing_ok=True)

    def _at_once(self) -> Exported:
        """A format without batches: each of its files replaces the one that was there."""
        started = time.perf_counter()
        total = len(self.subject.features)
        self._say(0, total, started, 0)
        self.format.close(self.subject, self.plan, self.folder)
        self._say(total, total, started, 0)
        return self._report(self.plan.n_files, 0, None)

    def _report(self, files: int, reused: int, sent: str | None) -> Exported:
        plan = self.plan
        return Exported(
            self.format.name,
            self.folder,
            len(self.subject.features),
            files,
            len(plan.batches),
            reused,
            plan.left_out,
            sent,
            tuple(self.folder / name for name in plan.closing),
        )

    def _say(self, done: int, total: int, started: float, begun_at: int) -> None:
        spent = time.perf_counter() - started
        rate = (done - begun_at) / spent if done > begun_at and spent > 0 else None
        left = (total - done) / rate if rate else None
        self.progress(Progress("export", done, total, "features", rate, left))

    def _resume(self) -> dict[str, list[str]]:
        """Batches that are written already; what another export wrote here is removed."""
        kept = self._read()
        files = kept.get("files")
        if not isinstance(files, dict):
            return {}
        if kept.get("key") == self.key:
            return self._whole(files)
        for listed in files.values():
            for name in listed if isinstance(listed, list) else ():
                _remove(self.folder, str(name))
        with writing(self.folder):
            (self.folder / MANIFEST).unlink(missing_ok=True)
        return {}

    def _whole(self, files: dict[str, list[str]]) -> dict[str, list[str]]:
        """What was written by this export and is still there."""
        names = {_CLOSING: self.plan.closing} | {b.name: b.files for b in self.plan.batches}
        found = {
            name: files[name]
            for name, listed in names.items()
            if name in files and all((self.folder / one).is_file() for one in listed)
        }
        if len(found) == len(names):
            return found
        # Some of it is missing, so it is put together again, and that takes the parts, too.
        found.pop(_CLOSING, None)
        parts = {batch.name: batch.parts for batch in self.plan.batches}
        return {
            name: listed
            for name, listed in found.items()
            if all((self.folder / one).is_file() for one in parts[name])
        }

    def _read(self) -> dict[str, Any]:
        try:
            found = orjson.loads((self.folder / MANIFEST).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _keep(self, done: dict[str, list[str]]) -> None:
        raw = {"format": self.format.name, "key": self.key, "files": done}
        write_bytes(self.folder / MANIFEST, orjson.dumps(raw))


def _remove(folder: Path, name: str) -> None:
    """Remove a file that an earlier export wrote; nothing outside its folder."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        return
    with writing(path):
        path.unlink(missing_ok=True)
        parent = path.parent
        if parent != folder and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
        parent = path.parent
        if parent != folder and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def _key(chosen: Format, subject: Subject) -> str:
    """A hash of everything that decides which bytes are written."""
    settings = {name: getattr(subject.config, name) for name in (*chosen.settings, "examples")}
    for name in ("send", "base_url", "key_variable", "push_to"):
        settings.pop(name, None)  # where it goes changes no byte
    about = {
        "format": chosen.name,
        "version": chosen.version,
        "study": hashlib.sha256((subject.study.folder / "study.json").read_bytes()).hexdigest(),
        "labels": [subject.version, subject.moment],
        "features": hashlib.sha256(repr(subject.asked).encode()).hexdigest(),
        "scores": dict(sorted(subject.scores.items())),
        "settings": settings,
    }
    raw = orjson.dumps(about, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(raw).hexdigest()
