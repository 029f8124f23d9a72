"""Labels that name something which likeness of meaning cannot see, and quotation marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from autointerp_core.arrays import Float32Array
from autointerp_core.labels.embedders import Embedder, unquoted
from autointerp_core.labels.scoring.run import score_labels
from autointerp_core.labels.scoring.unseen_patterns import unseen_pattern
from autointerp_core.store.events import GENERATED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.score_fixtures import concept_study


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("comma (,)", "marks"),
        ("comma (,) near you, what, so", "marks"),
        ('quotation mark ("), line break', "marks"),
        ("closing quotation marks in dialogue", "marks"),
        ("line break", "marks"),
        ("dollar sign ($), dollars", "marks"),
        ('after "according", "based"', "what stands beside a word"),
        ('"the" after "in"', "what stands beside a word"),
        ("capitalised names after capitalised names", "what stands beside a word"),
        ("tokens after a newline", "what stands beside a word"),
        ("words preceding a comma", "what stands beside a word"),
        ("repeats the previous token", "what stands beside a word"),
        ("first token of the document", "a place in the text"),
        ("capitalised words at sentence start", "a place in the text"),
        ("beginning of a sentence", "a place in the text"),
        ("words inside quotes", "a place in the text"),
        ('words ending in "-ing"', "spelling"),
        ('numbers containing "3"', "spelling"),
        ("ALL-CAPS words", "spelling"),
    ],
)
def test_what_meaning_cannot_see_is_named(label: str, names: str) -> None:
    assert unseen_pattern(label) == names


@pytest.mark.parametrize(
    "label",
    [
        '"the"', '"or"', '"of" near all, many', "of, after, before, to", "end, last, result",
        "life after the war", "space exploration", "historical periods", "days of the week",
        "this, \"'s\", these, his", "said, quotation mark (\"), saying", "capital, alphabet",
        "first and last", "the first world war", "lines of poetry", "naval battles", "numbers",
        "text about banks, courts", "before breakfast", "中文", "",
    ],
)  # fmt: skip
def test_meanings_are_judged(label: str) -> None:
    assert unseen_pattern(label) is None


@pytest.mark.parametrize(
    ("label", "bare"),
    [
        ('"the"', "the"),
        ("“the” near «served»", "the near served"),
        ("'said' and 'asked'", "said and asked"),
        ("the king's men, don't", "the king's men, don't"),
        ("o’clock", "o’clock"),
        ('"', '"'),
        ("", ""),
    ],
)
def test_a_label_is_read_without_its_quotation_marks(label: str, bare: str) -> None:
    assert unquoted(label) == bare


class Letters(Embedder):
    """Vectors of first letters; keeps what it was asked."""

    name = "letters"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Float32Array:
        self.asked += texts
        found = np.zeros((len(texts), 128), dtype=np.float32)
        for row, text in enumerate(texts):
            found[row, ord(text[:1].lower() or " ") % 128] = 1.0
        return found

    def pieces(self, text: str) -> list[str]:
        return text.split() or [text]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return concept_study(tmp_path_factory.mktemp("unseen") / "toy-study", 200)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


def propose(history: LabelHistory, study: Study, labels: dict[int, str], source: str) -> None:
    details = {"documents": "label"}
    sae = study.info.sae_fingerprint
    history.record_many(
        NewEvent(sae, f, GENERATED, text, source=source, details=details, study=study.id)
        for f, text in labels.items()
    )


def test_what_it_cannot_judge_gets_a_reason_and_no_number(
    study: Study, history: LabelHistory
) -> None:
    why = "this scorer cannot judge it: it compares meanings; the label names marks"
    propose(history, study, {0: "comma (,)", 1: '"tree"'}, "search")
    embedder = Letters()
    report = score_labels(study, [0, 1], history, embedder=embedder)
    assert "tree" in embedder.asked
    assert not {'"tree"', "comma (,)"} & set(embedder.asked)
    assert (report.features, report.unscored) == (1, {why: 1})
    states = history.states(study.info.sae_fingerprint, [0, 1], study.id)
    (refused,), (judged,) = states[0].proposals, states[1].proposals
    assert (refused.score, refused.test_score, refused.unscored) == (None, None, why)
    assert refused.scores["embedding"]["reason"] == why
    assert refused.scores["embedding"]["value"] is None
    assert judged.test_score is not None
    assert states[0].label == "comma (,)"
    # Nothing new to say: not asked again.
    again = score_labels(study, [0, 1], history, embedder=Letters())
    assert (again.labels, again.reused) == (0, 2)


def test_a_number_from_before_gives_way(study: Study, history: LabelHistory) -> None:
    propose(history, study, {0: "comma (,)"}, "search")
    sae = study.info.sae_fingerprint
    event = history.history(sae, 0)[0]
    number = {"value": 0.51, "low": 0.3, "high": 0.7, "floor": 0.5}
    details = {"scores": {"embedding": number}, "validate": {"embedding": 0.52}}
    history.record_many(
        [NewEvent(sae, 0, "scored", source="search", parent=event.id, details=details,
                  study=study.id)]
    )  # fmt: skip
    assert history.state(sae, 0, study.id).test_score == 0.51
    score_labels(study, [0], history, embedder=Letters())
    (proposal,) = history.state(sae, 0, study.id).proposals
    assert (proposal.score, proposal.test_score) == (None, None)
