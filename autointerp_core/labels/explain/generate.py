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
from typing import Any

from autointerp_core.errors import ParameterError
from autointerp_core.labels.document_split import Split, shown_examples
from autointerp_core.labels.explain.asked_before import (
    failed_questions,
    known_questions,
    llm_source,
)
from autointerp_core.labels.explain.example_lines import clip
from autointerp_core.labels.explain.held_out import NothingToShow
from autointerp_core.labels.explain.prompts import FIRMER, PromptMethod, get_method
from autointerp_core.labels.explain.report import GenerationReport
from autointerp_core.labels.providers.base import (
    ChatPrompt,
    Completion,
    LabelProvider,
    Settings,
    prompt_hash,
)
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.event_details import FAILED_BY_ANSWER, FAILED_BY_PROVIDER, AnswerDetails
from autointerp_core.store.events import FAILED, GENERATED
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import GROUPS, Example, Study

NO_LABEL = "the model gave no label"
CHUNK = 1024
"""Features whose prompts are held in memory together."""
WEAKER = "quantile_3"
"""Where a method's weaker examples come from."""
CLIPPED = 4
"""Tokens left on each side of the peak where even one example is too long."""
RETRY = Settings(temperature=0.7, seed=1)


@dataclass
class _LabelRequest:
    """One feature on its way to a label. ``hash`` is of the prompt before any shortening."""

    feature: int
    examples: list[Example]
    prompt: ChatPrompt
    hash: str
    extra: str | None = None
    shortened: bool = False
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

    def details(self, documents: str, failure: str | None = None) -> dict[str, Any]:
        """What the event that ends it records."""
        return AnswerDetails(
            prompt_hash=self.hash,
            documents=documents,
            failure=failure,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            seconds=self.seconds,
            cost=self.cost,
            attempts=self.attempts,
            examples=len(self.examples),
            raw=self.raw,
        ).to_json()


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
    split: Split | None = None,
    progress: ProgressCallback = silent,
) -> GenerationReport:
    """Make and record LLM labels; a kill loses none that was finished.

    The model is shown documents of the split's label part alone.

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
        split: what may be shown; None: the study's own.
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
    settings = settings or asked.settings
    split = split or Split(study)
    wanted = sorted({int(feature) for feature in features})
    report = GenerationReport()
    started = time.perf_counter()
    run = _Generation(
        split, provider, history, asked, settings, len(wanted), report, progress, regenerate, hint
    )
    known = set() if regenerate else known_questions(history, split, method, run.source)
    failed_before = set() if regenerate else failed_questions(history, split, method, run.source)
    nothing = NothingToShow(split, history, run.source, method, report)
    questions: list[_LabelRequest] = []
    for feature in wanted:
        examples = shown_examples(split, feature, group, max_examples)
        if not examples:
            nothing.add(feature)
            continue
        if asked.weaker:
            known_places = {(e.sequence_index, e.token_position) for e in examples}
            weaker = shown_examples(split, feature, WEAKER, asked.weaker)
            examples += [
                e for e in weaker if (e.sequence_index, e.token_position) not in known_places
            ]
        prompt = asked.build(study, feature, examples, hint)
        question = _LabelRequest(feature, examples, prompt, prompt_hash(prompt, settings))
        if (feature, question.hash) in known:
            report.reused += 1
        elif (feature, question.hash) in failed_before:
            report.fail(f"{NO_LABEL}, as before")
        else:
            questions.append(question)
        if len(questions) == CHUNK:
            run.ask(questions)
            questions = []
            if report.stopped:
                break
    run.ask(questions)
    nothing.record()
    report.seconds = time.perf_counter() - started
    report.notices = list(dict.fromkeys([*provider.notices, *run.notices()]))
    run.say("")
    return report


class _Generation:
    """What stays the same while a list of features is labelled."""

    def __init__(
        self,
        split: Split,
        provider: LabelProvider,
        history: LabelHistory,
        method: PromptMethod,
        settings: Settings,
        total: int,
        report: GenerationReport,
        progress: ProgressCallback,
        fresh: bool,
        hint: str | None,
    ):
        self.split, self.fresh, self.hint = split, fresh, hint
        self.shortened = 0
        self.sae = split.study.info.sae_fingerprint
        self.source = llm_source(provider)
        self.provider, self.history, self.method = provider, history, method
        self.settings, self.total, self.report, self.progress = settings, total, report, progress
        self.started = time.perf_counter()

    def ask(self, questions: Sequence[_LabelRequest]) -> None:
        """First attempts, then second ones for the answers that held no label."""
        if not questions:
            return
        self.say(f"asking {self.provider.model}" if not self.report.made else "")
        again = list(self._attempt(questions, self.settings))
        if self.provider.stopped is not None:
            self.report.stopped = self.provider.stopped
            return
        firmer = [
            dataclasses.replace(question, prompt=question.prompt.with_last(FIRMER), extra=FIRMER)
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
            self._fail(question, reason, FAILED_BY_ANSWER)
        self.report.stopped = self.provider.stopped

    def _attempt(
        self, questions: Sequence[_LabelRequest], settings: Settings
    ) -> Iterator[_LabelRequest]:
        """Records what can be recorded, yields the questions whose answer held no label."""
        if not questions:
            return
        too_long: list[_LabelRequest] = []
        prompts = [question.prompt for question in questions]
        for answer in self.provider.complete(prompts, settings, fresh=self.fresh):
            question = questions[answer.index]
            question.add(answer)
            self.report.tokens_in += answer.tokens_in
            self.report.tokens_out += answer.tokens_out
            if answer.cost is not None:
                self.report.cost = (self.report.cost or 0.0) + answer.cost
            if answer.too_long and (shorter := self._shorten(question)) is not None:
                too_long.append(shorter)
                continue
            if answer.error is not None:
                self._fail(question, answer.error, FAILED_BY_PROVIDER)
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
                details=question.details(self.split.shown),
                study=self.split.study.id,
            )
            self.report.made += 1
            self.shortened += question.shortened
            self.say("")
        yield from self._attempt(too_long, settings)

    def _shorten(self, question: _LabelRequest) -> _LabelRequest | None:
        """The same question with half of its examples, then with the last one cut short."""
        if len(question.examples) > 1:
            examples = question.examples[: len(question.examples) // 2]
        else:
            examples = [clip(example, CLIPPED) for example in question.examples]
            if examples == question.examples:
                return None
        prompt = self.method.build(self.split.study, question.feature, examples, self.hint)
        if question.extra is not None:
            prompt = prompt.with_last(question.extra)
        return dataclasses.replace(question, examples=examples, prompt=prompt, shortened=True)

    def notices(self) -> list[str]:
        """What the run itself has to tell."""
        if not self.shortened:
            return []
        return [
            f"{self.shortened} prompts were too long for {self.provider.model}: it was shown "
            "fewer or shorter examples"
        ]

    def _fail(self, question: _LabelRequest, reason: str, failure: str) -> None:
        self.history.record(
            self.sae,
            question.feature,
            FAILED,
            source=self.source,
            method=self.method.name,
            reason=reason,
            details=question.details(self.split.shown, failure),
            study=self.split.study.id,
        )
        self.report.fail(NO_LABEL if failure == FAILED_BY_ANSWER else reason)
        self.say("")

    def say(self, message: str) -> None:
        report = self.report
        done = report.made + report.reused + report.failed + report.dead
        elapsed = time.perf_counter() - self.started
        fresh = report.made + report.failed
        rate = fresh / elapsed if fresh and elapsed > 0 else None
        left = (self.total - done) / rate if rate else None
        stage = f"{self.method.name} labels"
        self.progress(Progress(stage, done, self.total, "features", rate, left, message))
