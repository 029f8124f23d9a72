"""Search labels as semantic regexes."""

from __future__ import annotations

import pytest

from autointerp_core.labels.search.semantic_form import semantic_form


@pytest.mark.parametrize(
    ("kind", "words", "pattern", "category", "context", "form"),
    [
        ("words", ["war", "wars"], "war, wars", None, ["army"], "[:lexeme war|wars:]"),
        ("near words", ["eagle", "hawk"], "eagle, hawk", None, [], "[:field eagle|hawk:]"),
        ("category", ["eagle"], "eagle", "birds", [], "[:field birds:]"),
        (
            "affix",
            ["words", "ending", "in", "tion"],
            'words ending in "-tion"',
            None,
            [],
            '[:symbol words ending in "-tion":]',
        ),
        (
            "words in context",
            ["bank"],
            "bank",
            None,
            ["river", "shore"],
            "@{:context river|shore:}([:lexeme bank:])",
        ),
        ("context", ["text"], "text about", None, ["law"], "@{:context law:}([:symbol .:])"),
        ("after", ["after", "the"], 'after "the"', None, [], '[:symbol after "the":]'),
        ("words", ["a:]|b"], "", None, [], "[:lexeme a b:]"),
    ],
)
def test_form(
    kind: str, words: list[str], pattern: str, category: str | None, context: list[str], form: str
) -> None:
    assert semantic_form(kind, words, pattern, category, context) == form
