"""Making labels and recording them: each one an event, kept the moment it exists.

A label that was made before for exactly the same question (SAE, feature, method, model,
prompt) is used again, so a rerun calls no model. An answer without a label in it is tried
once more, then recorded as failed with the reason; a question that failed that way is not
asked again either, unless labels are regenerated. Answers that could not be had at all
(an error of the provider) are asked again by the next run.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autointerp_core.errors import ParameterError
from autointerp_core.labels.prompts import FIRMER, PromptMethod, get_method
from autointerp_core.labels.provider import (
    ChatPrompt,
    Completion,
    LabelProvider,
    Settings,
    make_provider,
    prompt_hash,
)
from autointerp_core.labels.search import METHOD as SEARCH_METHOD
from autointerp_core.labels.search import SearchLabeler
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.events import FAILED, GENERATED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import GROUPS, Study

SEARCH = "search"
NO_LABEL = "the model gave no label"
PROVIDER_ERROR = "provider"
"""``details["failure"]`` of an event that a later run tries again."""
CHUNK = 1024
"""Features whose prompts are held in memory together."""
RETRY = Settings(temperature=0.7, seed=1)


@dataclass
class GenerationReport:
    """What a run did. Features that never fire are counted as ``dead`` and not asked about."""

    made: int = 0
    reused: int = 0
    failed: int = 0
    dead: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None
    """US dollars; None where no price is known."""
    stopped: str | None = None
    """Why the run ended before every feature was asked about (a budget); else None."""
    notices: list[str] = field(default_factory=list)


@dataclass
class _Question:
    """One feature on its way to a label."""

    feature: int
    prompt: ChatPrompt
    hash: str
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None
    attempts: int = 0
    raw: list[str] = field(default_factory=list)

    def add(self, answer: Completion) -> None:
        self.attempts += 1
        self.tokens_in += answer.tokens_in
        self.tokens_out += answer.tokens_out
        self.seconds += answer.seconds
        if answer.cost is not None:
            self.cost = (self.cost or 0.0) + answer.cost
        if answer.text is not None:
            self.raw.append(answer.text)

    def details(self) -> dict[str, Any]:
        return {
            "prompt_hash": self.hash,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "seconds": round(self.seconds, 4),
            "cost": self.cost,
            "attempts": self.attempts,
            "raw": self.raw,
        }


def llm_source(provider: LabelProvider) -> str:
    """How events name a provider's model."""
    return f"llm:{provider.model}"


def generate_labels(
    study: Study,
    features: Sequence[int],
    provider: LabelProvider,
    history: LabelHistory,
    *,
    method: str = "peaks",
    max_examples: int = 10,
    group: str = "top",
    regenerate: bool = False,
    hint: str | None = None,
    settings: Settings | None = None,
    progress: ProgressCallback = silent,
) -> GenerationReport:
    """Make and record LLM labels; a kill loses none that was finished.

    Args:
        study: where the examples come from.
        features: what to label; order does not matter, repeats count once.
        provider: who writes; not called where everything is known already.
        history: where labels are looked up and recorded.
        method: name of a prompt method.
        max_examples: examples shown a feature.
        group: which examples (``GROUPS``).
        regenerate: make anew what exists already. Accepted labels stay accepted.
        hint: what the texts are about, say "finance".
        settings: of the first attempt (None: greedy, as many tokens as the method needs); the
            second is warmer and asks more firmly.
        progress: called about once a label.

    Raises:
        BadInput: unknown method or group, a feature that is not in the study, a model that
            cannot be loaded.
        ProviderError: the provider failed for good; labels made so far are recorded.
    """
    asked = get_method(method)
    if max_examples < 1:
        raise ParameterError(f"max_examples is {max_examples}; give at least 1")
    if group not in GROUPS:
        raise ParameterError(f"no example group {group!r}; there are {', '.join(GROUPS)}")
    settings = settings or Settings(max_new_tokens=asked.max_new_tokens)
    wanted = sorted({int(feature) for feature in features})
    report = GenerationReport()
    started = time.perf_counter()
    run = _Run(study, provider, history, asked, settings, len(wanted), report, progress, regenerate)
    known = {} if regenerate else history.generated_index(run.sae, method, run.source)
    failed_before = set() if regenerate else _failed_for_good(history, run, wanted)
    questions: list[_Question] = []
    for feature, examples in study.iter_examples(wanted, group, limit=max_examples):
        if not examples:
            report.dead += 1
            continue
        prompt = asked.build(study, feature, examples, hint)
        question = _Question(feature, prompt, prompt_hash(prompt, settings))
        if (feature, question.hash) in known:
            report.reused += 1
        elif (feature, question.hash) in failed_before:
            report.failed += 1
        else:
            questions.append(question)
        if len(questions) == CHUNK:
            run.ask(questions)
            questions = []
            if report.stopped:
                break
    run.ask(questions)
    report.seconds = time.perf_counter() - started
    report.notices = list(dict.fromkeys(provider.notices))
    run.say("")
    return report


class _Run:
    """What stays the same while a list of features is labelled."""

    def __init__(
        self,
        study: Study,
        provider: LabelProvider,
        history: LabelHistory,
        method: PromptMethod,
        settings: Settings,
        total: int,
        report: GenerationReport,
        progress: ProgressCallback,
        fresh: bool,
    ):
        self.fresh = fresh
        self.sae = study.info.sae_fingerprint
        self.source = llm_source(provider)
        self.provider, self.history, self.method = provider, history, method
        self.settings, self.total, self.report, self.progress = settings, total, report, progress
        self.started = time.perf_counter()

    def ask(self, questions: Sequence[_Question]) -> None:
        """First attempts, then second ones for the answers that held no label."""
        if not questions:
            return
        self.say(f"asking {self.provider.model}" if not self.report.made else "")
        again = list(self._attempt(questions, self.settings))
        if self.provider.stopped is not None:
            self.report.stopped = self.provider.stopped
            return
        firmer = [
            dataclasses.replace(question, prompt=question.prompt.with_last(FIRMER))
            for question in again
        ]
        warmer = dataclasses.replace(
            self.settings,
            temperature=max(RETRY.temperature, self.settings.temperature),
            seed=self.settings.seed + RETRY.seed,
        )
        for question in self._attempt(firmer, warmer):
            said = question.raw[-1].strip() if question.raw else ""
            reason = (
                f"{NO_LABEL} (it answered: {said[:80]!r})"
                if said
                else (f"{NO_LABEL} (empty answer, twice)")
            )
            self._fail(question, reason, "answer")
        self.report.stopped = self.provider.stopped

    def _attempt(self, questions: Sequence[_Question], settings: Settings) -> Iterator[_Question]:
        """Records what can be recorded, yields the questions whose answer held no label."""
        if not questions:
            return
        prompts = [question.prompt for question in questions]
        for answer in self.provider.complete(prompts, settings, fresh=self.fresh):
            question = questions[answer.index]
            question.add(answer)
            self.report.tokens_in += answer.tokens_in
            self.report.tokens_out += answer.tokens_out
            if answer.cost is not None:
                self.report.cost = (self.report.cost or 0.0) + answer.cost
            if answer.error is not None:
                self._fail(question, answer.error, PROVIDER_ERROR)
                continue
            label = self.method.parse(answer.text, question.prompt)
            if label is None:
                yield question
                continue
            self.history.record(
                self.sae,
                question.feature,
                GENERATED,
                label,
                source=self.source,
                method=self.method.name,
                details=question.details(),
            )
            self.report.made += 1
            self.say("")

    def _fail(self, question: _Question, reason: str, failure: str) -> None:
        self.history.record(
            self.sae,
            question.feature,
            FAILED,
            source=self.source,
            method=self.method.name,
            reason=reason,
            details={**question.details(), "failure": failure},
        )
        self.report.failed += 1
        self.say("")

    def say(self, message: str) -> None:
        report = self.report
        done = report.made + report.reused + report.failed + report.dead
        elapsed = time.perf_counter() - self.started
        fresh = report.made + report.failed
        rate = fresh / elapsed if fresh and elapsed > 0 else None
        left = (self.total - done) / rate if rate else None
        self.progress(Progress("labels", done, self.total, "features", rate, left, message))


def _failed_for_good(
    history: LabelHistory, run: _Run, features: Sequence[int]
) -> set[tuple[int, str]]:
    """Questions whose answer held no label, twice: asking again would answer the same."""
    states = history.states(run.sae, features)
    suspects = [f for f, state in states.items() if state.llm_error is not None]
    return {
        (event.feature, str(event.details.get("prompt_hash")))
        for feature in suspects
        for event in history.history(run.sae, feature)
        if event.kind == FAILED
        and event.source == run.source
        and event.method == run.method.name
        and event.details.get("failure") != PROVIDER_ERROR
    }


def record_search_labels(
    study: Study,
    features: Sequence[int],
    history: LabelHistory,
    *,
    regenerate: bool = False,
    progress: ProgressCallback = silent,
) -> GenerationReport:
    """Make search labels and record those whose text is new.

    A search label costs nothing to make, so it is always made; one that says what the
    feature's last search label said already adds no event. ``regenerate`` changes nothing
    here: the same study gives the same label.

    Raises:
        BadInput: a feature is not in the study.
    """
    wanted = sorted({int(feature) for feature in features})
    sae = study.info.sae_fingerprint
    report = GenerationReport()
    started = time.perf_counter()
    states = history.states(sae, wanted) if wanted else {}
    batch: list[NewEvent] = []
    if wanted:
        for found in SearchLabeler(study).label_all(wanted, progress):
            state = states[found.feature]
            if found.text is None:
                report.dead += 1
            elif state.label_search == found.text and state.search_error is None:
                report.reused += 1
            else:
                batch.append(
                    NewEvent(
                        sae,
                        found.feature,
                        GENERATED,
                        found.text,
                        source=SEARCH,
                        method=SEARCH_METHOD,
                        details={"study": study.id, **found.evidence},
                    )
                )
                report.made += 1
            if len(batch) == 1024:
                history.record_many(batch)
                batch = []
    history.record_many(batch)
    report.seconds = time.perf_counter() - started
    return report


def run_generate_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """The app's background job: labels for some features of one study.

    Args:
        params: ``study`` (folder), ``features``, and optionally ``provider`` ("local"),
            ``model_path`` (default: the study's own model), ``method``, ``max_examples``,
            ``group``, ``hint``, ``regenerate`` (true unless given), ``device``, ``dtype``.
            Provider ``search`` makes search labels.
        progress: as everywhere.

    Returns:
        The report's fields, and ``features``.
    """
    study = Study(Path(params["study"]))
    features = [int(feature) for feature in params["features"]]
    name = str(params.get("provider") or "local")
    with LabelHistory.open() as history:
        if name == SEARCH:
            report = record_search_labels(study, features, history, progress=progress)
        else:
            provider = make_provider(
                name,
                model_path=str(params.get("model_path") or _own_model(study)),
                device=params.get("device"),
                dtype=str(params.get("dtype") or "auto"),
            )
            report = generate_labels(
                study,
                features,
                provider,
                history,
                method=str(params.get("method") or "peaks"),
                max_examples=int(params.get("max_examples") or 10),
                group=str(params.get("group") or "top"),
                regenerate=bool(params.get("regenerate", True)),
                hint=params.get("hint"),
                progress=progress,
            )
    return {**dataclasses.asdict(report), "features": features}


def _own_model(study: Study) -> str:
    """What to load to get the model the study was made with."""
    model = study.info.raw["model"]
    return str(model.get("path") or model["name"])
