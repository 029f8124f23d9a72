"""Families: features put together by decoder direction, by co-firing, and by what they peak on.

Average linkage (scipy's) over one likeness, the mean of three that each lie between 0 and 1: the
cosine of decoder directions, the cosine of the sets of tokens they fire on, and the cosine of the
mean static vectors of the words they peak on. A family is a branch whose features are alike by
``FAMILY`` on average, a group one by ``GROUP``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autointerp_core.arrays import Float32Array, Int64Array
from autointerp_core.errors import BadInput
from autointerp_core.labels.embedders import default_embedder, unit_rows, words_of
from autointerp_core.labels.related_features import RelatedFeatures
from autointerp_core.labels.search.categories import category, plural
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.families import Family, Group, write_families
from autointerp_core.store.neighbours import neighbour_table
from autointerp_core.store.study import Study

FAMILY, GROUP = 0.24, 0.14
LEAST = 3
"""Features of a family, at least."""
MOST_FEATURES = 6000
"""Every pair is compared; of more features those that fire most are taken."""
NAMED_BY = 3
"""Words of a label, where the words have no category in common."""


def make_families(study: Study, progress: ProgressCallback = silent) -> tuple[Group, ...]:
    """Find the families of a study's live features, and keep them beside it.

    Raises:
        BadInput: fewer than three features fire.
        OutputError: the study's folder cannot be written.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    table = study.table.loc[study.table["num_examples"] > 0]
    table = table.nlargest(MOST_FEATURES, "fired").sort_values("feature")
    features: Int64Array = table["feature"].to_numpy(dtype=np.int64)
    if len(features) < LEAST:
        raise BadInput(
            f"study {study.id} has {len(features)} features that fire; families need at least "
            f"{LEAST}: extract more features"
        )
    progress(Progress("families", 0, len(features), "features"))
    words = [_words(tokens) for tokens in table["top_tokens"]]
    alike = (_directions(study, features) + _together(study, features) + _meaning(words)) / 3
    np.fill_diagonal(alike, 1.0)
    tree = linkage(squareform(1 - alike, checks=False), method="average")
    fine, coarse = (fcluster(tree, 1 - level, "distance") for level in (FAMILY, GROUP))
    groups: list[Group] = []
    for which in np.unique(coarse):
        families = []
        for part in np.unique(fine[coarse == which]):
            rows = np.flatnonzero(fine == part)
            if len(rows) >= LEAST:
                typical = rows[np.argsort(-alike[np.ix_(rows, rows)].sum(axis=1), kind="stable")]
                label = _label([words[i] for i in typical])
                families.append(Family(label, tuple(features[typical].tolist())))
        if families:
            families.sort(key=lambda family: (-len(family.features), family.features))
            rows = np.flatnonzero(np.isin(features, [f for one in families for f in one.features]))
            groups.append(Group(_label([words[i] for i in rows]), tuple(families)))
    groups.sort(key=lambda group: (-len(group.features), group.features))
    found = tuple(_apart(groups))
    write_families(study.folder, found)
    progress(Progress("families", len(features), len(features), "features"))
    return found


def _apart(groups: Sequence[Group]) -> list[Group]:
    """A group of one family has its label."""
    return [
        replace(group, label=group.families[0].label) if len(group.families) == 1 else group
        for group in groups
    ]


def _directions(study: Study, features: Int64Array) -> Float32Array:
    """Cosines of decoder directions, of the nearest twenty of each; 0 for others."""
    alike = np.zeros((len(features), len(features)), dtype=np.float32)
    for found in study.passes:
        kept = neighbour_table(found.folder)
        if kept is None:
            continue
        rows = found.rows(features)
        mine = np.flatnonzero(rows >= 0)
        ids, cosines = kept[0][rows[mine]], kept[1][rows[mine]]
        place = np.minimum(np.searchsorted(features, ids), len(features) - 1)
        there = features[place] == ids
        row = np.broadcast_to(mine[:, None], ids.shape)
        alike[row[there], place[there]] = np.clip(cosines[there], 0, 1)
    both: Float32Array = np.maximum(alike, alike.T)
    return both


def _together(study: Study, features: Int64Array) -> Float32Array:
    """Cosines of the sets of tokens that features fire on."""
    return RelatedFeatures(study).cofiring(features)


def _meaning(words: Sequence[Counter[str]]) -> Float32Array:
    """Cosines of what features peak on, above what any two have in common."""
    embedder = default_embedder()
    distinct = sorted({word for found in words for word in found})
    if not distinct:
        return np.zeros((len(words), len(words)), dtype=np.float32)
    vector = dict(zip(distinct, embedder.embed(distinct), strict=True))
    width = len(vector[distinct[0]])
    means = np.zeros((len(words), width), dtype=np.float32)
    for mean, found in zip(means, words, strict=True):
        for word, times in found.items():
            mean += times * vector[word]
    spoken = np.array([bool(found) for found in words], dtype=np.bool_)
    unit = unit_rows(np.where(spoken[:, None], means - means[spoken].mean(axis=0), 0))
    alike: Float32Array = np.clip(unit @ unit.T, 0, 1)
    return alike


def _words(tokens: Sequence[str]) -> Counter[str]:
    """The words among a feature's most frequent peak tokens, the first counting most."""
    found: Counter[str] = Counter()
    for place, token in enumerate(tokens):
        for word in words_of(str(token)):
            if len(word) > 2 and word.isalpha():
                found[word.casefold()] += len(tokens) - place
    return found


def _label(words: Sequence[Counter[str]]) -> str:
    """What most of the features' words are kinds of, else the words that most features share."""
    shared: Counter[str] = Counter()
    weight: defaultdict[str, float] = defaultdict(float)
    for found in words:
        total = max(sum(found.values()), 1)
        for word, times in found.items():
            shared[word] += 1
            weight[word] = weight.get(word, 0.0) + times / total
    if not weight:
        return "marks and numbers"
    ranked = sorted(weight, key=lambda word: (-shared[word], -weight[word], word))
    named = category({word: weight[word] for word in ranked[:40]})
    listed = ", ".join(ranked[:NAMED_BY])
    return f"{plural(named.name)}: {listed}" if named is not None else listed
