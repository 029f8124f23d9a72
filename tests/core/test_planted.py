"""Planted features fire where their concept holds, and the naming rule is as written."""

from __future__ import annotations

from pathlib import Path

import pytest

from autointerp_core.sources.dataset import open_dataset
from autointerp_core.sources.demo import DEMO
from benchmarks.label_rows import cut_alike
from benchmarks.planted.build import Planted, agreement, build_planted
from benchmarks.planted.concepts import LEXICAL, LEXICAL_CONCEPTS, PATTERN, Concept
from benchmarks.planted.judge import spans_of
from benchmarks.planted.patterns import PATTERN_CONCEPTS
from benchmarks.planted.ruled import choose, ruled

CONCEPTS = {concept.name: concept for concept in (*LEXICAL_CONCEPTS, *PATTERN_CONCEPTS)}


def words(name: str, text: str) -> list[str]:
    return [text[low:high] for low, high in CONCEPTS[name].fires(text)]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> Planted:
    return build_planted(tmp_path_factory.mktemp("planted"), n_documents=120, model=demo_model)


def test_there_are_enough_and_each_names_itself() -> None:
    assert sum(c.kind == LEXICAL for c in CONCEPTS.values()) >= 40
    assert sum(c.kind == PATTERN for c in CONCEPTS.values()) >= 20
    assert len(CONCEPTS) == len(LEXICAL_CONCEPTS) + len(PATTERN_CONCEPTS)
    for concept in CONCEPTS.values():
        assert concept.named_by(concept.name), concept.name
        assert len(concept.name.split()) <= 9


@pytest.mark.parametrize(
    ("name", "label", "named"),
    [
        ("months", "calendar months", True),
        ("months", "monthly", False),
        ("months", "May, July, the", False),
        ("months", "June, July", True),
        ("months", "July, july", False),
        ("months", None, False),
        ("family members", "brother, brothers", False),
        ("family members", "Family", True),
        ("years", "year of birth", True),
        ("years", "1990, 1991, 1992", False),
        ("words inside quotation marks", "quoted words", True),
        ('after "the"', 'words after "the"', True),
        ('after "the"', "following the", True),
        ('after "the"', "the, of, and", False),
        ('after "of the"', 'after "the"', False),
        ('"as well"', 'the phrase "as well as"', True),
        ('"as well"', "well, as", False),
        ("capitalised word at sentence start", "first words of sentences", True),
        ("capitalised word at sentence start", "The, In, It", False),
    ],
)
def test_naming_rule(name: str, label: str | None, named: bool) -> None:
    assert CONCEPTS[name].named_by(label) is named


def test_rules_say_where_they_hold() -> None:
    assert words("months", "In may or May; June 5, juneau.") == ["June"]
    assert words("amounts after a currency sign", "It cost $1,200 or £3.") == ["1,200", "3"]
    assert words("words inside quotation marks", 'He said "old man" and left.') == ["old", "man"]
    assert words("capitalised word at sentence start", "He ran. She sat. Paris") == ["She", "Paris"]
    assert words("years", "In 1999 about 1,999 of 2500") == ["1999"]
    assert words("numbers that are not years", "In 1999 about 1,999 of 2500") == ["1,999", "2500"]
    assert words("words in parentheses", "An ant (or bee) flew") == ["or", "bee"]
    assert words('"such as"', "Such as these, as such") == ["as"]
    assert words('after "of the"', "some of the men of the") == ["men"]


def test_no_rule_reads_the_start_of_a_text() -> None:
    """A window begins anywhere, so its first word must not count as the first of a sentence."""
    for name in ("capitalised word at sentence start", "first word of a paragraph"):
        assert words(name, "Word by word") == []


def test_features_fire_on_their_concepts(planted: Planted) -> None:
    for feature, concept in planted.concepts.items():
        study = planted.study_of(feature)
        assert feature in study.features
        if study.stats(feature).fired < 60:
            continue
        precision, recall = agreement(planted, feature)
        least = 0.999 if concept.kind == PATTERN else 0.6
        assert min(precision, recall) >= least, concept.name


def test_most_lexical_features_hardly_fire_elsewhere(planted: Planted) -> None:
    figures = [
        agreement(planted, feature)
        for feature, concept in planted.concepts.items()
        if concept.kind == LEXICAL and planted.lexical.stats(feature).fired >= 20
    ]
    assert sum(min(pair) >= 0.95 for pair in figures) >= 0.6 * len(figures)


def test_built_once(planted: Planted) -> None:
    folder = planted.pattern.folder.parent.parent
    again = build_planted(folder, n_documents=120)
    assert again.lexical.id == planted.lexical.id
    with pytest.raises(ValueError, match="120 documents"):
        build_planted(folder, n_documents=40)


def test_a_concept_is_in_the_same_half_every_time() -> None:
    halves = {True: 0, False: 0}
    for concept in CONCEPTS.values():
        halves[concept.held_out] += 1
        assert Concept(PATTERN, concept.name, ()).held_out == concept.held_out
    assert min(halves.values()) >= 0.35 * len(CONCEPTS)


def test_the_judge_reads_labels_not_features() -> None:
    text = "In June he came to the house, 12 men with him."

    def said(label: str) -> list[str]:
        return [text[low:high] for low, high in spans_of(label, text)]

    assert said("calendar months") == ["June"]
    assert said("February, July") == ["June"]  # two members name the concept
    assert said("house") == ["house"]  # names nothing: taken at its word
    assert said('after "the"') == ["house"]
    assert said("numbers") == ["12"]


def test_labels_are_compared_at_equal_word_count() -> None:
    left, right = cut_alike({1: "a, b, c d", 2: "x", 3: None, 4: "p q"}, {1: "k l m", 2: "y z"})
    assert left == {1: "a, b, c", 2: "x"}
    assert right == {1: "k l m", 2: "y"}


@pytest.mark.slow
def test_the_ruled_concepts_are_split_and_follow_from_the_rule() -> None:
    found = ruled()
    assert len({one.name for one in found}) == 40
    assert [one.half for one in found] == ["validation"] * 20 + ["test"] * 20
    assert all(one.narrowed in one.members for one in found)
    assert tuple(choose(list(open_dataset(DEMO, "text").iterate()))) == found
