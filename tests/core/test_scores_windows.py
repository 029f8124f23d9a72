"""Windows that labels are judged on: silent where they should be, apart, and never seen before."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp_core.errors import BadInput
from autointerp_core.labels.document_split import (
    LABEL,
    PARTS,
    TEST,
    VALIDATE,
    Split,
    shown_examples,
)
from autointerp_core.labels.scoring.marked_windows import (
    firing_tokens,
    marked_windows,
    silent_tokens,
)
from autointerp_core.labels.scoring.sample_windows import MIN_ACTIVE, WindowSampler, WindowSet
from autointerp_core.store.study import Study
from tests.core.label_fixtures import on_words, write_study
from tests.core.score_fixtures import DAYS, TREES, concept_study, documents, graded


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return concept_study(tmp_path_factory.mktemp("windows") / "study", 300)


def _fired(study: Study, feature: int) -> np.ndarray:
    """Activation of every token of the study, without going through windows."""
    dense = np.zeros(study.tokens.n_tokens, dtype=np.float32)
    found = study.passes[0]
    row = int(found.rows([feature])[0])
    _, token, value = found.firings(row, row + 1)
    dense[token] = value
    return dense


def _check(study: Study, split: Split, found: WindowSet) -> None:
    """What holds for every window set, by brute force."""
    dense = _fired(study, found.feature)
    inside = set(split.documents(found.part).tolist())
    covered = np.zeros(study.tokens.n_tokens, dtype=np.int64)
    texts = [window.text for window in found.windows]
    assert len(set(texts)) == len(texts)
    assert all(text.strip() for text in texts)
    shown = {e.token_ids for g in ("top", "quantile_2", "quantile_3", "quantile_4")
             for e in shown_examples(split, found.feature, g)}  # fmt: skip
    for window in found.windows:
        example = window.example
        assert example.document_index in inside
        first = int(study.tokens.sequences[example.sequence_index]) + example.start_position
        cells = slice(first, first + len(example.tokens))
        covered[cells] += 1
        assert first + example.peak_index == window.token
        if window.active:
            assert dense[window.token] == example.activation > 0
            assert found.part == LABEL or example.token_ids not in shown
        else:
            assert not dense[cells].any()
    assert covered.max(initial=0) <= 1
    if found.problem is None:
        assert len(found.active) >= MIN_ACTIVE
        assert len(found.easy) + len(found.hard) <= len(found.active)
    else:
        assert not found.windows


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(20, 90),
    length=st.integers(4, 160),
    rate=st.sampled_from([0.005, 0.02, 0.1, 0.5]),
    repeats=st.integers(0, 20),
    per_class=st.sampled_from([5, 20]),
)
@pytest.mark.slow
def test_every_window_set_is_clean(
    seed: int, count: int, length: int, rate: float, repeats: int, per_class: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        texts = documents(count, seed=seed, length=length, rate=rate, repeats=repeats)
        features = {0: graded(*DAYS), 1: on_words("the", "a"), 2: lambda p: [1.0] * len(p)}
        study = write_study(Path(folder) / "s", texts, features, context_size=48)
        split = Split(study)
        sampler = WindowSampler(study, split, per_class, seed)
        used: dict[str, set[int]] = {part: set() for part in PARTS}
        for feature in features:
            for found in sampler.sample_parts(feature, PARTS):
                _check(study, split, found)
                used[found.part] |= {w.example.document_index for w in found.windows}
                assert len(found.active) <= per_class
        # No document, and no text of a document, is in two parts.
        texts_of = {part: {study.tokens.document_text(d) for d in used[part]} for part in PARTS}
        assert not texts_of[VALIDATE] & texts_of[TEST]
        assert not texts_of[LABEL] & (texts_of[VALIDATE] | texts_of[TEST])


def test_a_full_set(study: Study) -> None:
    split = Split(study)
    found = WindowSampler(study, split).sample(0, TEST)
    _check(study, split, found)
    assert (len(found.active), len(found.easy), len(found.hard)) == (20, 10, 10)
    active = {w.example.document_index for w in found.active}
    assert len(active) == 20
    assert {w.example.document_index for w in found.hard} <= active
    silent = [w.example.document_index for w in found.easy]
    dense = _fired(study, 0)
    for document in silent:  # there are plenty of documents without any firing
        low, high = study.tokens.sequences[
            [study.tokens.document_sequences(document).start,
             study.tokens.document_sequences(document).stop]
        ]  # fmt: skip
        assert not dense[low:high].any()


def test_active_windows_come_from_all_strengths(study: Study) -> None:
    _, every = Split(study).peaks(0, TEST)
    chosen = [
        w.example.activation for w in WindowSampler(study, Split(study)).sample(0, TEST).active
    ]
    assert np.mean(chosen) == pytest.approx(np.mean(every), rel=0.2)
    assert min(chosen) < np.quantile(every, 0.3)
    assert max(chosen) > np.quantile(every, 0.7)


def test_silent_windows_are_as_long_as_active_ones(study: Study) -> None:
    sampler = WindowSampler(study, Split(study))
    length: dict[bool, list[int]] = {True: [], False: []}
    for feature in range(3):
        for window in sampler.sample(feature, TEST).windows:
            length[window.active].append(len(window.example.tokens))
    assert np.mean(length[False]) == pytest.approx(np.mean(length[True]), abs=1.0)


def test_same_seed_same_windows_whatever_was_asked_before(study: Study) -> None:
    first = WindowSampler(study, Split(study), seed=3)
    second = WindowSampler(study, Split(study), seed=3)
    second.sample_parts(1, (VALIDATE, TEST))
    assert first.sample(0, TEST) == second.sample(0, TEST)
    other = WindowSampler(study, Split(study), seed=4).sample(0, TEST)
    assert other.windows != first.sample(0, TEST).windows


def test_too_few_documents_says_how_many(study: Study) -> None:
    found = WindowSampler(study, Split(study)).sample(3, TEST)
    assert found.problem == "fires in 0 documents of the test part; a score needs at least 5"
    with pytest.raises(BadInput, match="feature 99 is not in study"):
        WindowSampler(study, Split(study)).sample(99, TEST)


def test_a_feature_that_is_never_silent_has_no_score(tmp_path: Path) -> None:
    made = write_study(tmp_path / "s", documents(60), {0: lambda pieces: [1.0] * len(pieces)})
    found = WindowSampler(made, Split(made)).sample(0, TEST)
    assert found.problem == "fewer than 5 windows of the test part are free of it"


def test_windows_that_the_labeller_saw_are_left_out(tmp_path: Path) -> None:
    """Every document begins with the same sentence, which holds the strongest peak."""
    shared = "on a bright monday the people came down to the water to look for the boats of the "
    texts = [shared * 2 + text for text in documents(120, rate=0.0)]
    made = write_study(tmp_path / "s", texts, {0: on_words("monday")}, context_size=16)
    found = WindowSampler(made, Split(made)).sample(0, TEST)
    assert found.documents >= 20
    assert found.problem is not None
    assert found.problem.startswith("fewer than 5 of its windows in the test part differ from")


def test_hard_windows_hold_tokens_it_peaks_on_elsewhere_where_documents_are_full(
    tmp_path: Path,
) -> None:
    """Fires in every window of some documents; the token alone is in the others."""

    def fire(pieces: list[str]) -> list[float]:
        wet = any(piece.strip() == "rain" for piece in pieces)
        return [float(wet and piece.strip() == "oak") for piece in pieces]

    rng = np.random.default_rng(0)
    texts = []
    for i in range(150):
        words = rng.choice(TREES[1:], 60).tolist()
        words[::6] = ["oak"] * len(words[::6])
        texts.append(" ".join([*("rain" for _ in range(i % 2)), *words, str(i)]))
    made = write_study(tmp_path / "s", texts, {0: fire}, context_size=128)
    found = WindowSampler(made, Split(made)).sample(0, TEST)
    _check(made, Split(made), found)
    assert len(found.hard) == 10
    active = {w.example.document_index for w in found.active}
    for window in found.hard:
        assert window.example.document_index not in active
        assert " oak" in window.example.tokens


def test_fuzzing_marks(study: Study) -> None:
    found = WindowSampler(study, Split(study)).sample(0, TEST)
    asked = marked_windows(found)
    assert asked == marked_windows(found)
    kinds = [entry.window.kind for entry in asked]
    assert (kinds.count("active"), kinds.count("hard"), kinds.count("easy")) == (10, 10, 10)
    assert len({entry.window.token for entry in asked}) == 30
    for entry in asked:
        example = entry.window.example
        values = [example.values[i] for i in entry.marked]
        assert entry.marked
        if entry.window.active:
            assert example.peak_index in entry.marked
            assert all(v >= 0.3 * example.activation for v in values)
        else:
            assert not any(values)
        if entry.window.kind == "hard":
            assert example.activation > 0


def test_fuzzing_keeps_kinds_and_refuses_few_windows(study: Study) -> None:
    found = WindowSampler(study, Split(study)).sample(0, TEST)
    hard = [m for m in marked_windows(replace(found, easy=())) if not m.window.active]
    assert len(hard) == 20
    assert {m.window.kind for m in hard} == {"hard"}
    assert marked_windows(replace(found, active=found.active[:9]))
    assert marked_windows(replace(found, active=found.active[:8])) == []


def test_no_piece_of_a_firing_word_is_marked_as_wrong(tmp_path: Path) -> None:
    def fire(pieces: list[str]) -> list[float]:
        return [float(piece == " septemb") for piece in pieces]

    texts = [f"{text} septemberish end" for text in documents(80, rate=0.0)]
    made = write_study(tmp_path / "s", texts, {0: fire})
    for window in WindowSampler(made, Split(made)).sample(0, TEST).active:
        tokens = window.example.tokens
        assert [tokens[i] for i in firing_tokens(window.example)] == [" septemb"]
        assert "erish" in tokens
        assert "erish" not in [tokens[i] for i in silent_tokens(window.example)]
