"""A scorer, a provider, an embedder and a prompt method of one's own: registered, and run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp_core.arrays import Float32Array
from autointerp_core.errors import KnobError, ParameterError
from autointerp_core.jobs.work import run_generate_job
from autointerp_core.labels.config import LabelConfig, ScoreConfig
from autointerp_core.labels.embedders import EMBEDDERS, Embedder, EmbedderKind, unit_rows
from autointerp_core.labels.explain.prompts import METHODS, PromptMethod
from autointerp_core.labels.providers.base import (
    GREEDY,
    ChatPrompt,
    Completion,
    LabelProvider,
    Message,
    Settings,
)
from autointerp_core.labels.providers.make import PROVIDERS, ProviderKind, ProviderOptions
from autointerp_core.labels.registry import Registry
from autointerp_core.labels.run import label_features
from autointerp_core.labels.scoring.run import score_labels
from autointerp_core.labels.scoring.score_statistics import AUROC
from autointerp_core.labels.scoring.scorers import SCORERS, Scorer, ScorerRun, Tools
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.score_values import ScorerResult
from autointerp_core.store.study import Example, Study
from tests.core.score_fixtures import DAYS, concept_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return concept_study(tmp_path_factory.mktemp("extend") / "toy-study", 200)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def registries_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (SCORERS, PROVIDERS, EMBEDDERS, METHODS):
        monkeypatch.setattr(registry, "_found", dict(registry))


class SharedWords(Scorer):
    """Counts the words that label and window share."""

    name = "shared words"
    about = "how many words label and window share"
    measure = AUROC

    def judge_name(self, tools: Tools) -> str:
        return "counting"

    def answer(self, runs: Sequence[ScorerRun], tools: Tools) -> None:
        for run in runs:
            label = set(run.label.replace(",", " ").split())
            shared = [len(label & set(window.text.split())) for window in run.windows]
            run.said = np.array(shared, dtype=np.float64)
            run.answered = len(run.windows)


def test_a_scorer_of_ones_own(study: Study, history: LabelHistory) -> None:
    SCORERS.register(SharedWords.name, SharedWords())
    label_features(study, [0, 1], history, LabelConfig(provider="none"))
    report = score_labels(study, [0, 1], history, ScoreConfig(scorers=(SharedWords.name,)))
    found = report.scorers[SharedWords.name]
    assert (found.judge, found.measure, found.features) == ("counting", AUROC, 2)
    assert found.mean > 0.9
    assert found.shuffled == pytest.approx(0.5, abs=0.1)  # others say other words
    scores = history.state(study.info.sae_fingerprint, 0, study.id).proposals[0].scores
    result = ScorerResult.from_json(SharedWords.name, scores[SharedWords.name])
    assert result.value == 1.0
    assert (result.n, result.floor) == (40, 0.5)
    every: Any = "all"  # as a command line gives it
    assert SharedWords.name in ScoreConfig(scorers=every).scorers


class Parrot(LabelProvider):
    """Says what the last marked word is; yes to everything."""

    name = "parrot"

    @property
    def model(self) -> str:
        return "parrot-1"

    def complete(
        self, prompts: Sequence[ChatPrompt], settings: Settings = GREEDY, *, fresh: bool = False
    ) -> Iterator[Completion]:
        for index, prompt in enumerate(prompts):
            asked = prompt.messages[-1].content
            yield Completion(index, "yes" if "Label:" in asked else asked.rsplit(" ", 1)[-1])


def first_peak(
    study: Study, feature: int, examples: Sequence[Example], hint: str | None
) -> ChatPrompt:
    """Shows the strongest peak alone."""
    return ChatPrompt((Message("user", f"Name it: {examples[0].tokens[examples[0].peak_index]}"),))


def test_a_provider_and_a_prompt_method_of_ones_own_in_a_job(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOINTERP_DB", f"sqlite:///{tmp_path / 'labels.db'}")
    made: list[ProviderOptions] = []

    def make(options: ProviderOptions) -> LabelProvider:
        made.append(options)
        return Parrot(price=options.price, budget=options.budget)

    PROVIDERS.register("parrot", ProviderKind("A parrot", make))
    METHODS.register("first peak", PromptMethod("first peak", "the strongest peak", first_peak))
    done = run_generate_job(
        {
            "study": str(study.folder),
            "features": [0],
            "provider": "parrot",
            "model_path": "green",
            "method": "first peak",
            "scorers": ["detection"],
            "score_windows": 6,
        },
        lambda progress: None,
    )
    assert (done["made"], done["failed"]) == (1, 0)
    assert {options.model_path for options in made} == {"green"}
    assert done["scores"]["scorers"]["detection"]["judge"] == "llm:parrot-1"
    assert done["scores"]["scorers"]["detection"]["mean"] == 0.5  # yes to everything
    with LabelHistory.open() as opened:
        state = opened.state(study.info.sae_fingerprint, 0, study.id)
    proposal = next(p for p in state.proposals if p.source == "llm:parrot-1")
    assert proposal.method == "first peak"
    assert proposal.text in DAYS


class Letters(Embedder):
    """A vector of how often each letter stands in the text."""

    name = "letters"

    def __init__(self, model: str) -> None:
        self.name = f"letters:{model}"

    def embed(self, texts: Sequence[str]) -> Float32Array:
        alphabet = "abcdefghijklmnopqrstuvwxyz"
        counts = [[text.lower().count(letter) for letter in alphabet] for text in texts]
        return unit_rows(np.array(counts, dtype=np.float32).reshape(len(texts), len(alphabet)))

    def pieces(self, text: str) -> list[str]:
        return text.split() or [text]


def test_an_embedder_of_ones_own(study: Study, history: LabelHistory) -> None:
    EMBEDDERS.register("letters", EmbedderKind(Letters, "letters:<alphabet>"))
    config = LabelConfig(provider="none", scorers=("embedding",), embedder="letters:latin")
    report = label_features(study, [0, 1, 2], history, config)
    assert report.scores is not None
    assert report.scores.scorers["embedding"].judge == "letters:latin"
    assert report.scores.features == 3
    with pytest.raises(ParameterError, match="choose wordllama or letters:<alphabet> or minilm or"):
        LabelConfig(embedder="letters")


def test_names_are_listed_and_no_name_is_taken_twice() -> None:
    assert SCORERS.names == ("embedding", "detection", "fuzzing")
    assert PROVIDERS.names == ("local", "openai", "scripted")
    assert tuple(METHODS) == ("peaks", "words", "contrast", "strengths", "texts", "explain")
    assert tuple(EMBEDDERS) == ("wordllama", "minilm", "sentence-transformers")
    registries: tuple[Registry[Any], ...] = (SCORERS, PROVIDERS, METHODS, EMBEDDERS)
    for registry in registries:
        name = registry.names[0]
        registry.register(name, registry[name])  # the same one again is no second one
        with pytest.raises(ParameterError, match=f"two {registry.what}s called"):
            registry.register(name, object())
        with pytest.raises(ParameterError, match=f"no {registry.what} 'nonsense'; choose from"):
            registry.named("nonsense")


def test_an_error_names_settings_as_the_caller_does() -> None:
    error = KnobError("{0} is 0; give {1} or at least 1", "max_examples", "group")
    assert str(error) == "max_examples is 0; give group or at least 1"
    assert str(error.called({"max_examples": "max_examples_for_labeling"})) == (
        "max_examples_for_labeling is 0; give group or at least 1"
    )
