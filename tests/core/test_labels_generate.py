"""Labels are recorded as they come, made once, and never made up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import regex

from autointerp_core.errors import BadInput, ParameterError, ProviderError
from autointerp_core.jobs.work import run_generate_job
from autointerp_core.labels.document_split import HELD_OUT, LABEL, Split
from autointerp_core.labels.explain import generate
from autointerp_core.labels.explain.example_lines import (
    mark_peak,
    mark_strengths,
    strength,
    whole_word,
)
from autointerp_core.labels.explain.generate import generate_labels
from autointerp_core.labels.explain.prompts import (
    FIRMER,
    METHODS,
    get_method,
)
from autointerp_core.labels.explain.report import GenerationReport
from autointerp_core.labels.providers.base import (
    GREEDY,
    ChatPrompt,
    Completion,
    Message,
    Settings,
    prompt_hash,
)
from autointerp_core.labels.providers.make import ProviderOptions, make_provider
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.search.labeler import METHOD as SEARCH_METHOD
from autointerp_core.labels.search.record import record_search_labels
from autointerp_core.progress import Progress
from autointerp_core.store.events import FAILED, GENERATED
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Example, Study
from tests.core.label_fixtures import on_words, write_study

DOCUMENTS = [
    f"The net loss of quarter {i} was larger. On Monday the market fell again." for i in range(30)
]
FEATURES = {
    1: on_words("loss"),
    4: on_words("Monday"),
    6: on_words("unheard"),
    9: on_words("market", "quarter"),
}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path / "study", DOCUMENTS, FEATURES)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


def test_labels_are_recorded_with_what_they_cost(study: Study, history: LabelHistory) -> None:
    provider = ScriptedProvider(lambda prompt: "Label: net losses.")
    report = generate_labels(study, [1, 4, 6, 9], provider, history)
    assert (report.made, report.reused, report.failed, report.dead) == (3, 0, 0, 1)
    assert report.tokens_in > 0
    event = history.history(study.info.sae_fingerprint, 1)[0]
    assert (event.kind, event.text, event.source) == (GENERATED, "net losses", "llm:scripted")
    assert event.method == "peaks"
    assert event.details["raw"] == ["Label: net losses."]
    prompt, settings = provider.seen[0]
    assert event.details["prompt_hash"] == prompt_hash(prompt, settings)
    assert {"tokens_in", "tokens_out", "seconds", "cost", "attempts"} <= set(event.details)


def test_a_rerun_asks_nothing(study: Study, history: LabelHistory) -> None:
    generate_labels(study, [1, 4], ScriptedProvider(lambda _: "first"), history)
    idle = ScriptedProvider(lambda _: "second")
    report = generate_labels(study, [4, 1, 1], idle, history)
    assert (report.made, report.reused, idle.seen) == (0, 2, [])
    again = generate_labels(study, [1], idle, history, regenerate=True)
    assert (again.made, len(idle.seen)) == (1, 1)
    assert history.state(study.info.sae_fingerprint, 1).label == "second"


def test_other_questions_are_asked_anew(study: Study, history: LabelHistory) -> None:
    generate_labels(study, [1], ScriptedProvider(lambda _: "first"), history)
    other = ScriptedProvider(lambda _: "other")
    assert generate_labels(study, [1], other, history, hint="finance").made == 1
    assert generate_labels(study, [1], other, history, max_examples=3).made == 1
    assert generate_labels(study, [1], other, history, group="quantile_2").made == 1
    assert generate_labels(study, [1], other, history, group="quantile_2").reused == 1


def test_an_accepted_label_survives_regeneration(study: Study, history: LabelHistory) -> None:
    sae = study.info.sae_fingerprint
    generate_labels(study, [1], ScriptedProvider(lambda _: "machine"), history)
    history.override(sae, 1, "human", author="me")
    generate_labels(study, [1], ScriptedProvider(lambda _: "new"), history, regenerate=True)
    state = history.state(sae, 1)
    assert (state.label, state.label_llm, state.status) == ("human", "new", "overridden")


@pytest.mark.parametrize("bad", ["", None, "I'm sorry, I cannot do that", "N/A", "<think>hm"])
def test_an_answer_without_a_label_is_tried_once_more(
    study: Study, history: LabelHistory, bad: str | None
) -> None:
    provider = ScriptedProvider([bad, "net losses"])
    report = generate_labels(study, [1], provider, history)
    assert (report.made, report.failed) == (1, 0)
    (first, settings), (second, warmer) = provider.seen
    assert second == first.with_last(FIRMER)
    assert warmer.temperature > settings.temperature == 0.0
    event = history.history(study.info.sae_fingerprint, 1)[0]
    assert event.details["attempts"] == 2
    assert event.details["prompt_hash"] == prompt_hash(first, settings)
    idle = ScriptedProvider([])
    assert generate_labels(study, [1], idle, history).reused == 1


def test_twice_without_a_label_is_an_error_and_never_a_phrase(
    study: Study, history: LabelHistory
) -> None:
    provider = ScriptedProvider(lambda _: "I cannot help with that")
    report = generate_labels(study, [1], provider, history)
    assert (report.made, report.failed, len(provider.seen)) == (0, 1, 2)
    assert report.reasons == {"the model gave no label": 1}
    (event,) = history.history(study.info.sae_fingerprint, 1)
    assert (event.kind, event.text) == (FAILED, None)
    assert "I cannot help with that" in (event.reason or "")
    state = history.state(study.info.sae_fingerprint, 1)
    assert (state.label, state.label_llm) == (None, None)
    idle = ScriptedProvider(lambda _: "anything")
    again = generate_labels(study, [1], idle, history)
    assert (again.failed, idle.seen) == (1, [])
    assert generate_labels(study, [1], idle, history, regenerate=True).made == 1


def test_a_providers_error_is_tried_again_by_the_next_run(
    study: Study, history: LabelHistory
) -> None:
    broken = ScriptedProvider([TimeoutError("no answer in 30 s"), "fine label"])
    report = generate_labels(study, [1, 4], broken, history)
    assert (report.made, report.failed) == (1, 1)
    assert history.state(study.info.sae_fingerprint, 1).llm_error == "no answer in 30 s"
    mended = ScriptedProvider(lambda _: "net losses")
    assert generate_labels(study, [1, 4], mended, history).made == 1


def test_what_was_finished_before_a_kill_is_kept(
    study: Study, history: LabelHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(ScriptedProvider):
        def complete(
            self, prompts: Sequence[ChatPrompt], settings: Settings = GREEDY, *, fresh: bool = False
        ) -> Iterator[Completion]:
            yield Completion(1, "second one first")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_labels(study, [1, 4], Dying(), history)
    assert history.state(study.info.sae_fingerprint, 4).label == "second one first"
    provider = ScriptedProvider(lambda _: "the other")
    report = generate_labels(study, [1, 4], provider, history)
    assert (report.made, report.reused, len(provider.seen)) == (1, 1, 1)


def test_chunks_change_nothing(
    study: Study, history: LabelHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "CHUNK", 1)
    reports: list[Progress] = []
    provider = ScriptedProvider()
    made = generate_labels(study, [1, 4, 9], provider, history, progress=reports.append).made
    assert made == 3
    assert reports[-1].done == reports[-1].total == 3


def test_bad_input_is_named(study: Study, history: LabelHistory) -> None:
    provider = ScriptedProvider()
    with pytest.raises(ParameterError, match="peaks"):
        generate_labels(study, [1], provider, history, method="nonsense")
    with pytest.raises(ParameterError, match="quantile_4"):
        generate_labels(study, [1], provider, history, group="nonsense")
    with pytest.raises(ParameterError, match="at least 1"):
        generate_labels(study, [1], provider, history, max_examples=0)
    with pytest.raises(BadInput, match="feature 50"):
        generate_labels(study, [50], provider, history)
    with pytest.raises(ParameterError, match="local"):
        make_provider("nonsense", ProviderOptions("demo"))
    with pytest.raises(ProviderError, match="cannot rank"):
        provider.rank(ChatPrompt((Message("user", "?"),)), ["a", "b"])
    assert provider.seen == []


def test_search_labels_are_recorded_once(study: Study, history: LabelHistory) -> None:
    report = record_search_labels(study, [1, 4, 6, 9], history)
    assert (report.made, report.dead) == (3, 1)
    sae = study.info.sae_fingerprint
    before = history.last_event_id(sae)
    again = record_search_labels(study, [1, 4, 6, 9], history)
    assert (again.made, again.reused) == (0, 3)
    assert history.last_event_id(sae) == before
    event = history.history(sae, 4)[0]
    assert (event.source, event.method) == ("search", SEARCH_METHOD)
    assert "Monday" in (event.text or "")


def test_only_the_label_part_is_shown(tmp_path: Path, history: LabelHistory) -> None:
    documents = [f"Only here{i} stands the net loss. On Monday too{i}." for i in range(60)]
    study = write_study(tmp_path / "s", documents, FEATURES)
    split = Split(study)
    hidden = [i for i in range(60) if split.part(i) != LABEL]
    assert 15 < len(hidden) < 45
    provider = ScriptedProvider(lambda _: "net losses")
    for name in METHODS:
        generate_labels(study, [1, 4], provider, history, method=name, max_examples=60)
    asked = "\n".join(prompt.text for prompt, _ in provider.seen)
    assert [i for i in hidden if regex.search(rf"(?:here|too){i}\b", asked)] == []
    assert sum(bool(regex.search(rf"(?:here|too){i}\b", asked)) for i in range(60)) > 15
    event = history.history(study.info.sae_fingerprint, 1)[0]
    assert event.details["documents"] == "label"


def test_a_feature_of_held_out_documents_alone_has_no_label(
    tmp_path: Path, history: LabelHistory
) -> None:
    documents = [f"The net loss of quarter {i} was larger." for i in range(60)]
    hidden = Split(write_study(tmp_path / "a", documents, FEATURES)).documents("test")[0]
    study = write_study(tmp_path / "b", documents, {3: on_words(str(hidden))})
    sae = study.info.sae_fingerprint
    idle = ScriptedProvider(lambda _: "anything")
    for _ in range(2):
        assert record_search_labels(study, [3], history).failed == 1
        assert generate_labels(study, [3], idle, history).failed == 1
    state = history.state(sae, 3)
    assert (state.llm_error, state.search_error, idle.seen) == (HELD_OUT, HELD_OUT, [])
    assert state.num_events == 2
    everything = Split(study, hold_out=False)
    assert generate_labels(study, [3], idle, history, split=everything).made == 1
    assert history.history(sae, 3)[-1].details["documents"] == "all"


def test_a_label_made_from_all_documents_is_not_used_again_for_one_that_may_not(
    tmp_path: Path, history: LabelHistory
) -> None:
    # Every document says the same of the word, so the prompt "words" is the same either way.
    documents = [f"A loss and number {i}." for i in range(40)]
    study = write_study(tmp_path / "s", documents, {1: on_words("loss")})
    whole = Split(study, hold_out=False)
    provider = ScriptedProvider(lambda _: "losses")
    made = [
        generate_labels(study, [1], provider, history, method="words", split=split, max_examples=5)
        for split in (whole, None, None, whole)
    ]
    assert [(r.made, r.reused) for r in made] == [(1, 0), (1, 0), (0, 1), (0, 1)]
    found = history.history(study.info.sae_fingerprint, 1)
    assert [event.details["documents"] for event in found] == ["all", "label"]


def test_strengths_shows_weaker_examples_too(tmp_path: Path, history: LabelHistory) -> None:
    def fire(pieces: list[str]) -> list[float]:
        number = next((int(p) for p in pieces if p.strip().isdigit()), 0)
        return [float(number + 1) if p == " loss" else 0.0 for p in pieces]

    documents = [f"In year {i} a loss was made by number{i}." for i in range(80)]
    study = write_study(tmp_path / "s", documents, {1: fire})
    provider = ScriptedProvider(lambda _: "net losses")
    generate_labels(study, [1], provider, history, method="strengths", max_examples=4)
    asked = provider.seen[0][0].messages[-1].content
    shown = [int(n) for n in regex.findall(r"In year (\d+)", asked)]
    assert len(shown) == 7
    assert min(shown[:4]) > max(shown[4:])
    assert {Split(study).part(i) for i in shown} == {LABEL}


def test_a_small_study_is_shown_whole(tmp_path: Path, history: LabelHistory) -> None:
    study = write_study(tmp_path / "s", DOCUMENTS[:5], FEATURES)
    assert not Split(study).holds_out
    generate_labels(study, [1], ScriptedProvider(lambda _: "net losses"), history)
    assert history.history(study.info.sae_fingerprint, 1)[0].details["documents"] == "all"


def test_too_long_a_prompt_is_asked_with_fewer_examples(
    study: Study, history: LabelHistory
) -> None:
    class Short(ScriptedProvider):
        room = 9

        def complete(
            self, prompts: Sequence[ChatPrompt], settings: Settings = GREEDY, *, fresh: bool = False
        ) -> Iterator[Completion]:
            for i, prompt in enumerate(prompts):
                words = len(prompt.messages[-1].content.split())
                full = words > self.room
                self.seen.append((prompt, settings))
                yield Completion(
                    i, None if full else "net loss", "full" if full else None, too_long=full
                )

    provider = Short()
    provider.room = 60
    report = generate_labels(study, [1], provider, history, max_examples=8)
    assert (report.made, report.failed) == (1, 0)
    assert "fewer or shorter examples" in report.notices[0]
    event = history.history(study.info.sae_fingerprint, 1)[0]
    assert 1 <= event.details["examples"] < 8
    assert event.details["prompt_hash"] == prompt_hash(*provider.seen[0])
    assert generate_labels(study, [1], provider, history, max_examples=8).reused == 1
    provider.room = 1
    assert generate_labels(study, [4], provider, history).failed == 1
    assert history.state(study.info.sae_fingerprint, 4).llm_error == "full"


def test_the_job_does_the_same(study: Study, own_home: Path) -> None:
    params = {"study": str(study.folder), "features": [1, 4], "provider": "scripted"}
    result = run_generate_job(params, lambda _: None)
    assert (result["made"], result["features"]) == (2, [1, 4])
    assert run_generate_job({**params, "regenerate": False}, lambda _: None)["reused"] == 2
    assert run_generate_job({**params, "provider": "search"}, lambda _: None)["reused"] == 2
    with LabelHistory.open() as history:
        state = history.state(study.info.sae_fingerprint, 1)
        assert state.label_llm is not None
        assert state.label_llm.startswith("scripted")


def example(tokens: Sequence[str], peak: int) -> Example:
    values = tuple(3.0 if i == peak else 0.0 for i in range(len(tokens)))
    ids = tuple(range(len(tokens)))
    return Example(1, "top", 3.0, 0, peak, 0, 0, ids, tuple(tokens), values, peak)


def test_the_peak_is_marked_and_nothing_else() -> None:
    assert mark_peak(example(["the", " net", " loss", " of"], 2)) == "the net <<loss>> of"
    assert mark_peak(example(["poll", "ination", "\n", "x"], 1)) == "poll<<ination>> x"
    assert mark_peak(example(["a", "\n\n", "b"], 1)) == "a<<line break>>b"
    assert mark_peak(example(["x <<", "no", ">> y", " z"], 1)) == "x < <<<no>>> > y z"
    assert mark_peak(example(["only"], 0)) == "<<only>>"
    assert [strength(a, 4.0) for a in (0.0, 0.01, 2.0, 4.0)] == [0, 1, 5, 10]
    assert strength(1.0, 0.0) == 0


def test_the_prompt_shows_strengths_marks_and_hint(study: Study) -> None:
    method = get_method("peaks")
    prompt = method.build(study, 1, study.examples(1, limit=4), "finance")
    asked = prompt.messages[-1].content
    assert asked.count("<<loss>>") == 4
    assert "10: " in asked
    assert "finance" in prompt.messages[0].content
    assert prompt == method.build(study, 1, study.examples(1, limit=4), "finance")
    assert list(METHODS) == sorted(METHODS) or "peaks" in METHODS


def test_the_hash_covers_everything_sent() -> None:
    prompt = ChatPrompt((Message("system", "a"), Message("user", "b")))
    same = prompt_hash(prompt, GREEDY)
    assert same == prompt_hash(ChatPrompt((Message("system", "a"), Message("user", "b"))), GREEDY)
    others = [
        (ChatPrompt((Message("system", "ab"), Message("user", ""))), GREEDY),
        (ChatPrompt((Message("user", "a"), Message("user", "b"))), GREEDY),
        (prompt, Settings(temperature=0.5)),
        (prompt, Settings(seed=3)),
        (prompt, Settings(max_new_tokens=5)),
        (ChatPrompt((Message("user", "\ud800"),)), GREEDY),
    ]
    assert len({same, *(prompt_hash(*other) for other in others)}) == len(others) + 1


def test_a_copied_text_is_no_label(study: Study) -> None:
    method = get_method("peaks")
    prompt = method.build(study, 1, study.examples(1, limit=4), None)
    assert method.parse("The net loss of quarter 2 was larger", prompt) is None
    assert method.parse("10: The net loss of quarter 2", prompt) is None
    assert method.parse("10: The meeting was moved to Tuesday because", prompt) is None
    assert method.parse("Words it makes likely next: loss", prompt) is None
    assert method.parse("net loss", prompt) == "net loss"
    assert method.parse("Label: losses of a quarter", prompt) == "losses of a quarter"


def test_a_demonstrations_answer_counts_only_where_it_fits(study: Study) -> None:
    method = get_method("peaks")
    loss = method.build(study, 1, study.examples(1, limit=4), None)
    monday = method.build(study, 4, study.examples(4, limit=4), None)
    assert method.parse("days of the week", loss) is None
    assert method.parse("Days of the week.", monday) == "Days of the week"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_asks_and_reads(study: Study, history: LabelHistory, name: str) -> None:
    answer = "It fires on losses of companies.\nLabel: net losses"
    provider = ScriptedProvider(lambda _: answer if name == "explain" else "net losses")
    report = generate_labels(study, [1], provider, history, method=name, hint="finance")
    assert report.made == 1
    event = history.history(study.info.sae_fingerprint, 1)[0]
    assert (event.text, event.method) == ("net losses", name)
    prompt, settings = provider.seen[0]
    assert "loss" in prompt.messages[-1].content
    assert settings.max_new_tokens == METHODS[name].max_new_tokens


def test_contrast_shows_silent_windows_of_the_same_documents(tmp_path: Path) -> None:
    documents = [
        "The loss was large. " + "Many frogs sang at night by the old pond. " * 12 for _ in range(9)
    ]
    study = write_study(tmp_path / "c", documents, {1: on_words("loss")})
    asked = get_method("contrast").build(study, 1, study.examples(1, limit=4), None)
    silent = [line for line in asked.messages[-1].content.splitlines() if line.startswith("0: ")]
    assert silent
    assert all("loss" not in line for line in silent)


def test_an_explanation_without_a_label_is_asked_again(study: Study, history: LabelHistory) -> None:
    provider = ScriptedProvider(["They all speak of money lost.", "net losses"])
    assert generate_labels(study, [1], provider, history, method="explain").made == 1
    assert len(provider.seen) == 2


def test_strengths_mark_every_strong_token() -> None:
    shown = Example(1, "top", 4.0, 0, 2, 0, 0, (1, 2, 3), ("a", " net", " loss"), (0, 2.0, 4.0), 2)
    assert mark_strengths(shown, 4.0) == "a <<net>>(5) <<loss>>(10)"
    assert whole_word(example([" poll", "ination", " of"], 1)) == "pollination"
    assert whole_word(example([" poll", "ination", " of"], 0)) == "pollination"
    assert whole_word(example(["the", ",", " of"], 1)) == ","


def test_reasons_that_differ_in_amounts_alone_are_one() -> None:
    report = GenerationReport()
    for used in ("5900", "5,912", "12.5"):
        report.fail(f"no answer after 6 attempts (status 429: Limit 6000, used {used})")
    report.fail("no answer after 6 attempts (status 503: Limit 6000, used 1)")
    assert report.reasons == {
        "no answer after 6 attempts (status 429: Limit 6000, used 5900)": 3,
        "no answer after 6 attempts (status 503: Limit 6000, used 1)": 1,
    }
