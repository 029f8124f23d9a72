"""Features by meaning over many studies: of one SAE, or of all there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autointerp_core.errors import BadInput
from autointerp_core.explore.topic_search import Likeness, TopicSearch
from autointerp_core.labels.embedders import Embedder, default_embedder
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.studies import find_study, list_studies
from autointerp_core.store.study import Study
from autointerp_core.store.study_names import study_name

_LEAST = 0.2
"""Of meaning or context: below it, and without a word of the query, a feature is no answer."""


@dataclass(frozen=True)
class LikeFeature:
    """A feature whose label, words or contexts are like what was asked for."""

    study: str
    """Id of the study it was found in; with several of one SAE, the one where it is likest."""
    study_name: str
    sae: str
    feature: int
    label: str | None
    score: float
    """Comparable within one query."""
    meaning: float
    """Likeness to its label or peak words, a cosine."""
    context: float
    """Likeness to what is talked of where it fires."""
    on_words: float
    """How much it fires on the very words asked for."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def studies_of(study: str | None = None, sae: str | None = None) -> list[Study]:
    """The studies to search: one, those of an SAE, or all of this installation.

    Args:
        study: id or folder.
        sae: what the SAE is called or its fingerprint, or the beginning of it.

    Raises:
        BadInput: there is none.
        StudyError: no study of this name.
    """
    if study is not None:
        return [Study(find_study(study))]
    found = [Study(find_study(record.id)) for record in list_studies().studies]
    if not found:
        raise BadInput("there is no study yet; make one, or build the demo: autointerp demo")
    if sae is None:
        return found
    chosen = [
        each
        for each in found
        if each.info.sae_fingerprint.startswith(sae)
        or sae in (each.info.sae.path, each.info.sae_source, each.info.sae.sae_id)
    ]
    if not chosen:
        known = ", ".join(sorted({each.info.sae_source for each in found}))
        raise BadInput(f"no study is of an SAE {sae!r}; there are studies of: {known}")
    return chosen


class MeaningSearch:
    """Searches the features of some studies together; made once, good for many queries."""

    def __init__(self, studies: Sequence[Study], embedder: Embedder | None = None) -> None:
        """``embedder``: None takes the one that works offline."""
        chosen = embedder or default_embedder()
        self._studies = list(studies)
        self._searches = [TopicSearch(study, chosen) for study in self._studies]

    def find(self, query: str, history: LabelHistory, limit: int = 10) -> list[LikeFeature]:
        """The features likest to ``query``, best first, each once an SAE.

        Raises:
            BadInput: the query is empty.
        """
        if not query.strip():
            raise BadInput("nothing is asked for; say in a few words what the feature is about")
        parts: list[Likeness] = []
        owner, features, labels = [], [], []
        for place, (study, search) in enumerate(zip(self._studies, self._searches, strict=True)):
            own = study.features.astype(np.int64)
            states = history.states(study.info.sae_fingerprint, study=study.id)
            said = [states[f].label if f in states else None for f in own.tolist()]
            parts.append(search.likeness(query, own, said))
            owner += [place] * len(own)
            features.append(own)
            labels += said
        every = np.concatenate(features)
        both = Likeness(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("on_words", "meaning", "context")
            )
        )
        score = both.score()
        sure = (both.on_words > 0) | (np.maximum(both.meaning, both.context) >= _LEAST)
        found: dict[tuple[str, int], LikeFeature] = {}
        for at in np.argsort(-score, kind="stable").tolist():
            if len(found) == limit or score[at] <= 0:
                break
            study = self._studies[owner[at]]
            key = (study.info.sae_fingerprint, int(every[at]))
            if not sure[at] or key in found:
                continue
            found[key] = LikeFeature(
                study=study.id,
                study_name=study_name(study.folder, study.info),
                sae=study.info.sae_source,
                feature=key[1],
                label=labels[at],
                score=float(score[at]),
                meaning=float(both.meaning[at]),
                context=float(both.context[at]),
                on_words=float(both.on_words[at]),
            )
        return list(found.values())
