"""Measures, controls and judges: on planted features, whose meaning is known, and on the demo.

    make bench-judges                       (or: python -m benchmarks.judges --no-llm --no-demo)

*Planted*: intruder detection by a judge that knows the planted rules; generation with a writer that
knows them, read by the planted SAE; the same, and the labels' scores, for the shuffled and random
controls of the planted SAE, which should be at the floor within their intervals; how often the
demo's own language model errs at the scorers' questions (kept in ``judges.json``, so that later
scores are corrected for it), how far it agrees with the judge by rule, and what that costs.

*Demo*: the distance of a sample of features from the two controls, whatever it is.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from autointerp_core.controls import do_controls
from autointerp_core.home import home, studies_dir
from autointerp_core.labels.config import ScoreConfig
from autointerp_core.labels.document_split import TEST, Split
from autointerp_core.labels.embedders import KnownTexts, default_embedder
from autointerp_core.labels.providers.base import ChatPrompt, LabelProvider
from autointerp_core.labels.providers.local import LocalProvider
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.scoring.agreement import agreement
from autointerp_core.labels.scoring.calibration import (
    Calibrations,
    keep_calibration,
    read_calibrations,
)
from autointerp_core.labels.scoring.judge import FitQuestion, Judge, Judgement
from autointerp_core.labels.scoring.llm_judge import LLMJudge
from autointerp_core.labels.scoring.measures.generation import GENERATION, RESPONSIVENESS
from autointerp_core.labels.scoring.measuring import score_and_measure
from autointerp_core.labels.scoring.proportions import Count, JudgeSkill
from autointerp_core.labels.scoring.report import summarise
from autointerp_core.labels.scoring.sample_windows import WindowSampler
from autointerp_core.labels.scoring.scorers import SCORERS, ScorerRun, Tools, answer_runs, judged
from autointerp_core.sources.control_sae import CONTROLS
from autointerp_core.store.history import LabelHistory
from autointerp_core.study_model import model_of
from benchmarks.labels import demo_study
from benchmarks.planted.build import Planted, build_planted
from benchmarks.planted.concepts import Concept
from benchmarks.planted.control_rows import planted_controls
from benchmarks.planted.judge import PlantedJudge
from benchmarks.planted.measured import floor_row, mean_row, measured_intruders, put_labels
from benchmarks.report import Row, publish

_FILLER = (
    "the old garden behind our house was full of weeds that nobody had cut for some weeks so we "
    "took a bucket and went out there again before dinner to clear what was left near the gate"
)
_LABEL = re.compile(r"^Label: (.*)$", re.MULTILINE)
_BATCH = re.compile(r"Batch (\d+)")


class ConceptWriter:
    """Writes texts with members of the concept that a label names, or without any."""

    def __init__(self, concepts: Sequence[Concept]):
        self._of = {concept.name: concept for concept in concepts}

    def __call__(self, prompt: ChatPrompt) -> str:
        asked = prompt.messages[-1].content
        concept = self._of[_LABEL.findall(asked)[0]]
        batch = int(_BATCH.findall(asked)[0])
        generator = np.random.default_rng([batch, len(concept.name)])
        bare = [word for word in _FILLER.split() if not concept.fires(f"a {word} a")]
        lines = []
        for number in range(5):
            words = generator.choice(bare, 14).tolist()
            if "clearly contain" in asked:
                place = (5 * (batch - 1) + number) % len(concept.members)
                words[6] = concept.members[place]
            lines.append(" ".join(words) + ".")
        return "\n".join(lines)


def planted_part(folder: Path, provider: LabelProvider | None, asked: int) -> Iterator[Row]:
    """Everything measured on planted features."""
    planted = build_planted(folder)
    for name, study in (("lexical", planted.lexical), ("pattern", planted.pattern)):
        begun = time.perf_counter()
        found = measured_intruders(study, folder / f"{name}.db")
        seconds = time.perf_counter() - begun
        yield mean_row(f"intruder_planted_{name}", found, 0.95)
        yield Row(f"intruder_{name}_features_per_minute", 60 * len(study.features) / seconds)
    yield from generation_rows(planted, folder)
    yield from planted_controls(planted, folder)
    yield from corrected_rows(planted)
    if provider is not None:
        yield from judge_rows(planted, provider, asked)


def generation_rows(planted: Planted, folder: Path) -> Iterator[Row]:
    """Responsiveness of the right label, and of the next concept's, by the planted SAE itself."""
    study = planted.lexical
    features = study.features.tolist()
    concepts = [planted.concepts[feature] for feature in features]
    provider = ScriptedProvider(ConceptWriter(concepts))
    opened = model_of(study)()
    for name, shift in (("right", 0), ("wrong", 1)):
        labels = {f: concepts[(i + shift) % len(features)].name for i, f in enumerate(features)}
        begun = time.perf_counter()
        with LabelHistory.open(folder / f"generation-{name}.db") as history:
            put_labels(history, study, labels)
            report = score_and_measure(
                study,
                features,
                history,
                ScoreConfig(scorers=(GENERATION,)),
                judge=provider,
                open_model=lambda: opened,
            )
        seconds = time.perf_counter() - begun
        for result, summary in report.scorers.items():
            right = name == "right" and result == RESPONSIVENESS
            yield mean_row(f"{result}_{name}_label", summary, 0.95 if right else None)
        if name == "wrong":
            yield floor_row("responsiveness_wrong_label_low", report.scorers[RESPONSIVENESS])
        else:
            yield Row("generation_labels_per_minute", 60 * len(features) / seconds, note="scripted")


class SlippingJudge(Judge):
    """The judge by rule, wrong in a fixed share of its yeses and noes."""

    name = "slipping rule"

    def __init__(self, sensitivity: float, specificity: float):
        self._right = (specificity, sensitivity)
        self._dice = np.random.default_rng(0)

    def judge(
        self, questions: Sequence[FitQuestion], *, fresh: bool = False
    ) -> Iterator[Judgement]:
        for found in PlantedJudge().judge(questions):
            true = bool(found.probability)
            right = self._dice.random() < self._right[true]
            yield Judgement(found.index, float(true == right))


def corrected_rows(planted: Planted) -> Iterator[Row]:
    """A judge that errs at known rates: calibrated on half of the features, corrected on the rest.

    What the judge by rule says of the second half should lie in the corrected interval.
    """
    judge, known = SlippingJudge(0.85, 0.75), KnownTexts(default_embedder())
    halves: list[list[tuple[ScorerRun, ScorerRun]]] = [[], []]
    for place, feature in enumerate(planted.pattern.features.tolist()):
        study = planted.pattern
        drawn = WindowSampler(study, Split(study)).sample(feature, TEST)
        if drawn.problem is None:
            label = planted.concepts[feature].name
            pair = (
                ScorerRun.of("detection", label, drawn, 0),
                ScorerRun.of("detection", label, drawn, 0),
            )
            halves[place % 2].append(pair)
    for half in halves:
        answer_runs([said for said, _ in half], Tools(known, judge))
        answer_runs([true for _, true in half], Tools(known, PlantedJudge()))
    skill = _skill(halves[0])
    results = [said.score(judge.name) for said, _ in halves[1]]
    truth = summarise([true.score("rule") for _, true in halves[1]])
    raw = summarise(results)
    calibrations = Calibrations({(judge.name, "detection"): skill})
    corrected = calibrations.corrected_together(results)
    if truth is not None and raw is not None and corrected is not None:
        yield mean_row("slipping_judge_raw", raw)
        yield Row("slipping_judge_corrected", corrected.value, note="85 % and 75 % right")
        yield mean_row("slipping_judge_truth", truth)
        yield Row("slipping_judge_corrected_low", corrected.low, truth.mean, "<=")
        yield Row("slipping_judge_corrected_high", corrected.high, truth.mean, ">=")


def _skill(pairs: Sequence[tuple[ScorerRun, ScorerRun]]) -> JudgeSkill:
    """How often what was said is what is true, yes and no apart; missing answers left out."""
    said = np.concatenate([one.said for one, _ in pairs])
    true = np.concatenate([one.said for _, one in pairs]) > 0.5
    had = ~np.isnan(said)
    yes, no = said[had & true] > 0.5, said[had & ~true] <= 0.5
    return JudgeSkill(Count(int(yes.sum()), len(yes)), Count(int(no.sum()), len(no)))


def judge_rows(planted: Planted, provider: LabelProvider, asked: int) -> Iterator[Row]:
    """How often a model errs where the answer is known; raw and corrected; agreement and cost."""
    runs: list[ScorerRun] = []
    features = [f for s in (planted.lexical, planted.pattern) for f in s.features.tolist()]
    chosen = features[:: max(1, len(features) // asked)]
    for feature in chosen:
        study = planted.study_of(feature)
        drawn = WindowSampler(study, Split(study), per_class=10).sample(feature, TEST)
        if drawn.problem is None:
            label = planted.concepts[feature].name
            runs += [ScorerRun.of(name, label, drawn, 0) for name in judged(SCORERS)]
    known = KnownTexts(default_embedder())
    truth = [ScorerRun(r.feature, r.part, r.scorer, r.label, r.windows, r.marked) for r in runs]
    answer_runs(truth, Tools(known, PlantedJudge()))
    begun = time.perf_counter()
    judge = LLMJudge(provider)
    answer_runs(runs, Tools(known, judge))
    seconds = time.perf_counter() - begun
    skills = {}
    for scorer in judged(SCORERS):
        pairs = [
            (run.feature, bool(right > 0.5), bool(said > 0.5))
            for run, known_run in zip(runs, truth, strict=True)
            if run.scorer == scorer
            for said, right in zip(run.said, known_run.said, strict=True)
            if not np.isnan(said)
        ]
        asked_both = [
            (run, true) for run, true in zip(runs, truth, strict=True) if run.scorer == scorer
        ]
        skill = skills[scorer] = _skill(asked_both)
        yield Row(f"judge_{scorer}_sensitivity", skill.yes.share, note=f"{skill.yes.n} questions")
        yield Row(f"judge_{scorer}_specificity", skill.no.share, note=f"{skill.no.n} questions")
        found = agreement([s for *_, s in pairs], [r for _, r, _ in pairs], [f for f, *_ in pairs])
        if found is not None:
            note = f"{found.kappa.low:.3f} to {found.kappa.high:.3f}, with the rule judge"
            yield Row(f"judge_{scorer}_kappa", found.kappa.value, note=note)
            note = f"{found.alpha.low:.3f} to {found.alpha.high:.3f}, with the rule judge"
            yield Row(f"judge_{scorer}_alpha", found.alpha.value, note=note)
    keep_calibration(judge.name, skills)
    calibrations = read_calibrations()
    for scorer in judged(SCORERS):
        results = [run.score(judge.name) for run in runs if run.scorer == scorer]
        summary = summarise(results)
        corrected = calibrations.corrected_together(results)
        if summary is not None:
            yield mean_row(f"judge_{scorer}_raw", summary)
        if corrected is not None:
            note = f"{corrected.low:.3f} to {corrected.high:.3f}, own names of planted concepts"
            yield Row(f"judge_{scorer}_corrected", corrected.value, note=note)
    count = sum(len(run.windows) for run in runs)
    yield Row("judgements_per_minute", 60 * count / seconds, note=f"{count} judgements")
    yield Row("scored_labels_per_minute", 60 * len(runs) / seconds, note="a scorer a label")


def demo_part(sample: int) -> Iterator[Row]:
    """How far the demo SAE's labels are above those of its controls."""
    study = demo_study()
    live = study.table.loc[study.table["num_examples"] > 0, "feature"].tolist()
    features = [int(f) for f in live[:: max(1, len(live) // sample)]]
    config = ScoreConfig(scorers=("embedding", "output"), control=",".join(CONTROLS))
    with LabelHistory.open() as history:
        begun = time.perf_counter()
        report = score_and_measure(study, features, history, config)
        yield Row("demo_scores_per_minute", 60 * 2 * len(features) / (time.perf_counter() - begun))
        found = do_controls(study, features, history, config)
    for name, summary in report.scorers.items():
        yield mean_row(f"demo_{name}", summary)
    for each in found:
        for part in ("carried", "anew", "measured"):
            for name, raw in each[part].items():
                label = f"demo_{each['kind']}_{part}_{name}"
                note = f"{raw['low']:.3f} to {raw['high']:.3f}, {raw['features']} features"
                yield Row(label, raw["mean"], note=note)
                if name in report.scorers:
                    yield Row(f"{label}_distance", report.scorers[name].mean - raw["mean"])


def main() -> int:
    """Measure, print and write ``benchmarks/out/judges.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-llm", action="store_true", help="leave the language model out")
    parser.add_argument("--no-demo", action="store_true", help="leave the demo out")
    parser.add_argument("--asked", type=int, default=16, help="planted features the model judges")
    parser.add_argument("--sample", type=int, default=500, help="features of the demo")
    arguments = parser.parse_args()
    home().mkdir(parents=True, exist_ok=True)
    studies_dir().mkdir(parents=True, exist_ok=True)
    provider = None if arguments.no_llm else LocalProvider("demo")
    with TemporaryDirectory() as folder:
        rows = list(planted_part(Path(folder), provider, arguments.asked))
    if provider is not None:
        provider.close()
    if not arguments.no_demo:
        rows += demo_part(arguments.sample)
    return publish("judges", rows)


if __name__ == "__main__":
    raise SystemExit(main())
