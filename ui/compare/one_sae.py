"""Two studies of one SAE: which features fire more on one's documents than on the other's."""

from __future__ import annotations

import numpy as np
import streamlit as st

from autointerp_core.explore.compare.density_shift import DensityShift, density_shift
from autointerp_core.explore.first_shards import MOST_COMPARED, share_read
from ui import readers
from ui.compare import listing, plots
from ui.elements import charts

_LEVEL = 0.05


def show(a: readers.OpenStudy, b: readers.OpenStudy) -> None:
    """The comparison in a line, as points, and as a table."""
    shift = _shift(str(a.study.folder), a.stamp, str(b.study.folder), b.stamp)
    differs = np.nan_to_num(shift.q, nan=1.0) <= _LEVEL
    more = int((differs & (shift.log2_ratio > 0)).sum())
    tested = int((~np.isnan(shift.q)).sum())
    with st.container(key="compare_line"):
        st.text(
            f"One SAE on two corpora. Of {len(shift.features):,} features {tested:,} fire in "
            f"enough documents to compare: {more:,} are denser in B, "
            f"{int(differs.sum()) - more:,} in A (false discovery rate {_LEVEL:.0%})."
        )
    st.plotly_chart(
        plots.pairs(
            shift.density_a,
            shift.density_b,
            np.stack([shift.features, shift.documents_a + shift.documents_b], axis=1),
            differs,
            ("density in A", "density in B", "differs", "may be chance"),
            log=True,
        ),
        key="compare_plot",
        config=charts.CONFIG,
        alt=f"Densities of {len(shift.features)} features in A and B",
    )
    order = shift.order()[: listing.MOST_ROWS]
    features = shift.features[order].tolist()
    listing.table(
        {
            "a": listing.links(a, features),
            "b": listing.links(b, features),
            "label": listing.labels(a, features),
            "ratio": listing.finite(2 ** shift.log2_ratio[order]),
            "low": listing.finite(2 ** shift.low[order]),
            "high": listing.finite(2 ** shift.high[order]),
            "q": listing.finite(shift.q[order]),
            "density_a": shift.density_a[order] * 100,
            "density_b": shift.density_b[order] * 100,
            "documents_a": shift.documents_a[order],
            "documents_b": shift.documents_b[order],
        },
        {
            "a": listing.link_column("in A", "Opens the feature in study A"),
            "b": listing.link_column("in B", "Opens the feature in study B"),
            "label": st.column_config.TextColumn("Label", width="large"),
            "ratio": listing.number_column("B : A", "How many times as dense in B as in A"),
            "low": listing.number_column("from", "95 % interval, with documents as the units"),
            "high": listing.number_column("to", "95 % interval, with documents as the units"),
            "q": listing.number_column(
                "q", "False discovery rate; empty: it fires in too few documents", "%.3g"
            ),
            "density_a": listing.number_column("A (%)", "Density in A", "%.3g"),
            "density_b": listing.number_column("B (%)", "Density in B", "%.3g"),
            "documents_a": listing.number_column("documents A", "In which it fires", "%d"),
            "documents_b": listing.number_column("documents B", "In which it fires", "%d"),
        },
        "compare_table",
    )
    listing.cut(len(shift.features))
    for name, opened in (("A", a), ("B", b)):
        listing.partly(f"Of {name}", share_read(opened.study, MOST_COMPARED))
    st.caption(
        "The most certain shifts first. Labels that people decided on belong to the SAE and are "
        "the same in both studies; proposals of the other study stand on a feature's page under "
        "All proposals."
    )


@st.cache_data(max_entries=6, show_spinner="Counting firings by document …")
def _shift(folder_a: str, stamp_a: int, folder_b: str, stamp_b: int) -> DensityShift:
    return density_shift(readers.study_of(folder_a, stamp_a), readers.study_of(folder_b, stamp_b))
