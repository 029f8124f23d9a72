"""find-features: which documents are meant, what is found, what is written, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autointerp_core.cli import main
from autointerp_core.errors import BadInput
from autointerp_core.feature_request import FeatureRequest
from autointerp_core.find.contrast import ContrastConfig, contrast
from autointerp_core.find.documents import read_texts
from autointerp_core.find.evidence import StudyCorpus
from autointerp_core.find.request import FindRequest
from autointerp_core.find.result import FindResult, classes_json
from autointerp_core.find.run import find_features
from autointerp_core.find.sides import Side, alike_length
from autointerp_core.store.study import Study
from tests.core.label_fixtures import on_words, write_study

WORDS = ("copper", "violin", "harbour", "lawyer")
FILL = "the old house stood near a long road and there was much to see in it"


def documents(n: int = 120, seed: int = 0) -> list[str]:
    """Every sixth document holds copper, and so on; the fill is by lot."""
    rng = np.random.default_rng(seed)
    texts = []
    for index in range(n):
        fill = rng.choice(FILL.split(), 20).tolist()
        word = WORDS[index % 6] if index % 6 < len(WORDS) else "stone"
        fill.insert(int(rng.integers(20)), word)
        texts.append(" ".join(fill) + f" {index}.")
    return texts


@pytest.fixture
def study(own_home: Path) -> Study:
    """Features 1–4 fire on a word each, 0 on what is everywhere, 5 never."""
    features = {at + 1: on_words(word, strength=at + 1.0) for at, word in enumerate(WORDS)}
    features |= {0: on_words("the", "old", "road", strength=90.0), 5: on_words("zebra")}
    return write_study(own_home / "studies" / "toy", documents(), features)


def one(request: FindRequest) -> FindResult:
    found = find_features(request)
    assert isinstance(found, FindResult)
    return found


def test_words_a_pattern_and_texts_find_the_same(study: Study) -> None:
    texts = tuple(text for text in documents() if "violin" in text)
    for request in (
        FindRequest(study="toy", words="Violin, cello"),
        FindRequest(study="toy", pattern=r"\bviol\w+"),
        FindRequest(study="toy", positive=texts),  # documents of the study: no model is loaded
    ):
        result = one(request)
        best = result.found[0]
        assert best.feature == 2
        assert best.significant
        assert best.auroc == 1.0
        assert best.auroc_low > 0.8
        assert best.density_ratio > 10
        assert (best.fires_positive, best.fires_negative) == (20, 0)
        assert result.significant == 1
        assert (result.positive.documents, result.negative.documents) == (20, 100)
        assert all("violin" in "".join(window.tokens) for window in best.examples)
        assert result.chance is not None
        assert result.chance.best_evidence < best.evidence


def test_a_feature_that_fires_everywhere_never_wins(study: Study) -> None:
    for ranking in ("evidence", "auroc", "difference", "fisher", "density_ratio"):
        config = ContrastConfig(rank_by=ranking)
        result = one(FindRequest(study="toy", words="lawyer", contrast=config))
        assert result.found[0].feature == 4, ranking
        assert result.ranking == ranking
        scores = [each.score(ranking) for each in result.found if each.significant]
        assert scores == sorted(scores, reverse=True)


def test_negative_texts_take_the_place_of_the_rest(study: Study) -> None:
    texts = documents()
    copper = tuple(text for text in texts if "copper" in text)
    lawyer = tuple(text for text in texts if "lawyer" in text)
    result = one(FindRequest(study="toy", positive=copper, negative=lawyer))
    assert result.found[0].feature == 1
    assert (result.positive.documents, result.negative.documents) == (20, 20)


def test_two_corpora(study: Study, own_home: Path) -> None:
    general = [text for text in documents(seed=5) if "harbour" not in text]
    features = {at + 1: on_words(word, strength=at + 1.0) for at, word in enumerate(WORDS)}
    features[0] = on_words("the", "old", "road", strength=90.0)
    write_study(own_home / "studies" / "general", general, features)
    result = one(FindRequest(study="toy", against="general"))
    assert result.found[0].feature == 3
    assert any("one side only" in notice for notice in result.notices)  # feature 5
    other = own_home / "studies" / "general" / "study.json"
    content = json.loads(other.read_text())
    content["sae"]["fingerprint"] = "e" * 64
    other.write_text(json.dumps(content))
    with pytest.raises(BadInput, match="is of another SAE"):
        find_features(FindRequest(study="toy", against="general"))


def test_longer_documents_are_cut_to_be_alike(own_home: Path) -> None:
    short = write_study(own_home / "studies" / "short", ["a road"] * 30, {1: on_words("road")})
    long = ["a road " + "and then a road " * 10] * 30
    other = write_study(own_home / "studies" / "long", long, {1: on_words("road")})
    sides = [StudyCorpus(each) for each in (other, short)]
    first, second = (Side(c, np.arange(c.n_documents), c.name) for c in sides)
    result = contrast(first, second, ContrastConfig(value="count"), cut_alike=True)
    assert result.cut == 2
    assert not result.found  # as many a token on either side
    assert "only the first 2 tokens" in result.notices[0]
    assert alike_length(np.array([5, 100]), np.array([5, 6])) == 6


def test_classes(study: Study, own_home: Path) -> None:
    labels = ["metal" if "copper" in text else "rest" for text in documents()]
    path = own_home / "texts.parquet"
    table = {"text": documents(), "kind": labels, "number": list(range(120))}
    pq.write_table(pa.table(table), path)
    record = study.folder / "study.json"
    content = json.loads(record.read_text())
    content["dataset"]["path"] = str(path)
    record.write_text(json.dumps(content))
    found = find_features(FindRequest(study="toy", class_column="kind"))
    assert isinstance(found, dict)
    assert found["metal"].found[0].feature == 1
    assert not any(each.significant for each in found["rest"].found if each.feature == 1)
    written = classes_json(found)
    assert len(set(written["feature_indices"])) == len(written["feature_indices"])
    asked = FeatureRequest.parse(written["feature_indices"], written["scores"])
    assert 1 in asked.scores
    alone = one(FindRequest(study="toy", class_column="kind", class_value="metal"))
    assert alone.found[0].feature == 1
    for request, said in (
        ({"class_column": "kind", "class_value": "wood"}, "no document has 'wood'"),
        ({"class_column": "colour"}, "gives column 'colour' for 0 rows"),
        ({"class_column": "number"}, "120 different values, too many"),
    ):
        with pytest.raises(BadInput, match=said):
            find_features(FindRequest.from_json({"study": "toy", **request}))
    pq.write_table(pa.table({**table, "text": documents(seed=9)}), path)
    with pytest.raises(BadInput, match="is not the document that the study was made from"):
        find_features(FindRequest(study="toy", class_column="kind"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"words": "zebra"}, "no document of toy \\(120\\) holds zebra"),
        ({"words": " , "}, "the list of words is empty"),
        ({"pattern": "("}, "is not a regular expression"),
        ({"pattern": "."}, "all documents are positive"),
        ({"positive": ("", " ")}, "there is no positive text"),
        ({}, "nothing says which documents are positive"),
        ({"words": "a", "pattern": "b"}, "are given; give one of them"),
        ({"positive": ("a",), "negative": ("b",), "against": "toy"}, "give one of them"),
        ({"against": "nowhere.jsonl"}, "was not found"),
        ({"words": "a", "class_value": "b"}, "--class-value needs --class-column"),
    ],
)
def test_bad_input_is_said_in_words(study: Study, asked: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        find_features(FindRequest.from_json({"study": "toy", **asked}))


def test_few_documents_say_what_can_be_known(study: Study) -> None:
    texts = [text for text in documents() if "harbour" in text]
    alone = one(FindRequest(study="toy", positive=tuple(texts[:1])))
    assert "with only 1 positive document of 120" in alone.notices[0]
    assert alone.found[0].feature == 3
    assert alone.significant == 0  # 1 of 120 is 0.008: with five features too much
    four = one(FindRequest(study="toy", positive=tuple(texts[:4])))
    assert "with only 4 positive documents" in four.notices[0]
    assert four.found[0].significant


def test_values_out_of_range_are_refused() -> None:
    for wrong in ({"top": 0}, {"level": 1.0}, {"rank_by": "luck"}, {"value": "sum"}, {"cut": 0}):
        with pytest.raises(BadInput):
            ContrastConfig(**wrong)
    with pytest.raises(BadInput, match="--model-path is missing"):
        FindRequest(positive=("a",))


def test_files_of_texts(tmp_path: Path) -> None:
    plain, lines = tmp_path / "a.txt", tmp_path / "a.jsonl"
    plain.write_text("\ufeffone\n\n  \ntwo\n", encoding="utf-8")
    lines.write_text('"one"\n{"text": "two", "more": 1}\n')
    assert read_texts(plain) == read_texts(lines) == ["one", "two"]
    for name, data, said in (
        ("b.txt", b" \n", "holds no text"),
        ("b.txt", b"\xff\xfe", "is not UTF-8"),
        ("b.jsonl", b"{", "line 1 of .* is not JSON"),
        ("b.jsonl", b'{"body": "x"}', "line 1 of .* has no text"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadInput, match=said):
            read_texts(tmp_path / name)
    with pytest.raises(BadInput, match="cannot read"):
        read_texts(tmp_path / "none.txt")


def test_the_command_writes_what_can_be_read_back(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "found.json"
    positive = tmp_path / "positive.txt"
    positive.write_text("\n".join(text for text in documents() if "copper" in text))
    given = ["--study", "toy", "--positive", str(positive), "--top", "3", "--output", str(output)]
    assert main(["find-features", *given]) == 0
    content = json.loads(output.read_text())
    assert content["feature_indices"][0] == 1
    assert content["scores"] == sorted(content["scores"], reverse=True)
    result = FindResult.from_json(content)
    assert result.to_json() == content
    assert result.study == "toy"
    said = capsys.readouterr().out
    assert "of 5 features significant" in said
    assert "by lot: best evidence" in said
    assert main(["find-features", "--study", "toy", "--words", "zebra"]) == 2
    assert "no document" in capsys.readouterr().err.strip().splitlines()[-1]
