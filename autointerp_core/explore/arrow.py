"""Arrow columns: substring search, sort ranks, and reading a study's statistics as Arrow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from autointerp_core.store.study import Study


def contains(texts: pa.StringArray, term: str) -> NDArray[np.bool_]:
    hit = pc.match_substring(texts, term, ignore_case=True)
    found: NDArray[np.bool_] = pc.fill_null(hit, False).to_numpy(zero_copy_only=False)
    return found


def ranks(texts: pa.StringArray) -> NDArray[np.float64]:
    """Sort rank of each text as a float; NaN where it is missing."""
    coded = texts.dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.float64)
    if not len(coded.dictionary):
        return np.full(len(texts), np.nan)
    place = np.empty(len(coded.dictionary))
    place[pc.sort_indices(coded.dictionary).to_numpy()] = np.arange(len(place))
    valid = ~np.isnan(codes)
    found = np.full(len(texts), np.nan)
    found[valid] = place[codes[valid].astype(np.int64)]
    return found


def read_tables(study: Study) -> pa.Table:
    """The statistics of every pass, by feature; Arrow keeps token lists small."""
    tables = [pq.read_table(found.folder / "features.parquet") for found in study.passes]
    return pa.concat_tables(tables, promote_options="default").sort_by("feature").combine_chunks()


def joined(lists: pa.ChunkedArray) -> pa.StringArray:
    text = pc.binary_join(lists, "\n")
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
