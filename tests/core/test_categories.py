"""Words are told by what they are kinds of, where most of them are."""

from __future__ import annotations

import pytest

from autointerp_core.labels.search.categories import category, plural


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("dog cat horse cow sheep", "placental"),
        ("monday friday tuesday", "weekday"),
        ("france spain india peru", "country"),
        ("rivers lakes seas", "body of water"),
        ("monday friday", None),  # two words are a list
        ("the of and", None),
        ("вторник среда четверг", None),
        ("", None),
    ],
)
def test_category(words: str, named: str | None) -> None:
    found = category(dict.fromkeys(words.split(), 1.0))
    assert (found.name if found else None) == named


def test_most_of_the_weight_must_be_of_the_kind() -> None:
    words = {"france": 1.0, "spain": 1.0, "india": 1.0}
    assert category(words | {"quickly": 1.0}) is not None
    assert category(words | {"quickly": 9.0}) is None


def test_plural() -> None:
    assert [plural(word) for word in ("country", "day", "boss", "box", "woman", "series")] == [
        "countries", "days", "bosses", "boxes", "women", "series",
    ]  # fmt: skip
