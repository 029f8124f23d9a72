"""No document of the test part is ever in a labeller's prompt, or takes part in a choice.

Every prompt that is sent, by every method, is searched for text that only held-out documents
have; every judged window that ranks proposals is looked up in its document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hypothesis.strategies as st
import pyarrow.parquet as pq
import pytest
import regex
from hypothesis import HealthCheck, given, settings

from autointerp_core import run_labeling
from autointerp_core.labels import config as config_module
from autointerp_core.labels.config import LabelConfig
from autointerp_core.labels.document_split import LABEL, TEST, VALIDATE, Split
from autointerp_core.labels.explain.prompts import METHODS
from autointerp_core.labels.providers import config as provider_config
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.run import label_features
from autointerp_core.labels.search.rank_phrases import plan
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.label_fixtures import on_words, write_study


class Recorder(ScriptedProvider):
    """Keeps every prompt: of labels and rankings in ``asked``, of judgements in ``judged``."""

    def __init__(self) -> None:
        super().__init__(self._label)
        self.asked: list[ChatPrompt] = []
        self.judged: list[ChatPrompt] = []

    def _label(self, prompt: ChatPrompt) -> str:
        if prompt.messages[-1].content.startswith("Label:"):
            self.judged.append(prompt)
            return "Yes" if len(prompt.text) % 2 else "No"
        self.asked.append(prompt)
        # Different prompts, different labels: there is something to choose between.
        return f"words like {hashlib.sha256(prompt.text.encode()).hexdigest()[:6]}"

    def rank(self, prompt: ChatPrompt, candidates: Sequence[str]) -> list[float]:
        self.asked.append(prompt)
        return [-float(len(c)) for c in candidates]


@contextmanager
def recorded() -> Iterator[Recorder]:
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        for module in (config_module, provider_config):
            patch.setattr(module, "make_provider", lambda name, given: recorder)
        yield recorder


ALL = len(METHODS) + 4
FILLER = "the net loss of a quarter was larger on Monday while people of the town walked home"


@st.composite
def corpora(draw: st.DrawFn) -> list[str]:
    """Documents with a word of their own each; some of them stand twice."""
    count = draw(st.integers(30, 70))
    words = FILLER.split()
    documents = []
    for i in range(count):
        chosen = draw(st.lists(st.sampled_from(words), min_size=4, max_size=30))
        documents.append(f"mark{i}x " + " ".join([*chosen, f"mark{i}x", *chosen[:3]]))
    return documents + draw(st.lists(st.sampled_from(documents), max_size=8))


@pytest.mark.slow
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(documents=corpora())
def test_held_out_text_is_in_no_labellers_prompt(
    documents: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("leak")
    features = {1: on_words("loss"), 2: on_words("the", "of"), 3: on_words("Monday", "walked")}
    study = write_study(folder / "study", documents, features, context_size=16)
    options = LabelConfig(
        provider="scripted",
        candidates=ALL,
        max_examples=80,
        scorers=("embedding", "detection", "fuzzing"),
        score_windows=8,
    )
    with recorded() as recorder, LabelHistory.open(folder / "labels.db") as history:
        label_features(study, [1, 2, 3], history, options)
    methods = {method for method, _ in plan("peaks", ALL, ranks=True)}
    assert methods >= {*METHODS} - {"explain"}
    split = Split(study)
    check(study, recorder, lambda i: f"mark{documents[i].split()[0][4:-1]}x", split)


def check(study: Study, recorder: Recorder, mark: object, split: Split) -> None:
    """Held-out documents' marks are in no labeller's prompt; evidence is where it says."""
    assert callable(mark)
    asked = "\n".join(prompt.text for prompt in recorder.asked)
    held_out = [*split.documents(VALIDATE).tolist(), *split.documents(TEST).tolist()]
    assert [i for i in held_out if regex.search(rf"(?<!\w){mark(i)}(?!\w)", asked)] == []
    shown = [i for i in split.documents(LABEL).tolist() if mark(i) in asked]
    assert shown or not recorder.asked
    for path in sorted((study.folder / "evidence").glob("*.parquet")):
        table = pq.read_table(path).to_pandas()
        owner = study.tokens.owners[study.tokens.sequence_of(table["token"].to_numpy())]
        assert [split.part(int(document)) for document in owner] == table["part"].tolist()
        assert set(table["part"]) <= {VALIDATE, TEST}


def test_on_the_demo(
    tmp_path: Path, own_home: Path, demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same on real text, and the choice is recomputed from validate judgements alone."""
    monkeypatch.setenv("AUTOINTERP_HOME", str(demo_model.parents[1]))
    monkeypatch.setenv("AUTOINTERP_DB", f"sqlite:///{tmp_path / 'labels.db'}")
    features = list(range(0, 2048, 171))
    with recorded() as recorder:
        done = run_labeling(
            features,
            "demo",
            "demo",
            "demo",
            None,
            output_dir=tmp_path / "out",
            n_samples=110,
            label_provider="scripted",
            candidates=ALL,
            scoring="embedding,detection",
            score_windows=6,
        )
    study = Study(Path(done["study_path"]))
    split = Split(study)
    assert len(recorder.asked) > 100
    assert len(recorder.judged) > 100
    tokens = study.tokens
    # A line of a held-out document, as prompts show it, may be boilerplate of another; a run of
    # eight words that no label document has can only come from there.
    words = [" ".join(tokens.document_text(i).split()).split(" ") for i in range(110)]
    allowed = "\n".join(" ".join(words[i]) for i in split.documents(LABEL).tolist())
    asked = "\n".join(
        " ".join(regex.sub(r"<<|>>(?:\(\d+\))?", "", p.text).split()) for p in recorder.asked
    )
    held_out = [*split.documents(VALIDATE).tolist(), *split.documents(TEST).tolist()]
    runs = [
        run
        for i in held_out
        for at in range(len(words[i]) - 8)
        if (run := " ".join(words[i][at : at + 8])) not in allowed
    ]
    assert len(runs) > 2_000
    assert [run for run in runs if run in asked] == []
    of_label = [
        " ".join(words[i][at : at + 8])
        for i in split.documents(LABEL).tolist()[:30]
        for at in range(len(words[i]) - 8)
    ]
    assert any(run in asked for run in of_label)

    with LabelHistory.open() as history:
        compared = 0
        for feature in features:
            state = history.state(study.info.sae_fingerprint, feature)
            scored = [p for p in state.proposals if p.score is not None]
            if not scored:
                continue
            compared += 1
            values = {}
            for event in history.history(study.info.sae_fingerprint, feature):
                if event.kind == "scored":
                    by = [event.details["validate"].get(s) for s in ("detection", "fuzzing")]
                    assert event.details["score"] == next(v for v in by if v is not None)
                    values[event.parent] = event.details["score"]
            real = [p for p in scored if p.source != "llm:scripted"] or scored
            best = max(p.score or 0.0 for p in real)
            assert any(abs(best - value) < 1e-3 for value in values.values())
            assert state.label in {p.text for p in real if p.score == best}
        assert compared >= 5
    for path in sorted((study.folder / "evidence").glob("*.parquet")):
        table = pq.read_table(path).to_pandas()
        owner = tokens.owners[tokens.sequence_of(table["token"].to_numpy())]
        assert [split.part(int(document)) for document in owner] == table["part"].tolist()
