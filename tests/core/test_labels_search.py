"""Search labels name what was planted, in words a person can read."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autointerp_core.errors import AutointerpError, BadInput, MissingDependency
from autointerp_core.labels.embedders.wordllama import WordLlamaEmbedder
from autointerp_core.labels.search import processes
from autointerp_core.labels.search.corpus_words import CLASSES, CorpusWords, mark_name
from autointerp_core.labels.search.labeler import DEAD, SearchLabeler
from autointerp_core.progress import silent
from tests.core.label_fixtures import Fire, on_words, write_study

NAMES = ["Berg", "Chen", "Okafor", "Silva", "Haddad", "Novak", "Larsen", "Moreau"]
SUBJECTS = ["river", "harvest", "engine", "painting", "orchestra", "bridge", "glacier", "market"]
VERBS = ["visited", "described", "measuring", "painted", "watching", "repaired", "mapping"]


def sentences(seed: int, count: int = 12) -> str:
    """A little varied prose, different for each seed."""
    draw = random.Random(seed)
    out = []
    for _ in range(count):
        kind = draw.randrange(6)
        name, verb, subject = draw.choice(NAMES), draw.choice(VERBS), draw.choice(SUBJECTS)
        other, year = draw.choice(SUBJECTS), draw.randrange(1900, 2020)
        out.append(
            [
                f"In {year} the {subject} was {verb} by {name}, and the {other} too.",
                f"According to {name} the {subject} is {draw.randrange(3, 90)} metres long.",
                f'"The {subject} and the {other}," said {name} later.',
                f"On {draw.choice(['Monday', 'Tuesday', 'Friday'])} they {verb} the {subject}.",
                f"The company had a net loss of ${draw.randrange(100, 999)} in the {other} trade.",
                f"Nobody was {draw.choice(['singing', 'running', 'cooking', 'reading'])} at night.",
            ][kind]
        )
    return " ".join(out)


DOCUMENTS = [sentences(seed) for seed in range(60)]


def piecewise(test: Callable[[list[str], int], object]) -> Fire:
    """A feature from a test of (pieces, index)."""
    return lambda pieces: [
        2.0 + (i % 7) / 10 if test(pieces, i) else 0.0 for i in range(len(pieces))
    ]


def bare(pieces: list[str], index: int) -> str:
    return pieces[index].strip() if 0 <= index < len(pieces) else ""


FEATURES: dict[int, Fire] = {
    0: on_words("Monday", "Tuesday", "Friday"),
    1: piecewise(lambda p, i: re.fullmatch(r"(19|20)\d\d", bare(p, i))),
    2: piecewise(lambda p, i: bare(p, i) == "loss" and bare(p, i - 1) == "net"),
    3: piecewise(lambda p, i: bare(p, i - 1) == "$"),
    4: piecewise(lambda p, i: bare(p, i) == ","),
    5: piecewise(lambda p, i: bare(p, i).endswith("ing")),
    6: piecewise(lambda p, i: bare(p, i - 1) == "to"),
    7: lambda pieces: [0.0] * len(pieces),
    8: piecewise(lambda p, i: bare(p, i) in [*NAMES, "Monday", "Tuesday", "Friday"]),
    9: piecewise(lambda p, i: bare(p, i) == "glacier"),
}


@pytest.fixture(scope="module")
def labeler(tmp_path_factory: pytest.TempPathFactory) -> SearchLabeler:
    folder = tmp_path_factory.mktemp("study") / "s"
    return SearchLabeler(write_study(folder, DOCUMENTS, FEATURES))


def test_what_was_planted_is_named(labeler: SearchLabeler) -> None:
    label = {found.feature: found.text or "" for found in labeler.label_all(list(FEATURES))}
    assert {"weekdays", "monday", "tuesday", "friday"} <= set(re.findall(r"\w+", label[0].lower()))
    assert label[1] == "years"
    assert "net loss" in label[2]
    assert "after dollar sign" in label[3]
    assert label[4].startswith("comma")
    assert "-ing" in label[5]
    assert label[6] == 'after "According to"'
    assert "capitalised names" in label[8]
    assert label[9] == '"glacier"'


def test_a_feature_that_never_fires_has_no_label(labeler: SearchLabeler) -> None:
    found = labeler.label(7)
    assert found.text is None
    assert found.error == DEAD


def test_one_at_a_time_and_all_together_agree(labeler: SearchLabeler) -> None:
    together = list(labeler.label_all([9, 3, 0]))
    assert [found.feature for found in together] == [0, 3, 9]
    assert together == [labeler.label(feature) for feature in (0, 3, 9)]


def test_same_study_same_labels(labeler: SearchLabeler) -> None:
    again = SearchLabeler(labeler.study)
    assert list(again.label_all(list(FEATURES))) == list(labeler.label_all(list(FEATURES)))


@pytest.mark.slow
def test_any_number_of_processes_makes_the_same_labels(
    labeler: SearchLabeler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "BLOCK", 3)
    alone = list(labeler.label_all(list(FEATURES)))
    seen: list[int] = []
    made = processes.label_many(labeler, list(FEATURES), lambda p: seen.append(p.done), 2)
    assert list(made) == alone
    assert seen == [3, 6, 9, 10]
    monkeypatch.setattr(labeler.study, "folder", labeler.study.folder / "gone")
    with pytest.raises(AutointerpError, match="making search labels failed in a process"):
        list(processes.label_many(labeler, list(FEATURES), silent, 2))


def test_labels_are_whole_words_of_the_text(labeler: SearchLabeler) -> None:
    """The pieces of "measuring" are " measur" and "ing"; no label shows the first of them alone."""
    text = " ".join(DOCUMENTS).lower()
    ours = "after near words ending in with text about containing starting names capitalised "
    ours += "dollar sign comma years numbers weekdays"
    words = set(re.findall(r"\w+", text)) | set(ours.split()) | {"ing"}
    for found in labeler.label_all(list(FEATURES)):
        assert set(re.findall(r"\w+", (found.text or "").lower())) <= words


def test_other_documents_can_be_kept_out(labeler: SearchLabeler) -> None:
    half = SearchLabeler(labeler.study, documents=range(0, 60, 2))
    assert half.label(9).evidence.firings < labeler.label(9).evidence.firings
    nothing = SearchLabeler(labeler.study, documents=[])
    assert nothing.label(9).error == DEAD


def test_an_unknown_feature_is_refused(labeler: SearchLabeler) -> None:
    with pytest.raises(BadInput, match="feature 999"):
        labeler.label(999)


def test_scripts_without_spaces_give_phrases(tmp_path: Path) -> None:
    documents = [
        f"公司今年净亏损扩大{i}倍。天气很好，我们去公园。市场上的人很多。" for i in range(9)
    ]
    study = write_study(
        tmp_path / "s",
        documents,
        {1: lambda pieces: [3.0 if "损" in piece else 0.0 for piece in pieces]},
        split=list,
    )
    label = SearchLabeler(study).label(1).text
    assert label is not None
    assert "净亏损" in label.replace(" ", "")


def test_russian_needs_no_list_of_words(tmp_path: Path) -> None:
    documents = [f"Дождь {i} раз во вторник. Он ждал среду. Он купил хлеб." for i in range(9)]
    study = write_study(tmp_path / "s", documents, {1: on_words("вторник", "среду")})
    assert set((SearchLabeler(study).label(1).text or "").split(", ")) == {"вторник", "среду"}


pieces_of_text = st.one_of(
    st.sampled_from(["the ", "net ", "loss ", "a", "don't ", "it's ", "1,200.5 ", "1999 ", "$"]),
    st.sampled_from(["\n", "\n\n", "\r\n", "\t", "  ", "\u200b", "\u00a0", ", ", ". ", "))))"]),
    st.sampled_from(['"', "“", "”", "🙂", "e\u0301 ", "\u0301", "净亏损", "ไทย", "العربية "]),
    st.sampled_from(["ﬁne ", "İstanbul ", "ß ", "naïve ", "<<", ">>"]),
)


@pytest.mark.slow
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(pieces_of_text, max_size=30).map("".join), min_size=1, max_size=5),
    st.integers(0, 10_000),
)
def test_hostile_text_gives_short_settled_labels(
    tmp_path_factory: pytest.TempPathFactory, documents: list[str], seed: int
) -> None:
    def fire(pieces: list[str]) -> list[float]:
        draw = np.random.default_rng([seed, len(pieces)])
        return [float(v) for v in draw.random(len(pieces)) * (draw.random(len(pieces)) > 0.6)]

    folder = tmp_path_factory.mktemp("hostile") / "s"
    study = write_study(folder, documents, {0: fire, 5: fire}, context_size=16)
    first = list(SearchLabeler(study).label_all([0, 5]))
    assert first == list(SearchLabeler(study).label_all([5, 0]))
    for found in first:
        if found.text is None:
            assert study.stats(found.feature).dead
        else:
            assert 1 <= len(found.text.split()) <= 9
            assert found.text == " ".join(found.text.split())


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(pieces_of_text, max_size=30).map("".join), min_size=1, max_size=4))
def test_every_token_belongs_to_the_unit_it_stands_in(
    tmp_path_factory: pytest.TempPathFactory, documents: list[str]
) -> None:
    study = write_study(
        tmp_path_factory.mktemp("units") / "s",
        documents,
        {0: lambda pieces: [0.0] * len(pieces)},
        context_size=8,
    )
    units = CorpusWords(study.tokens)
    raw = study.tokens.text.tobytes()
    for number in range(len(units)):
        piece = raw[units.start[number] : units.stop[number]].decode()
        assert piece == units.surfaces[units.surface[number]].text
        assert not piece.isspace() or piece[0] in "\r\n"
    for token in range(study.tokens.n_tokens):
        text = study.tokens.pieces(token, token + 1)[0]
        unit = units.token_word[token]
        visible = any(not c.isspace() or c in "\r\n" for c in text)
        assert (unit >= 0) == visible
        if unit >= 0:
            end = int(study.tokens.ends[token])
            assert units.start[unit] < end
            assert units.stop[unit] > end - len(text.encode())
            assert (
                units.document[unit]
                == study.tokens.owners[study.tokens.sequence_of(np.asarray(token))]
            )
    assert units.classes.shape == (len(CLASSES), len(units))


def test_marks_have_names() -> None:
    assert mark_name(",") == "comma"
    assert mark_name(".") == "period"
    assert mark_name("$") == "dollar sign"
    assert mark_name("-") == "hyphen"
    assert mark_name("\n\n") == "line break"
    assert mark_name("...") == '"..."'


def test_candidates_are_different_phrases_the_label_first(labeler: SearchLabeler) -> None:
    for feature in (0, 1, 2, 5, 8, 9):
        found = labeler.candidates(feature, limit=16)
        assert found[0] == labeler.label(feature).text
        assert len(found) == len({text.casefold() for text in found}) <= 16
        assert all(1 <= len(text.split()) <= 9 for text in found)
        assert labeler.candidates(feature, limit=2) == found[:2]
    assert len(labeler.candidates(0)) >= 4
    assert labeler.candidates(7) == []
    with pytest.raises(BadInput, match="feature 999"):
        labeler.candidates(999)


def bracketed(pieces: list[str]) -> list[float]:
    """Fires on words between brackets."""
    depth = np.cumsum([("(" in p) - (")" in p) for p in pieces])
    return [2.0 * (d > 0 and p.strip().isalpha()) for d, p in zip(depth, pieces, strict=True)]


PLACES: dict[int, Fire] = {
    0: piecewise(lambda p, i: bare(p, i + 1) == "," and bare(p, i).isalpha()),
    1: bracketed,
    2: piecewise(lambda p, i: bare(p, i).isalpha() and bare(p, i - 1).isdigit()),
    3: piecewise(lambda p, i: bare(p, i).isalpha() and bare(p, i + 1) == "."),
}


def test_places_are_named(tmp_path: Path) -> None:
    draw = random.Random(5)
    nouns = [*SUBJECTS, "valley", "castle", "window", "ladder", "kettle", "forest"]

    def line() -> str:
        a, b, c, d, e, f = draw.sample(nouns, 6)
        first = draw.choice(["One", "This", "Some", "Every", "No", "That"])
        how = draw.choice(["beside a", "with the", "under one", "like any", "and their"])
        return f"{first} {a}, or ({b} {e} {f}) had {draw.randrange(3, 900)} {c} {how} {d}."

    documents = [" ".join(line() for _ in range(8)) for _ in range(30)]
    labeler = SearchLabeler(write_study(tmp_path / "s", documents, PLACES))
    label = {found.feature: found.text for found in labeler.label_all(list(PLACES))}
    assert label[0] == "before comma"
    assert label[1] == "words in parentheses"
    assert label[2] == "after numbers"
    assert label[3] in ("last words of sentences", "before period")


def test_words_of_a_kind_are_told_by_it(tmp_path: Path) -> None:
    """Names of many countries, each seen twice, can be told by what they are."""
    places = "France Spain Italy Russia China India Japan Canada Brazil Egypt Greece Mexico Peru"
    names = places.split()
    draw = random.Random(3)
    documents = []
    for name in names * 2:
        words = [*draw.sample(SUBJECTS, 3), *draw.sample(NAMES, 3), name]
        draw.shuffle(words)
        documents.append(f"They saw {' and '.join(words)} there.")
    study = write_study(tmp_path / "s", documents, {1: on_words(*names)})
    assert any("countries" in text for text in SearchLabeler(study).candidates(1, limit=5))


def test_without_word_vectors_labels_come_from_counting(
    labeler: SearchLabeler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(self: WordLlamaEmbedder, texts: object) -> None:
        raise MissingDependency("not installed")

    monkeypatch.setattr(WordLlamaEmbedder, "embed", absent)
    poorer = SearchLabeler(labeler.study)
    assert "monday" in (poorer.label(0).text or "").lower()
    assert poorer.label(6).text == labeler.label(6).text


def test_documents_left_out_change_nothing(tmp_path: Path) -> None:
    """Whatever stands in other documents, the labels are the same."""
    kept = [sentences(seed) for seed in range(24)]
    labels = []
    for number, others in enumerate(([sentences(99)], ["Lorem ipsum dolor, (sit) 1999. " * 40])):
        study = write_study(tmp_path / str(number), kept + others, FEATURES)
        found = SearchLabeler(study, documents=range(24)).label_all(list(FEATURES))
        labels.append([label.text for label in found])
    assert labels[0] == labels[1]
