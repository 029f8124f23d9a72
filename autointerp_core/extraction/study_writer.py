"""Writing a study: the record, passes and their shards, summaries, and what needs no model.

A study is written by one process at a time. It grows by whole passes: a pass is on disk as a
folder from the start, and part of the study once the record names it. Which shards of it are
done is seen from their files, so a run that was killed goes on at the first that is not there.

A pass begun and not finished is kept until finished passes hold all its features. Another
pass for some of them takes its shards over (cut down to them), so that no run of the model is
lost to a change of mind: an ``all`` that was stopped, three features asked for, then ``all``.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import BadInput, HookError, ModelSourceError
from autointerp_core.extraction.firings import Shard, plan_shards
from autointerp_core.extraction.neighbours import write_neighbours
from autointerp_core.extraction.record import new_record
from autointerp_core.extraction.summary import summarise, write_counted
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.feature_shards import (
    Pass,
    ShardFirings,
    read_shard,
    shard_intact,
    write_shard,
)
from autointerp_core.store.files import write_bytes, write_json, writing
from autointerp_core.store.neighbours import NEIGHBOURS_FILE
from autointerp_core.store.study_record import (
    FILE_NAME,
    PassRecord,
    StudyRecord,
    read_record,
    write_record,
)
from autointerp_core.store.tokenstore import TokenStore

if TYPE_CHECKING:
    from autointerp_core.extraction.health import Health
    from autointerp_core.extraction.resolve import ResolvedExtraction

Features = NDArray[np.int32]

_FEATURES = "features.npy"


class OpenPass:
    """A pass being made: features, and the shards that an engine fills."""

    def __init__(self, folder: Path, features: Features, shards: list[Shard]):
        self.folder, self.features, self.shards = folder, features, shards

    @property
    def todo(self) -> list[Shard]:
        """Shards without a whole file, in order."""
        return [shard for shard in self.shards if not shard_intact(shard.path(self.folder))]

    def put(self, shard: Shard, firings: ShardFirings) -> None:
        """Keep a shard's firings; once this returns, no kill loses them.

        Raises:
            DiskFull: no space is left; shards put before stay.
        """
        write_shard(shard.path(self.folder), firings)

    def norms(self, shards: list[Shard]) -> NDArray[np.float32]:
        """Activation norm of every token of these shards (which are done), in order."""
        found = [read_shard(shard.path(self.folder)).norm for shard in shards]
        return np.concatenate(found) if found else np.zeros(0, dtype=np.float32)


class StudyWriter:
    """Brings one study's folder up to date. Whoever makes one holds its ``study_lock``."""

    def __init__(self, folder: Path, resolved: ResolvedExtraction, progress: ProgressCallback):
        self.folder, self.resolved, self.progress = folder, resolved, progress
        self._record = read_record(folder) if (folder / FILE_NAME).exists() else None

    @property
    def is_new(self) -> bool:
        """Whether the study has no record yet: :meth:`begin_study` has to be called."""
        return self._record is None

    @property
    def record(self) -> StudyRecord:
        """The record as it stands; it is on disk once a pass is finished."""
        if self._record is None:
            raise RuntimeError("the study has not begun: call begin_study first")
        return self._record

    def missing(self) -> Features:
        """Features asked for that no finished pass holds, sorted."""
        return np.setdiff1d(self.resolved.features, self._stored()).astype(np.int32)

    def tokens(self) -> TokenStore:
        """The study's tokens, made where they are not there yet."""
        from autointerp_core.extraction.tokens import write_tokens

        resolved, folder = self.resolved, self.folder / "tokens"
        if not folder.exists():
            try:
                write_tokens(
                    folder,
                    resolved.documents,
                    resolved.rows.n_rows,
                    resolved.tokenizer,
                    resolved.tokenisation,
                    self.progress,
                )
            except BadInput:
                with suppress(OSError):  # a study that cannot be begun leaves no folder
                    self.folder.rmdir()
                raise
        return TokenStore(folder)

    def begin_study(
        self,
        reference_median: float,
        health: Health,
        *,
        engine: str | None = None,
        packages: tuple[str, ...] = (),
    ) -> None:
        """Say what the record of a new study starts with; health warnings are told.

        Args:
            reference_median: activation norm that the sink rule compares with.
            engine: name of an engine other than our own.
            packages: distributions whose versions matter, besides the usual ones.
        """
        for warning in health.warnings:
            self.progress(Progress("health", message=f"warning: {warning['message']}"))
        self._record = new_record(
            self.resolved,
            self.folder.name,
            self.tokens(),
            reference_median,
            health,
            engine=engine,
            packages=packages,
        )

    # -- passes -------------------------------------------------------------------------

    def begin_pass(self, features: Features, shards: list[Shard] | None = None) -> OpenPass:
        """Open the pass of these features, or go on with it where a run before began it.

        Args:
            features: sorted; none of them is stored yet.
            shards: how sequences are cut; None: as the config says, or as the run that began
                the pass had it, so that resuming fits.
        """
        folder = self.folder / "passes" / _pass_name(features)
        with writing(folder):
            (folder / "shards").mkdir(parents=True, exist_ok=True)
            for left_over in folder.glob("shards/.*.tmp"):
                left_over.unlink()
        if shards is None:
            size = self._planned(folder, features)
            shards = plan_shards(np.asarray(self.tokens().sequences), size)
        _write_features(folder, features)
        found = OpenPass(folder, features, shards)
        self._take_over(found)
        return found

    def finish_pass(
        self, done: OpenPass, check: Callable[[TokenStore, Pass], None] | None = None
    ) -> None:
        """Summarise a pass all of whose shards are there, and make it part of the study.

        ``check`` sees it between the two, and may raise.
        """
        found = Pass(done.folder)
        if not self.record.passes:
            counted = write_counted(
                self.tokens(), found, self.resolved.config.masks, self._reference_median()
            )
            counts = replace(self.record.counts, counted=counted)
            self._record = replace(self.record, counts=counts)
        n_examples = self.resolved.config.n_examples
        self._summarise(found, n_examples)
        if check is not None:
            check(TokenStore(self.folder / "tokens"), found)
        entry = PassRecord(
            name=done.folder.name,
            n_features=len(done.features),
            n_shards=len(done.shards),
            n_examples=n_examples,
        )
        self._save(replace(self.record, passes=(*self.record.passes, entry)))
        self._drop_superseded()

    def complete(self) -> None:
        """What needs no new activations: more examples of every pass, logits, neighbours."""
        wanted = self.resolved.config.n_examples
        for entry in self.record.passes:
            if (entry.n_examples or 0) < wanted:
                self._summarise(Pass(self.folder / "passes" / entry.name), wanted)
                more = replace(entry, n_examples=wanted)
                passes = tuple(more if each is entry else each for each in self.record.passes)
                self._save(replace(self.record, passes=passes))
        if self.resolved.config.logits:
            self._logits()
        if self.resolved.config.neighbours:
            for folder in self._lacking(NEIGHBOURS_FILE):
                decoder = self.resolved.sae.sae.W_dec.detach()
                write_neighbours(folder, decoder, _read_features(folder), self.progress)

    # -- parts --------------------------------------------------------------------------

    def _stored(self) -> Features:
        """Features of all finished passes."""
        if self._record is None or not self._record.passes:
            return np.zeros(0, dtype=np.int32)
        return np.concatenate(
            [_read_features(self.folder / "passes" / e.name) for e in self._record.passes]
        )

    def _reference_median(self) -> float:
        sinks = self.record.sinks
        return sinks.reference_median if sinks is not None else 0.0

    def _planned(self, folder: Path, features: Features) -> int:
        """Tokens a shard: as the pass was begun, or as one that it can take shards from was."""
        path = folder / "plan.json"
        if not path.exists():
            size = self.resolved.config.shard_tokens
            others = [other for other in self._unfinished() if _holds(other, features)]
            if others:
                most = max(others, key=lambda other: len(list(other.glob("shards/0*"))))
                size = _shard_tokens(most) or size
            write_json(path, {"shard_tokens": size})
        return _shard_tokens(path.parent) or self.resolved.config.shard_tokens

    def _unfinished(self) -> list[Path]:
        """Folders of passes that were begun and are not part of the study, by name."""
        finished = {entry.name for entry in self._record.passes} if self._record else set()
        folder = self.folder / "passes"
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return [child for child in found if child.name not in finished]

    def _take_over(self, wanted: OpenPass) -> None:
        """Fill shards from unfinished passes that hold the same features and others."""
        size = _shard_tokens(wanted.folder)
        for other in self._unfinished():
            if other == wanted.folder or size is None or _shard_tokens(other) != size:
                continue
            if not _holds(other, wanted.features):
                continue
            rows = np.searchsorted(_read_features(other), wanted.features)
            for shard in wanted.todo:
                if shard_intact(shard.path(other)):
                    wanted.put(shard, read_shard(shard.path(other)).only(rows))

    def _drop_superseded(self) -> None:
        """Remove unfinished passes that have nothing which finished ones lack."""
        stored = self._stored()
        for child in self._unfinished():
            features = _read_features(child) if (child / _FEATURES).exists() else stored[:0]
            if np.isin(features, stored).all() or not any(child.glob("shards/*.safetensors")):
                shutil.rmtree(child)

    def _summarise(self, found: Pass, n_examples: int) -> None:
        # Opened anew: which positions count may have been written since.
        tokens = TokenStore(self.folder / "tokens")
        summarise(tokens, found, self.record.counts.counted, n_examples, self.progress)

    def _logits(self) -> None:
        """Logits of every pass that lacks them; the head is loaded only when one does."""
        from autointerp_core.extraction.logits import load_direction_head, write_logits

        lacking = self._lacking("logits.safetensors")
        if not lacking:
            return
        resolved = self.resolved
        written = resolved.sae.hook_out or resolved.hook
        try:
            head = load_direction_head(resolved.model, written, resolved.device)
        except (HookError, ModelSourceError) as error:
            # Everything else of the study is there: it is not lost for want of these.
            message = f"note: no top and bottom logits: {error}"
            self.progress(Progress("logits", message=message))
            return
        for each in lacking:
            write_logits(
                each / "logits.safetensors",
                self.resolved.sae.sae.W_dec.detach(),
                head,
                _read_features(each),
                self.resolved.config.block_features,
                self.progress,
            )

    def _lacking(self, file_name: str) -> list[Path]:
        """Folders of finished passes without a file."""
        folders = [self.folder / "passes" / entry.name for entry in self.record.passes]
        return [folder for folder in folders if not (folder / file_name).exists()]

    def _save(self, record: StudyRecord) -> None:
        self._record = record
        write_record(self.folder, record)


def _pass_name(features: Features) -> str:
    """Named by its features, so that the same request finds its unfinished pass again."""
    return sha256(features.astype("<i4").tobytes()).hexdigest()[:12]


def _write_features(folder: Path, features: Features) -> None:
    if not (folder / _FEATURES).exists():
        buffer = io.BytesIO()
        np.save(buffer, features, allow_pickle=False)
        write_bytes(folder / _FEATURES, buffer.getvalue())


def _read_features(folder: Path) -> Features:
    features: Features = np.load(folder / _FEATURES, allow_pickle=False)
    return features


def _holds(folder: Path, features: Features) -> bool:
    """Whether an unfinished pass holds all of ``features``."""
    if not (folder / _FEATURES).exists():
        return False
    return bool(np.isin(features, _read_features(folder)).all())


def _shard_tokens(folder: Path) -> int | None:
    """Tokens a shard of a pass, where it is cut as the config says."""
    path = folder / "plan.json"
    return int(json.loads(path.read_bytes())["shard_tokens"]) if path.exists() else None
