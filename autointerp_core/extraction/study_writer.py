"""Writing a study: the record, passes and their shards, summaries, and what needs no model.

A study is written by one process at a time. It grows by whole passes: a pass is on disk as a
folder from the start, and part of the study once the record names it. Which shards of it are
done is seen from their files, so a run that was killed goes on at the first that is not there.

A pass begun and not finished is kept until finished passes hold all its features. Another
pass for some of them takes its shards over (cut down to them), so that no run of the model is
lost to a change of mind: an ``all`` that was stopped, three features asked for, then ``all``.

Firings of features that nobody asked for may be kept, too (``keep`` of the configuration). Such
a pass is *kept*: it has shards and no summary, and later passes take their firings from it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autointerp_core.errors import BadInput, HookError, ModelSourceError
from autointerp_core.extraction.firings import Shard, plan_shards
from autointerp_core.extraction.keeping import lacking_folders, too_large
from autointerp_core.extraction.kept import finish_from_kept, kept_features
from autointerp_core.extraction.neighbours import write_neighbours
from autointerp_core.extraction.pass_folder import (
    Features,
    OpenPass,
    holds,
    pass_name,
    shard_tokens,
    write_features,
)
from autointerp_core.extraction.record import new_record
from autointerp_core.extraction.summary import summarise, write_counted
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.feature_shards import (
    FEATURES_FILE,
    Pass,
    read_features,
    read_shard,
    shard_intact,
)
from autointerp_core.store.files import write_json, writing
from autointerp_core.store.neighbours import NEIGHBOURS_FILE
from autointerp_core.store.study import LOGITS_FILE, open_pass
from autointerp_core.store.study_record import (
    FILE_NAME,
    KEEPING_SCHEMA,
    KeptRecord,
    PassRecord,
    StudyRecord,
    read_record,
    write_record,
)
from autointerp_core.store.tokenstore import TokenStore

if TYPE_CHECKING:
    from autointerp_core.extraction.health import Health
    from autointerp_core.extraction.resolve import ResolvedExtraction


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
        folder = self.folder / "passes" / pass_name(features)
        with writing(folder):
            (folder / "shards").mkdir(parents=True, exist_ok=True)
            for left_over in folder.glob("shards/.*.tmp"):
                left_over.unlink()
        if shards is None:
            size = self._planned(folder, features)
            shards = plan_shards(np.asarray(self.tokens().sequences), size)
        write_features(folder, features)
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
        self._count(found)
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

    def finish_kept(self, done: OpenPass, features: Features) -> None:
        """Keep a pass all of whose shards are there; make ``features`` of it part of the study."""
        if len(features) == len(done.features):
            self.finish_pass(done)
            return
        self._count(Pass(done.folder))
        entry = KeptRecord(
            name=done.folder.name, n_features=len(done.features), n_shards=len(done.shards)
        )
        kept = (*(self.record.kept or ()), entry)
        self._record = replace(self.record, kept=kept, schema=KEEPING_SCHEMA)
        self.bring_in(features)
        self._drop_superseded()

    def bring_in(self, features: Features) -> Features:
        """Make those of ``features`` whose firings are kept part of the study; the others."""
        if self._record is None or not self._record.kept:
            return features
        record, rest = finish_from_kept(
            self.folder, self._record, features, self.resolved.config.n_examples, self.progress
        )
        if record is not self._record or len(rest) < len(features):
            self._save(record)
        return rest

    # -- what is kept of features not asked for -------------------------------------------

    def begin_keeping(self, features: Features) -> OpenPass:
        """Open the pass that brings ``features``: theirs alone, or of all that lack firings.

        What a run before decided, and did not finish, is gone on with.
        """
        everything = np.arange(self.resolved.sae.config.d_sae, dtype=np.int32)
        lacking = np.setdiff1d(everything, np.concatenate([self._stored(), self._kept()]))
        keep = self.resolved.config.keep
        begun = self.folder / "passes" / pass_name(features)
        decided = keep == "auto" and (begun / "plan.json").exists()
        return self.begin_pass(features if keep == "asked" or decided else lacking)

    def too_much(self, keeping: OpenPass, asked: Features) -> str:
        """Why a pass should keep only the features asked for; empty where it may go on.

        Projected from the shards that are there; only with ``keep="auto"``.
        """
        if self.resolved.config.keep != "auto" or len(keeping.features) == len(asked):
            return ""
        return too_large(keeping, len(asked), np.asarray(self.tokens().sequences))

    def keep_only(self, features: Features, keeping: OpenPass) -> OpenPass:
        """Go on with ``features`` alone: their part of the shards that are there is taken over."""
        fewer = self.begin_pass(features)
        shutil.rmtree(keeping.folder)
        return fewer

    def complete(self) -> None:
        """What needs no new activations: more examples of every pass, logits, neighbours."""
        wanted = self.resolved.config.n_examples
        for entry in self.record.passes:
            if (entry.n_examples or 0) < wanted:
                self._summarise(open_pass(self.folder, entry), wanted)
                more = replace(entry, n_examples=wanted)
                passes = tuple(more if each is entry else each for each in self.record.passes)
                self._save(replace(self.record, passes=passes))
        if self.resolved.config.logits:
            self._logits()
        if self.resolved.config.neighbours:
            for folder in self._lacking(NEIGHBOURS_FILE, self.resolved.sae.config.d_sae):
                decoder = self.resolved.sae.sae.W_dec.detach()
                write_neighbours(folder, decoder, read_features(folder), self.progress)

    # -- parts --------------------------------------------------------------------------

    def _stored(self) -> Features:
        """Features of all finished passes."""
        entries = self._record.passes if self._record is not None else ()
        found = [read_features(self.folder / "passes" / entry.name) for entry in entries]
        return np.concatenate([np.zeros(0, dtype=np.int32), *found])

    def _kept(self) -> Features:
        """Features whose firings are kept, stored or not."""
        return kept_features(self.folder, self._record)

    def _count(self, found: Pass) -> None:
        """Say which positions count, where that is not known yet."""
        if self.record.passes:
            return
        counted = write_counted(
            self.tokens(), found, self.resolved.config.masks, self._reference_median()
        )
        counts = replace(self.record.counts, counted=counted)
        self._record = replace(self.record, counts=counts)

    def _reference_median(self) -> float:
        sinks = self.record.sinks
        return sinks.reference_median if sinks is not None else 0.0

    def _planned(self, folder: Path, features: Features) -> int:
        """Tokens a shard: as the pass was begun, or as one that it can take shards from was."""
        path = folder / "plan.json"
        if not path.exists():
            size = self.resolved.config.shard_tokens
            others = [other for other in self._unfinished() if holds(other, features)]
            if others:
                most = max(others, key=lambda other: len(list(other.glob("shards/0*"))))
                size = shard_tokens(most) or size
            write_json(path, {"shard_tokens": size})
        return shard_tokens(path.parent) or self.resolved.config.shard_tokens

    def _unfinished(self) -> list[Path]:
        """Folders of passes that were begun and are not part of the study, by name."""
        record = self._record
        finished: set[str] = set()
        if record:
            finished = {e.name for e in record.passes} | {e.name for e in record.kept or ()}
        folder = self.folder / "passes"
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return [child for child in found if child.name not in finished]

    def _take_over(self, wanted: OpenPass) -> None:
        """Fill shards from unfinished passes that hold the same features and others."""
        size = shard_tokens(wanted.folder)
        for other in self._unfinished():
            if other == wanted.folder or size is None or shard_tokens(other) != size:
                continue
            if not holds(other, wanted.features):
                continue
            rows = np.searchsorted(read_features(other), wanted.features)
            for shard in wanted.todo:
                if shard_intact(shard.path(other)):
                    wanted.put(shard, read_shard(shard.path(other)).only(rows))

    def _drop_superseded(self) -> None:
        """Remove unfinished passes that have nothing which finished ones lack."""
        stored = np.concatenate([self._stored(), self._kept()])
        for child in self._unfinished():
            features = read_features(child) if (child / FEATURES_FILE).exists() else stored[:0]
            if np.isin(features, stored).all() or not any(child.glob("shards/*.safetensors")):
                shutil.rmtree(child)

    def _summarise(self, found: Pass, n_examples: int) -> None:
        # Opened anew: which positions count may have been written since.
        tokens = TokenStore(self.folder / "tokens")
        summarise(tokens, found, self.record.counts.counted, n_examples, self.progress)

    def _logits(self) -> None:
        """Logits of every pass that lacks them; the head is loaded only when one does."""
        from autointerp_core.extraction.logits import load_direction_head, write_logits

        lacking = self._lacking(LOGITS_FILE, self.resolved.model.vocab_size)
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
                each / LOGITS_FILE,
                self.resolved.sae.sae.W_dec.detach(),
                head,
                read_features(each),
                self.resolved.config.block_features,
                self.progress,
            )

    def _lacking(self, file_name: str, width: int) -> Sequence[Path]:
        """Folders that need a file of a line a feature, worked out of ``width`` vectors a line."""
        cuda = self.resolved.device.type == "cuda"
        products = float(width) * self.resolved.sae.config.d_in
        passes = self.folder / "passes"
        return lacking_folders(passes, self.record, file_name, products, cuda=cuda)

    def _save(self, record: StudyRecord) -> None:
        self._record = record
        write_record(self.folder, record)
