"""The map of an SAE's features: decoder directions laid out in the plane, alike ones together.

UMAP's graph and layout (McInnes, Healy and Melville, arXiv 1802.03426) on exact nearest
neighbours by cosine: those that the study keeps where they are enough, else worked out here. One
thread and a fixed seed, so the same SAE gives the same map. Groups of points are
found by HDBSCAN.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_doc import Doc
from numpy.typing import NDArray

from autointerp_core.errors import AutointerpError, MissingDependency, SAESourceError, StudyError
from autointerp_core.extraction.memory import Blocks
from autointerp_core.extraction.study_lock import study_lock
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.feature_map import ALONE, FeatureMap, MapRecord, write_feature_map
from autointerp_core.store.neighbours import neighbour_table
from autointerp_core.store.study import Study

if TYPE_CHECKING:
    import torch

PIP = "pip install umap-learn==0.5.12"
LEAST_FEATURES = 10
_BLOCK_ELEMENTS = 1 << 24
_BLOCK_ROWS = 8192
_SMALL, _EPOCHS_SMALL, _EPOCHS = 10_000, 500, 200
"""Rounds of the layout, as UMAP itself chooses them."""


@dataclass(frozen=True, kw_only=True)
class MapConfig:
    """How a map is made."""

    neighbours: Annotated[int, Doc("Nearest directions that each feature is drawn to.")] = 15
    min_dist: Annotated[float, Doc("How close points may come to each other.")] = 0.1
    seed: Annotated[int, Doc("The same seed gives the same map.")] = 0
    least_cluster: Annotated[int, Doc("Features that a cluster must have to count.")] = 10


def check_installed() -> None:
    """Whether maps can be made here; imports nothing.

    Raises:
        MissingDependency: umap-learn is not installed.
    """
    if find_spec("umap") is None:
        raise MissingDependency(f"a map of the features needs umap-learn; run: {PIP}")


def make_map(study: Study, config: MapConfig, progress: ProgressCallback) -> FeatureMap:
    """Make the map of a study's features and keep it with the study.

    Raises:
        MissingDependency: umap-learn is not installed.
        StudyError: the study has too few features for a map.
        SAESourceError: the SAE is not where it was, or is another one now.
        Cancelled: raised by ``progress``.
    """
    check_installed()
    features = study.features
    if len(features) < LEAST_FEATURES:
        raise StudyError(
            f"study {study.id} has {len(features)} features; a map needs {LEAST_FEATURES} or more"
        )
    progress(Progress("read the SAE"))
    decoder = decoder_of(study)
    made = lay_out(study, decoder, config, progress)
    with study_lock(study.folder, progress):
        write_feature_map(study.folder, made)
    return made


def decoder_of(study: Study) -> torch.Tensor:
    """The decoder of a study's SAE: ``[d_sae, d_out]``, a row a feature, float32.

    Raises:
        SAESourceError: the SAE is not where it was, or is another one now.
    """
    from autointerp_core.sources.sae import load_sae

    record = study.info.sae
    if not record.path:
        raise SAESourceError(f"study {study.id} does not say where its SAE lies")
    try:
        loaded = load_sae(record.path, record.sae_id)
    except AutointerpError as error:
        raise SAESourceError(f"the SAE of study {study.id} cannot be read: {error}") from error
    if loaded.fingerprint != record.fingerprint:
        raise SAESourceError(
            f"the SAE at {record.path} is not the one that study {study.id} was made with "
            "(its weights differ); put that one back"
        )
    decoder: torch.Tensor = loaded.sae.W_dec.detach().float().cpu()
    return decoder


def lay_out(
    study: Study, decoder: torch.Tensor, config: MapConfig, progress: ProgressCallback
) -> FeatureMap:
    """The map itself; writes nothing.

    Args:
        decoder: ``[d_sae, d_out]``, a row a feature.
    """
    import torch

    features = study.features
    k = min(config.neighbours, len(features) - 1)
    with torch.inference_mode():
        own = decoder[torch.as_tensor(features.astype(np.int64))]
        unit = own / own.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        found = kept_neighbours(study, k)
        if found is None:
            found = nearest(unit, k, progress)
        start = _two_axes(unit, config.seed)
    progress(Progress("lay out", 0, len(features), "features"))
    places = _umap(*found, start, config)
    progress(Progress("lay out", len(features), len(features), "features"))
    record = MapRecord(
        neighbours=k,
        min_dist=config.min_dist,
        seed=config.seed,
        least_cluster=config.least_cluster,
        sae=study.info.sae_fingerprint,
        made_with=f"umap-learn {version('umap-learn')}",
    )
    return FeatureMap(features, places, clusters(places, config.least_cluster), record)


def kept_neighbours(study: Study, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Rows and cosines ``[N, k]`` of each feature's nearest, from what the study keeps.

    None where it keeps fewer than ``k`` that are features of the study.
    """
    features = study.features
    rows = np.full((len(features), k), -1, dtype=np.int64)
    cosines = np.zeros((len(features), k), dtype=np.float32)
    for found in study.passes:
        kept = neighbour_table(found.folder)
        if kept is None:
            return None
        ids, cosine = kept
        at = np.minimum(np.searchsorted(features, ids), len(features) - 1)
        inside = features[at] == ids
        if (inside.sum(1) < k).any():
            return None
        first = np.argsort(~inside, axis=1, kind="stable")[:, :k]
        place = np.searchsorted(features, found.features)
        rows[place] = np.take_along_axis(at, first, 1)
        cosines[place] = np.take_along_axis(cosine, first, 1)
    return rows, cosines


def nearest(
    unit: torch.Tensor, k: int, progress: ProgressCallback
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and cosines ``[N, k]`` of the ``k`` most alike of unit vectors ``[N, d]``."""
    import torch

    ids, cosines = [], []

    def block(start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        cosine = unit[start:stop] @ unit.T
        cosine[torch.arange(stop - start), torch.arange(start, stop)] = -torch.inf
        found = cosine.topk(k, dim=-1).indices
        # Once more for the few that count, and rounded: the same whatever the number of threads.
        exact = (unit[start:stop, None].double() * unit[found].double()).sum(-1)
        return exact.round(decimals=5), found

    for start, (values, found) in Blocks(max(1, _BLOCK_ELEMENTS // len(unit))).over(
        len(unit), block
    ):
        ids.append(found.numpy())
        cosines.append(values.clamp(-1.0, 1.0).float().numpy())
        progress(Progress("neighbours", start + len(found), len(unit), "features"))
    return np.concatenate(ids), np.concatenate(cosines)


def _two_axes(unit: torch.Tensor, seed: int) -> NDArray[np.float32]:
    """Where the layout starts: the two axes along which the directions differ most, ``[N, 2]``.

    In double precision and then rounded: the last bits hang on the number of threads, and the
    layout on every bit.
    """
    import torch

    middle = torch.zeros(unit.shape[1], dtype=torch.float64)
    for rows in torch.split(unit, _BLOCK_ROWS):
        middle += rows.double().sum(0) / len(unit)
    spread = torch.zeros(unit.shape[1], unit.shape[1], dtype=torch.float64)
    for rows in torch.split(unit, _BLOCK_ROWS):
        own = rows.double() - middle
        spread += own.T @ own
    _, vectors = torch.linalg.eigh(spread)
    two = vectors[:, -2:].flip(1)
    parts = [((rows.double() - middle) @ two).numpy() for rows in torch.split(unit, _BLOCK_ROWS)]
    axes = np.concatenate(parts)
    # An axis has no sign of its own: its farthest point is on the positive side.
    far = axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])]
    axes *= np.where(far < 0, -1.0, 1.0)
    scaled = np.round(10 * axes / max(float(np.abs(axes).max()), 1e-12), 4)
    noise = np.random.default_rng(seed).normal(scale=1e-4, size=axes.shape)
    return (scaled + noise).astype(np.float32)


def _umap(
    rows: NDArray[np.int64], cosines: NDArray[np.float32], start: NDArray[np.float32],
    config: MapConfig,
) -> NDArray[np.float32]:  # fmt: skip
    """UMAP's layout of a graph of nearest neighbours."""
    with warnings.catch_warnings():
        # It tells everybody that TensorFlow, which a part of it not used here needs, is absent.
        warnings.simplefilter("ignore", ImportWarning)
        from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

    n = len(rows)
    itself = np.arange(n)[:, None]
    state = np.random.RandomState(config.seed)
    graph, _, _ = fuzzy_simplicial_set(
        start,
        rows.shape[1] + 1,
        state,
        "cosine",
        knn_indices=np.concatenate([itself, rows], axis=1),
        knn_dists=np.concatenate([np.zeros((n, 1)), 1 - cosines], axis=1).astype(np.float32),
    )
    a, b = find_ab_params(1.0, config.min_dist)
    places, _ = simplicial_set_embedding(
        start,
        graph,
        2,
        1.0,
        a,
        b,
        1.0,
        5,
        _EPOCHS_SMALL if n <= _SMALL else _EPOCHS,
        start,
        state,
        "cosine",
        {},
        False,
        {},
        False,
        parallel=False,  # several threads would make it another map every time
    )
    found: NDArray[np.float32] = np.ascontiguousarray(places, dtype=np.float32)
    return found


def clusters(places: NDArray[np.float32], least: int) -> NDArray[np.int32]:
    """The cluster each point stands in, by HDBSCAN: 0 is the largest; ``ALONE`` in none."""
    from sklearn.cluster import HDBSCAN

    if len(places) < 2 * least:
        return np.full(len(places), ALONE, dtype=np.int32)
    # Of nested clusters the smallest: the whole cloud is one, too, and says nothing.
    method = HDBSCAN(min_cluster_size=least, cluster_selection_method="leaf", copy=True)
    found = method.fit_predict(places)
    sizes = np.bincount(found[found >= 0], minlength=int(found.max()) + 1)
    order = np.argsort(-sizes, kind="stable")
    rank = np.empty(len(order) + 1, dtype=np.int32)
    rank[order], rank[-1] = np.arange(len(order)), ALONE
    renamed: NDArray[np.int32] = rank[found]
    return renamed
