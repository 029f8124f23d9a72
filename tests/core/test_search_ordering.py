"""What search labels count and order with gives what NumPy's own calls and the plain rule give."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autointerp_core.labels.auroc import auroc_columns, auroc_value
from autointerp_core.labels.search.ordering import Table, distinct, first_of_order

COSINES = st.sampled_from([-1.0, -0.25, -0.0, 0.0, 1e-30, 0.25, 0.5, 1.0])


@given(st.lists(st.integers(-1, 49), min_size=1, max_size=80), st.sampled_from([50, 100_000]))
def test_distinct_values(values: list[int], size: int) -> None:
    table = Table(size)
    given_ = np.asarray(values)
    for _ in range(2):  # it is left as it was
        found, inverse = table.distinct(given_)
        expected, back = np.unique(given_, return_inverse=True)
        assert found.tolist() == expected.tolist() == distinct(given_).tolist()
        assert inverse.tolist() == back.tolist()


@given(st.lists(COSINES, max_size=60), st.integers(1, 20))
def test_the_first_of_an_order(values: list[float], count: int) -> None:
    expected = np.argsort(np.asarray(values), kind="stable")[:count]
    assert first_of_order(np.asarray(values), count).tolist() == expected.tolist()


@given(st.lists(st.tuples(COSINES, COSINES), min_size=2, max_size=40), st.data())
def test_auroc_of_float32_columns(rows: list[tuple[float, float]], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(rows) - 1))
    said = np.asarray(rows, dtype=np.float32)
    expected = [auroc_value(column[:n], column[n:]) for column in said.T]
    assert auroc_columns(said, n).tolist() == expected
    assert auroc_columns(said.astype(np.float64), n).tolist() == expected
