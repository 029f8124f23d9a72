"""What ``study.json`` holds: one definition, by which it is written and read.

Every object in it is a :class:`~autointerp_core.store.json_section.Section`: keys are written in
the order of the fields, and what an earlier version lacked is a field with a default.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import orjson
from annotated_doc import Doc

from autointerp_core.errors import StudyError
from autointerp_core.store.files import write_json
from autointerp_core.store.json_section import Section, only_if_given
from autointerp_core.store.records import HealthWarning

SCHEMA = 1
"""Of what makes a study's numbers: part of its identity."""
KEEPING_SCHEMA = 2
"""Of a record whose study keeps firings that older versions would not find."""
FILE_NAME = "study.json"


@dataclass(frozen=True, kw_only=True)
class Masks(Section):
    """Which positions are left out of examples and statistics. Part of a study's identity."""

    special: Annotated[
        bool, Doc("Leave special tokens (BOS, EOS …) out of examples and statistics.")
    ] = True
    sinks: Annotated[bool, Doc("Leave attention sinks out, likewise.")] = True
    sink_factor: Annotated[
        float, Doc("A sink's activation norm exceeds this many reference medians.")
    ] = 10.0


@dataclass(frozen=True, kw_only=True)
class Identity(Section):
    """Everything that changes a study's numbers; the feature set does not."""

    model: str
    tokenizer: str
    sae: str
    hook: str
    dataset: str
    column: str
    rows: int
    context_size: int
    prepend_bos: bool
    masks: Masks
    dtype: str
    schema: int = SCHEMA
    engine: str | None = only_if_given()
    """Where another engine than our own made the numbers."""
    pack: bool | None = only_if_given()
    """Whether documents share sequences."""
    bos_once: bool | None = only_if_given()
    """Where texts hold BOS themselves: a sequence that begins with it got no other."""
    rows_are: str | None = only_if_given()
    """What the column holds, where it is not text."""
    chat_template: str | None = only_if_given()
    """``sha256:…`` of what put conversations into text."""
    chat_roles: str | None = only_if_given()
    """Roles whose messages count, where not all do."""
    control: str | None = only_if_given()
    """Where the SAE is a control: which, say ``shuffled-0``."""

    @property
    def digest(self) -> str:
        raw = orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(raw).hexdigest()

    def study_id(self, model_name: str, place: str) -> str:
        """Readable and unique: model, hook point in short, then a part of the digest."""
        model = re.sub(r"[^a-z0-9]+", "-", model_name.rstrip("/").rsplit("/", 1)[-1].lower())
        named = f"{place}-{self.control}" if self.control else place
        # A name without a Latin letter leaves nothing, and an id must not begin with a dash.
        return f"{model.strip('-')[:40] or 'model'}-{named}-{self.digest[:10]}"


@dataclass(frozen=True, kw_only=True)
class ModelRecord(Section):
    name: str
    path: str | None = None
    """What it was loaded from, as given."""
    n_layers: int | None = None
    d_model: int | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class SAERecord(Section):
    source: str
    path: str | None = None
    """What it was loaded from, as given; so is ``sae_id``."""
    sae_id: str | None = None
    layout: str | None = None
    architecture: str | None = None
    k: int | None = None
    d_in: int | None = None
    d_sae: int
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class DatasetRecord(Section):
    name: str
    path: str | None = None
    column: str
    n_rows: int | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class TokenisationRecord(Section):
    context_size: int
    prepend_bos: bool = False
    bos_id: int | None = None
    special_ids: tuple[int, ...] = ()
    separator_id: int | None = only_if_given()
    """Between documents that share a sequence."""
    notices: tuple[str, ...] | None = only_if_given()
    """What a person should be told about it."""


@dataclass(frozen=True, kw_only=True)
class SinksRecord(Section):
    factor: float
    reference_median: float
    """Median activation norm that ``factor`` multiplies; 0.0 where no position has one."""


@dataclass(frozen=True, kw_only=True)
class CountsRecord(Section):
    documents: int
    sequences: int
    tokens: int
    counted: int
    """Tokens that count for examples and statistics."""


@dataclass(frozen=True, kw_only=True)
class WarningRecord(Section):
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class HealthRecord(Section):
    """FVU by hook name (the SAE's own and its neighbours'), L0 at the hook, warnings."""

    fvu: Mapping[str, float] = field(default_factory=dict)
    l0: float = 0.0
    n_tokens: int = 0
    warnings: tuple[WarningRecord, ...]


@dataclass(frozen=True, kw_only=True)
class PassRecord(Section):
    """Features extracted together. Their number is None in files made by hand only."""

    name: str
    n_features: int | None = None
    n_shards: int | None = None
    n_examples: int | None = None
    shards_of: str | None = only_if_given()
    """The kept pass whose shards hold its firings, where they are not its own."""


@dataclass(frozen=True, kw_only=True)
class KeptRecord(Section):
    """Firings of features nobody may have asked for yet, in ``passes/<name>/shards``."""

    name: str
    n_features: int
    n_shards: int


@dataclass(frozen=True, kw_only=True)
class StudyRecord(Section):
    """What a study is and what it holds. Properties give what is asked for most."""

    schema: int = SCHEMA
    id: str
    identity: Identity | None = None
    model: ModelRecord
    sae: SAERecord
    hook: str
    dataset: DatasetRecord
    tokenisation: TokenisationRecord
    sinks: SinksRecord | None = None
    counts: CountsRecord
    health: HealthRecord
    versions: Mapping[str, str | None] = field(default_factory=dict)
    passes: tuple[PassRecord, ...]
    kept: tuple[KeptRecord, ...] | None = only_if_given()
    control_of: str | None = only_if_given()
    """Of a study whose SAE is a control: id of the study it is a control of."""

    @property
    def control(self) -> str | None:
        """Which control it is, say ``shuffled``; None for a study of a real SAE."""
        if self.control_of is None or self.identity is None or self.identity.control is None:
            return None
        return self.identity.control.rpartition("-")[0]

    @property
    def model_name(self) -> str:
        return self.model.name

    @property
    def model_path(self) -> str:
        """What to load to get the model the study was made with."""
        return self.model.path or self.model.name

    @property
    def sae_source(self) -> str:
        return self.sae.source

    @property
    def sae_fingerprint(self) -> str:
        return self.sae.fingerprint

    @property
    def d_sae(self) -> int:
        return self.sae.d_sae

    @property
    def dataset_name(self) -> str:
        return self.dataset.name

    @property
    def column(self) -> str:
        return self.dataset.column

    @property
    def n_documents(self) -> int:
        return self.counts.documents

    @property
    def n_sequences(self) -> int:
        return self.counts.sequences

    @property
    def n_tokens(self) -> int:
        return self.counts.tokens

    @property
    def n_counted(self) -> int:
        return self.counts.counted

    @property
    def context_size(self) -> int:
        return self.tokenisation.context_size

    @property
    def complete(self) -> bool:
        """Whether any pass was finished."""
        return bool(self.passes)

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should be told about how the study was made."""
        return tuple(self.tokenisation.notices or ())

    @property
    def warnings(self) -> tuple[HealthWarning, ...]:
        return tuple(HealthWarning(each.code, each.message) for each in self.health.warnings)


def read_record(folder: Path) -> StudyRecord:
    """Read the ``study.json`` of a study's folder.

    Raises:
        StudyError: it is absent, damaged, or from a newer version.
    """
    try:
        raw = json.loads((folder / FILE_NAME).read_bytes())
        if raw["schema"] > KEEPING_SCHEMA:
            raise StudyError(
                f"study {folder.name} was written by a newer version (format {raw['schema']}, this "
                f"one reads up to {KEEPING_SCHEMA}); update Autointerp Explorer"
            )
        return StudyRecord.from_json(raw)
    except FileNotFoundError as error:
        raise StudyError(f"no study at {folder}: {FILE_NAME} is missing") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(
            f"study {folder.name} is damaged: {FILE_NAME} cannot be read "
            f"({type(error).__name__}: {error}); delete the study and extract it again"
        ) from error


def write_record(folder: Path, record: StudyRecord) -> None:
    """Write the ``study.json`` of a study's folder, whole or not at all.

    Raises:
        DiskFull: no space is left.
        OutputError: the folder cannot be written.
    """
    write_json(folder / FILE_NAME, record.to_json())
