"""The demo study with planted features beside its own, to find them among two thousand others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autointerp_core.store.study import Study
from autointerp_core.store.study_record import PassRecord, write_record
from benchmarks.planted.build import plant
from benchmarks.planted.concepts import LEXICAL_CONCEPTS, Concept
from benchmarks.planted.find_concepts import FIND_CONCEPTS
from benchmarks.planted.patterns import PATTERN_CONCEPTS

PASS = "planted"
OLD_CONCEPTS = (*LEXICAL_CONCEPTS, *PATTERN_CONCEPTS)


def plant_in(demo: Study, folder: Path) -> tuple[Study, dict[int, Concept]]:
    """A copy (by links) of the demo study in ``folder`` with the concepts planted, and which
    feature is which concept: first the twenty of this measurement, then the others."""
    concepts = (*FIND_CONCEPTS, *OLD_CONCEPTS)
    study = folder / f"{demo.id}-{PASS}"
    (study / "passes").mkdir(parents=True)
    (study / "tokens").symlink_to(demo.tokens.folder)
    for found in demo.passes:
        (study / "passes" / found.folder.name).symlink_to(found.folder)
    first = demo.info.d_sae
    plant(study, demo.tokens, concepts, first, PASS)
    passes = (*demo.info.passes, PassRecord(name=PASS, n_features=len(concepts), n_shards=1))
    sae = replace(demo.info.sae, d_sae=first + len(concepts))
    write_record(study, replace(demo.info, id=study.name, sae=sae, passes=passes))
    return Study(study), {first + at: concept for at, concept in enumerate(concepts)}
