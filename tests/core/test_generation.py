"""Text written for a label makes its feature fire, and text for another label does not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from autointerp_core.arrays import BoolArray, Float32Array
from autointerp_core.errors import ParameterError
from autointerp_core.labels.config import ScoreConfig
from autointerp_core.labels.document_split import TEST, Split
from autointerp_core.labels.embedders import KnownTexts, default_embedder
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.scoring.measures import MeasureTools
from autointerp_core.labels.scoring.measures.generation import (
    CLARITY,
    GENERATION,
    PURITY,
    RESPONSIVENESS,
    average_precision,
    natural_windows,
)
from autointerp_core.labels.scoring.measuring import score_and_measure
from autointerp_core.labels.scoring.read_written import read_texts
from autointerp_core.labels.scoring.written_texts import MIN_TEXTS, TEXTS
from autointerp_core.store.event_details import MeasuredDetails
from autointerp_core.store.events import IMPORTED, MEASURED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.label_fixtures import toy_pieces
from tests.core.score_fixtures import CONCEPTS, FILLER, concept_study

ONLY = ScoreConfig(scorers=(GENERATION,))
_NAMES = list(CONCEPTS)


@dataclass
class Read:
    """A text read by the toy SAE."""

    pieces: list[str]

    @property
    def counted(self) -> BoolArray:
        return np.ones(len(self.pieces), dtype=np.bool_)

    def values(self, feature: int) -> Float32Array:
        members = CONCEPTS[_NAMES[feature]]
        return np.array([p.strip().lower() in members for p in self.pieces], dtype=np.float32)


class ToyEncoder:
    """Feature i fires on the members of concept i."""

    def encode(self, texts: Sequence[str], features: Sequence[int] | None = None) -> list[Read]:
        return [Read(toy_pieces(text)) for text in texts]

    def ablated(self, texts: Sequence[str], feature: int, count: int) -> list[str]:
        """What it no longer says: the concept's own words, where the text ends with one."""
        members = CONCEPTS[_NAMES[feature]]
        assert all(text.split()[-1].lower() in members for text in texts)
        return [f" {member}" for member in members][:count]


def write(prompt: ChatPrompt) -> str:
    """A writer that knows what the labels mean: five lines, with or without their words."""
    asked = prompt.messages[-1].content
    label = asked.splitlines()[0].removeprefix("Label: ")
    batch = int(re.findall(r"Batch (\d+)", asked)[0])
    members = CONCEPTS[label] if "clearly contain" in asked else ("table",)
    generator = np.random.default_rng([batch, len(label), len(members)])
    lines = []
    for number in range(5):
        words = generator.choice(FILLER, 12).tolist()
        words[4] = members[number % len(members)]
        lines.append(f"{number + 1}. {' '.join(words)}.")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return concept_study(tmp_path_factory.mktemp("generation") / "toy", count=120)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


def _label(study: Study, history: LabelHistory, labels: dict[int, str]) -> None:
    history.record_many(
        NewEvent(study.info.sae_fingerprint, feature, IMPORTED, text, source="import:x")
        for feature, text in labels.items()
    )


def _measure(
    study: Study, history: LabelHistory, provider: ScriptedProvider
) -> dict[int, MeasuredDetails]:
    score_and_measure(study, [0, 1, 2], history, ONLY, judge=provider, open_model=ToyEncoder)
    events = history.machine_events(study.info.sae_fingerprint, (MEASURED,), study.id, GENERATION)
    return {event.feature: MeasuredDetails.from_json(event.details) for event in events}


def test_the_right_label_responds_and_a_wrong_one_does_not(
    study: Study, history: LabelHistory
) -> None:
    _label(study, history, dict(enumerate(CONCEPTS)))
    right = _measure(study, history, ScriptedProvider(write))
    for details in right.values():
        assert (details.results[RESPONSIVENESS].value or 0) >= 0.95
        assert (details.results[CLARITY].value or 0) >= 0.75  # some windows hold the concept
        assert (details.results[PURITY].value or 0) > (details.results[PURITY].floor or 1)
        assert len(details.more["fitting"]) == len(details.more["unfitting"]) == TEXTS
    _label(study, history, {0: _NAMES[1], 1: _NAMES[2], 2: _NAMES[0]})
    wrong = _measure(study, history, ScriptedProvider(write))
    for details in wrong.values():
        found = details.results[RESPONSIVENESS]
        assert found.value == 0.5
        assert found.low is not None
        assert found.low <= 0.5 <= (found.high or 0)
        purity = details.results[PURITY]
        assert purity.low is not None
        assert purity.low <= (purity.floor or 0)
    assert wrong[0].label == _NAMES[1]


def test_written_text_is_asked_for_once(study: Study, history: LabelHistory) -> None:
    _label(study, history, dict(enumerate(CONCEPTS)))
    provider = ScriptedProvider(write)
    first = _measure(study, history, provider)
    asked = len(provider.seen)
    assert asked == 3 * 4
    assert _measure(study, history, provider) == first
    assert len(provider.seen) == asked


def test_a_writer_that_writes_too_little_gives_no_score(
    study: Study, history: LabelHistory
) -> None:
    _label(study, history, {0: _NAMES[0]})
    provider = ScriptedProvider(["one text that is long enough", "", None, "Sure! Here are five:"])
    report = score_and_measure(study, [0], history, ONLY, judge=provider, open_model=ToyEncoder)
    assert f"generation needs {MIN_TEXTS} of each" in report.without[RESPONSIVENESS]
    assert RESPONSIVENESS not in report.scorers


def test_without_a_model_or_an_sae_at_hand_it_says_so_in_a_line(
    study: Study, history: LabelHistory
) -> None:
    with pytest.raises(ParameterError, match="generation asks a language model"):
        ScoreConfig(scorers=(GENERATION,), provider="none")
    with pytest.raises(ParameterError, match="own model and SAE") as told:
        score_and_measure(study, [0], history, ONLY, judge=ScriptedProvider(write))
    assert "\n" not in str(told.value)


def test_natural_windows_are_of_test_documents(study: Study) -> None:
    split = Split(study)
    tools = MeasureTools(study, split, KnownTexts(default_embedder()))
    found = natural_windows(tools)
    assert len(found) == 2 * TEXTS
    assert natural_windows(tools) == found
    texts = [study.tokens.document_text(d) for d in split.documents(TEST)]
    assert all(any(window in " ".join(text.split()) for text in texts) for window in found)


def test_average_precision_is_as_defined() -> None:
    """A threshold at a time: precision there, times what recall gained."""
    generator = np.random.default_rng(0)
    for _ in range(30):
        positive = np.round(generator.random(int(generator.integers(1, 12))), 1)
        negative = np.round(generator.random(int(generator.integers(1, 20))), 1)
        expected, before = 0.0, 0.0
        for threshold in sorted({*positive.tolist(), *negative.tolist()}, reverse=True):
            hits = int((positive >= threshold).sum())
            recall = hits / len(positive)
            expected += (recall - before) * hits / (hits + int((negative >= threshold).sum()))
            before = recall
        assert average_precision(positive, negative) == pytest.approx(expected)


def test_what_a_reply_holds_as_texts() -> None:
    reply = (
        "<think>lists of five</think>Sure, here are five texts:\n\n1. The bank raised its rates "
        'again.\n- "Rain fell on the hills all night."\n(3) Ok.\n• They met on Monday, at noon.\n'
    )
    assert read_texts(reply) == [
        "The bank raised its rates again.",
        "Rain fell on the hills all night.",
        "They met on Monday, at noon.",
    ]


ROME, JANUARY = "The meeting is on May 5 in Rome.", "We left in January and came back."


@pytest.mark.parametrize(
    "reply",
    [
        f"plan</think>\n1. {ROME}\n2. {JANUARY}<|im_end|>",
        f"Sure! Here are two texts:\n\n1) {ROME}\n2) {JANUARY}\n\nLet me know if I may go on!",
        f'["{ROME}", "{JANUARY}"]',
        f'```json\n[\n  "{ROME}",\n  "{JANUARY}"\n]\n```',
        f'{{"texts": [{{"text": "{ROME}"}}, {{"text": "{JANUARY}"}}]}}',
        f"**Text 1:** {ROME}\n**Text 2:** {JANUARY}",
        f"### Text 1\n{ROME}\n\n### Text 2\n{JANUARY}\n---",
        f"<texts>\n<text>{ROME}</text>\n<text>{JANUARY}</text>\n</texts>",
        f"Okay, I will write the texts now.\n{ROME}\n{JANUARY}\nI hope these texts help you.",
        f"| # | Text |\n|---|---|\n| 1 | {ROME} |\n| 2 | {JANUARY} |",
        f"“{ROME}”\n„{JANUARY}“\n\nNote: all texts name a month.",
    ],
)
def test_what_stands_around_written_texts_is_none(reply: str) -> None:
    assert read_texts(reply) == [ROME, JANUARY]


def test_texts_are_not_judged_by_what_they_say() -> None:
    letters = [
        "I hope this finds you well.",
        "Sure, I said, come in.",
        "Let me know when you land.",
    ]
    assert read_texts("\n".join(letters)) == letters
    assert read_texts("3.5 percent was too much.\n7:30 is when it left.") == [
        "3.5 percent was too much.",
        "7:30 is when it left.",
    ]
    assert read_texts("1. 会议定于五月五日在罗马举行。\n2. 好") == ["会议定于五月五日在罗马举行。"]
    assert read_texts("I'm sorry, but I can't help with that request.") == []
