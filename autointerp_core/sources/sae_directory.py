"""SAELens' directory of published SAEs as a table that can be searched offline.

What each SAE is (hook point, architecture, sizes, L0) stands in a file beside this module, made
by ``python -m benchmarks.sae_directory_index`` for the pinned SAELens. Releases of another version
of SAELens are read from its own list; of those only names and L0 are known.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.releases import catalogue_path, find_release, release_names

INDEX = Path(__file__).with_name("sae_directory.parquet")
SCHEMA = pa.schema(
    {
        "release": pa.string(),
        "id": pa.string(),
        "model": pa.string(),
        "hook": pa.string(),
        "layer": pa.int16(),
        "architecture": pa.string(),
        "d_sae": pa.int32(),
        "l0": pa.float32(),
        "gigabytes": pa.float32(),
        "reason": pa.string(),
    }
)
"""``hook``, ``layer``, ``architecture``, ``d_sae`` and ``l0`` are null where they are not known.
``gigabytes`` that model (up to the hook, float32) and SAE take; ``reason`` why an SAE is not
supported, null where it is."""
_GATED = ("google/gemma", "gemma-", "meta-llama/")
"""Models whose weights the hub gives out only to who has accepted their licence."""
_WORK_SHARE = 0.85
"""Of this computer's memory, what a study may take."""


@cache
def directory() -> pa.Table:
    """Every SAE of the installed SAELens, in its order, as ``SCHEMA`` says.

    Raises:
        MissingDependency: SAELens is not installed.
        SAESourceError: the file beside this module is damaged.
    """
    try:
        table = pq.read_table(INDEX, schema=SCHEMA)
        about = pq.read_schema(INDEX).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise SAESourceError(f"{INDEX} is damaged ({error}); install the package again") from error
    if about.get(b"list", b"").decode() == list_digest():
        return table
    return _merged(table)


def list_digest() -> str:
    """Of SAELens' list: another version has another one.

    Raises:
        MissingDependency: SAELens is not installed.
    """
    return hashlib.sha256(catalogue_path().read_bytes()).hexdigest()


def _merged(known: pa.Table) -> pa.Table:
    """The installed list, with what is known of those of its SAEs that have not changed."""
    rows = {(row["release"], row["id"]): row for row in known.to_pylist()}
    found: list[dict[str, Any]] = []
    for name in release_names():
        release = find_release(name)
        for sae_id, record in release.saes.items() if release is not None else ():
            blank = dict.fromkeys(SCHEMA.names) | {
                "release": name, "id": sae_id, "l0": record.get("l0"),
                "model": release.model if release is not None else None,
            }  # fmt: skip
            found.append(rows.get((name, sae_id), blank))
    return pa.Table.from_pylist(found, schema=SCHEMA)


def machine_gigabytes() -> float:
    """This computer's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def why_not(table: pa.Table, gigabytes: float, *, signed_in: bool) -> NDArray[np.object_]:
    """For each SAE what stands in the way of using it here; empty where nothing does.

    Args:
        gigabytes: memory that there is.
        signed_in: to the Hugging Face hub.
    """
    most = gigabytes * _WORK_SHARE
    said = []
    for reason, need, model in zip(
        table["reason"].to_pylist(),
        table["gigabytes"].to_pylist(),
        table["model"].to_pylist(),
        strict=True,
    ):
        if reason:
            said.append(reason)
        elif need is not None and need > most:
            said.append(f"memory: about {need:,.0f} GB, this computer has {gigabytes:,.0f}")
        elif not signed_in and (model or "").startswith(_GATED):
            said.append("gated model: accept its licence on the hub, then  hf auth login")
        else:
            said.append("")
    found: NDArray[np.object_] = np.asarray(said, dtype=object)
    return found
