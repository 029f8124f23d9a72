"""What is exported: some features of one study, with their labels as they were at one moment.

Everything is read a block of features at a time, so memory does not grow with their number; the
labels are those after one event of the history, so an export that is interrupted and goes on is
of one state, whatever is decided meanwhile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from autointerp_core.errors import BadInput
from autointerp_core.exchange.config import ExportConfig
from autointerp_core.store.events import LabelEvent
from autointerp_core.store.history import LabelHistory, LabelState, derive
from autointerp_core.store.neighbours import Neighbour, read_neighbours
from autointerp_core.store.records import LogitSides
from autointerp_core.store.study import (
    GROUPS,
    Example,
    FeatureStats,
    Histogram,
    Study,
)
from autointerp_core.store.study_record import StudyRecord

BLOCK = 64
"""Features read together."""
_LAYER = re.compile(r"(?:^|\.)(?:blocks|layers|h)\.(\d+)(?:\.|$)")
_BEGINNING = "1970-01-01T00:00:00.000000Z"


def layer_of(hook: str) -> int | None:
    """The layer that a hook point names; None where it names none."""
    found = _LAYER.search(hook)
    return int(found.group(1)) if found else None


@dataclass(frozen=True)
class Labelled:
    """A feature's label events up to the export's moment, and what they amount to."""

    state: LabelState
    events: tuple[LabelEvent, ...]


@dataclass(frozen=True)
class FeatureView:
    """All that is known of one feature."""

    feature: int
    stats: FeatureStats
    examples: dict[str, list[Example]]
    """By group (``GROUPS``), best first."""
    logits: LogitSides
    histogram: Histogram
    neighbours: tuple[Neighbour, ...]
    labelled: Labelled
    input_score: float | None

    @property
    def top(self) -> list[Example]:
        return self.examples["top"]


@dataclass(frozen=True)
class Subject:
    """The features of a study that are exported, ascending, and how."""

    study: Study
    history: LabelHistory
    features: tuple[int, ...]
    config: ExportConfig = field(default_factory=ExportConfig)
    order: tuple[int, ...] = ()
    """The same features as they were asked for; empty: as above."""
    given_scores: Mapping[int, float] = field(default_factory=dict)
    """Input scores that win over the study's."""

    @property
    def info(self) -> StudyRecord:
        return self.study.info

    @property
    def asked(self) -> tuple[int, ...]:
        """The features in the order in which they were asked for."""
        return self.order or self.features

    @cached_property
    def scores(self) -> Mapping[int, float]:
        """Input scores by feature."""
        return {**self.study.input_scores(), **self.given_scores}

    @cached_property
    def version(self) -> int:
        """The last label event that counts; 0: none."""
        return self.history.last_event_id(self.info.sae_fingerprint)

    @cached_property
    def moment(self) -> str:
        """When the state that is exported came to be: the same for the same state.

        The time of the last label event, else that of the study's last pass.
        """
        sae, version = self.info.sae_fingerprint, self.version
        for feature in self.history.changed_since(sae, version - 1) if version else ():
            for event in self.history.history(sae, feature):
                if event.id == version:
                    return event.time
        return _made(self.study.folder)

    @cached_property
    def layer(self) -> int:
        """The layer that the hook point names.

        Raises:
            BadInput: it names none.
        """
        found = layer_of(self.info.hook)
        if found is None:
            raise BadInput(
                f"the hook point {self.info.hook!r} of study {self.study.id} names no layer, and "
                "this format files features by layer; export as dataset or html instead"
            )
        return found

    def views(
        self, features: Sequence[int], groups: Sequence[str] = GROUPS
    ) -> Iterator[FeatureView]:
        """What is known of each of these (ascending) features, with examples of ``groups``."""
        for start in range(0, len(features), BLOCK):
            yield from self._block(features[start : start + BLOCK], groups)

    def _block(self, features: Sequence[int], groups: Sequence[str]) -> Iterator[FeatureView]:
        found: dict[int, dict[str, list[Example]]] = {f: {} for f in features}
        for group in groups:
            limit = self.config.examples if group == "top" else None
            for feature, examples in self.study.iter_examples(features, group, limit=limit):
                found[feature][group] = examples
        labels = self.labels(features)
        for feature in features:
            place, row = self.study.locate(feature)
            yield FeatureView(
                feature,
                self.study.stats(feature),
                found[feature],
                self.study.logits(feature),
                self.study.histogram(feature),
                tuple(read_neighbours(place.folder, row) or ()),
                labels[feature],
                self.scores.get(feature),
            )

    def labels(self, features: Sequence[int]) -> dict[int, Labelled]:
        """The label events of each feature, and what they amount to in this study."""
        found = self.history.histories(self.info.sae_fingerprint, features)
        out = {}
        for feature in features:
            events = tuple(e for e in found[feature] if e.id <= self.version)
            out[feature] = Labelled(derive(feature, events, self.study.id), events)
        return out


def _made(folder: Path) -> str:
    """When the study was begun; the beginning of time where nobody wrote that down."""
    try:
        runs = json.loads((folder / "run.json").read_bytes())["runs"]
        return str(runs[0]["started"])
    except (OSError, ValueError, LookupError, TypeError):
        return _BEGINNING
